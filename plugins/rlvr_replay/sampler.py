"""The `replay` sampler: `--model FILE_or_FOLDER` names the samples, of which number `index` of a problem is given."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rlvr_harness import (
    ModelError,
    ModelFacts,
    ModelRequest,
    Sample,
    SampleRequest,
    SamplingLaw,
    UsageError,
    WorkSource,
    WorkUnit,
    about_tokens,
)
from rlvr_replay.population import Population
from rlvr_replay.reading import ENDINGS, sample_files

ROWS_PER_UNIT = 4096
"""About 10 MB of texts."""
_LOG = logging.getLogger(__name__)


class ReplaySampler:
    """Samples from files: of tests, of other programs, of an earlier run."""

    name = "replay"
    description = "samples from files: --model FILE.jsonl[.gz|.zst], FILE.parquet, a folder of them, or a run folder"

    def profile(self, request: ModelRequest) -> ReplayProfile:
        """Raises ModelError where there is no such file."""
        _role(request)
        if not Path(request.path).exists():
            raise ModelError(f"samples '{request.path}': no such file or folder")
        return ReplayProfile()

    def open(self, request: ModelRequest) -> Replay:
        """The samples; the files of a task are read when its first sample is asked for."""
        return Replay(request)


class ReplayProfile:
    """Nothing is known of the model that drew the samples, nor of the prompts that it was given."""

    def __init__(self) -> None:
        """No limits."""
        self.context_length: int | None = None
        self.tokenizer_hash = hashlib.sha256(b"unknown").hexdigest()
        self.chat_template_hash: str | None = None

    def render_chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """Raises ModelError: the samples were drawn under whatever template they were drawn under."""
        raise ModelError("samples from files have no chat template; drop --apply_chat_template")

    def count_tokens(self, prompt: str) -> int:
        """An estimate."""
        return about_tokens(prompt)


class Replay:
    """Opened sample files; see `OpenModel` and `StreamingModel` for the contract. The sampling law has no effect."""

    def __init__(self, request: ModelRequest) -> None:
        """`request.path` is the file or folder; `role=NAME` picks a model of a run folder."""
        self._path, self._role = request.path, request.role
        self._of_role = _role(request)
        self._task = ""
        self._population: Population | None = None
        self.facts = ModelFacts(revision=None, weight_hash=content_hash(Path(self._path)), dtype="none", device="files")

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """A number that keeps memory small."""
        return ROWS_PER_UNIT

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """The stored samples. Raises ModelError for an unknown problem, or where an index is missing."""
        return [sample for request in work for sample in self._samples(request)]

    def stream(self, work: WorkSource, law: SamplingLaw) -> Iterator[list[Sample]]:
        """The stored samples, request by request."""
        while (request := work.take(wait=True)) is not None:
            yield self._samples(request)

    def close(self) -> None:
        """Drops the scratch file."""
        if self._population is not None:
            self._population.close()
            self._population = None
            self._task = ""

    def _samples(self, request: SampleRequest) -> list[Sample]:
        problem = request.problem
        stored = self._of(problem.task).get(problem.problem_id, request.indices)
        return [
            Sample(
                problem.task,
                self._role,
                problem.problem_id,
                index,
                seed,
                found.text,
                found.finish_reason,
                found.n_tokens,
                found.logprob_sum,
            )
            for index, seed, found in zip(request.indices, request.seeds, stored, strict=True)
        ]

    def _of(self, task: str) -> Population:
        if self._population is None or self._task != task:
            self.close()
            self._population = Population(sample_files(self._path, task, self._of_role), task)
            self._task = task
            if self._population.estimated:
                _LOG.warning("%s: samples without n_tokens; their tokens are estimated from the text", self._role)
        return self._population


def content_hash(path: Path) -> str:
    """sha256 over the names and contents of the sample files below a path, so that a changed file is noticed."""
    place = path / "samples" if (path / "samples").is_dir() else path
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.name.endswith(ENDINGS))
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(f"{file.name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _role(request: ModelRequest) -> str:
    """The model of a run folder whose samples are meant: the request's own role, or `role=NAME`."""
    if unknown := sorted(set(request.args) - {"role"}):
        raise UsageError(f"sampler 'replay' has no argument '{unknown[0]}'; it takes role (a model of a run folder)")
    return str(request.args.get("role", request.role))
