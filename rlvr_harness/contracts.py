"""What the parts of a run promise one another. Plugins implement these Protocols; the core relies on nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rlvr_harness.records import Problem, Sample, Verdict
from rlvr_harness.requests import (
    ChatMessage,
    Counts,
    ImportRequest,
    ModelFacts,
    ModelRequest,
    PromptRequest,
    SampleRequest,
    SamplingLaw,
    WorkLimits,
    WorkUnit,
)


@runtime_checkable
class Verifier(Protocol):
    """Decides whether a sample is right: pure, deterministic, versioned.

    `limits` is None for a verifier that is cheap and cannot hang: it then runs in the main process. Otherwise `verify`
    runs in worker processes, so the verifier must pickle. No two threads call it at a time. Bump `version` when any
    verdict could change.
    """

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def version(self) -> str:
        """Changes whenever any verdict could."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    @property
    def limits(self) -> WorkLimits | None:
        """Hard limits of a call, or None to run in the main process."""

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """Samples of one problem with equal keys have equal verdicts; cheap, and never raises."""

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """The verdict where it is cheap and certain, decided in the main process; None to leave it to `verify`."""

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """The verdict; the model's failures are WRONG with a reason, and no text makes it raise."""


@runtime_checkable
class AnswerVerifier(Protocol):
    """A verifier that can also judge a bare answer; with it the report can tell how far guessing alone would get."""

    def accepts(self, problem: Problem, answer: str) -> bool:
        """Whether this answer, as a Verdict holds it, is right for the problem; cheap, False where it is unsure."""


@runtime_checkable
class SelfTestingVerifier(Protocol):
    """A verifier that knows texts with a certain verdict, for `validate`."""

    def gold_texts(self, problem: Problem) -> Sequence[str]:
        """Completions that must be right, made from the problem's reference."""

    def near_misses(self, problem: Problem) -> Sequence[str]:
        """Completions that look like a right one and must be wrong."""


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A task's problems with what the task itself fixes.

    `max_gen_toks` is the task's own completion budget (None: the run's default). `chance` maps problem_id to the
    probability that a uniformly random solver is right in one draw, where the task knows it; `chance_label` says how
    that solver draws. `verifier` is the name of a registered verifier, or the task's own. `data_hash` is the sha256 of
    the documents; `data_revision` names their source.
    """

    problems: Sequence[Problem]
    verifier: str | Verifier
    data_revision: str
    data_hash: str
    max_gen_toks: int | None = None
    chance: Mapping[str, float] = field(default_factory=dict)
    chance_label: str = ""
    image_field: str | None = None
    """Metadata field that holds a problem's picture; a sampler that reads text only must not be given such a task."""
    notes: Sequence[str] = ()
    """What a user should know of the task before sampling, one line each."""


@runtime_checkable
class Task(Protocol):
    """A benchmark. `description` is one line for `ls tasks`."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    def load(self, request: PromptRequest) -> LoadedTask:
        """The problems with their prompts. Raises TaskError when the data is missing or malformed."""


@runtime_checkable
class ProfiledTask(Protocol):
    """A task that words its prompts as the request's profile asks, or raises TaskError where it cannot."""

    @property
    def words_by_profile(self) -> bool:
        """True."""


@runtime_checkable
class VariableTask(Protocol):
    """A task of which `NAME@VARIANT` asks for a part, as `livecodebench@2024-08..2025-01`."""

    def variant(self, text: str) -> Task:
        """The part; its name is `NAME@VARIANT`. Raises UsageError saying what can be asked for."""


class ModelProfile(Protocol):
    """What is known of a model without its weights: enough to build and check every prompt before sampling starts.

    `context_length` is in tokens, None when the architecture sets no limit.
    """

    context_length: int | None
    tokenizer_hash: str
    chat_template_hash: str | None

    def render_chat(self, messages: Sequence[ChatMessage], add_generation_prompt: bool = True) -> str:
        """The tokenizer's chat template applied. Raises ModelError where there is none."""

    def count_tokens(self, prompt: str) -> int:
        """Length of the prompt in tokens, special tokens included."""


@runtime_checkable
class ComparableProfile(Protocol):
    """A profile that also tells what must be alike between the models of a run; its sampler obeys `eos_tokens`.

    `eos_tokens` are the tokens that the checkpoint declares an end, as text. `dtype` is the precision that the request
    leads to ("bfloat16"), `quantization` the method that the weights are stored in; None where unknown, or none.
    """

    eos_tokens: tuple[str, ...]
    dtype: str | None
    quantization: str | None

    def has_token(self, token: str) -> bool:
        """Whether the tokenizer has this text as one token."""

    def token_ids(self, prompt: str) -> Sequence[int]:
        """The prompt as the model will see it, special tokens included."""


class OpenModel(Protocol):
    """One model, loaded and ready. Close it before opening the next."""

    facts: ModelFacts

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """How many samples of that many tokens, prompt included, fit in memory together; at least 1."""

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """All samples of the unit. The same unit and law give the same texts on the same machine."""

    def close(self) -> None:
        """Frees the model's memory."""


class WorkSource(Protocol):
    """Where a streaming model takes its work from: requests appear as verdicts settle what is still needed."""

    def take(self, wait: bool) -> SampleRequest | None:
        """The next request; None where none is ready now.

        With `wait`, blocks until one is ready, and None means that none will ever come. Wait only when nothing is under
        way in the engine: what is needed next may depend on samples that it has not given back yet.
        """


@runtime_checkable
class StreamingModel(Protocol):
    """An `OpenModel` that is kept full with requests of many problems, instead of being given closed units of work."""

    def stream(self, work: WorkSource, law: SamplingLaw) -> Iterator[list[Sample]]:
        """Samples of all requests taken from `work`, each once, as they finish, in lists of any size.

        Ends when `work.take(wait=True)` gives None. A sample's text depends on its problem, index and seed alone, as
        far as the engine's arithmetic allows; what the caller does not take off the iterator holds the engine back.
        """


@runtime_checkable
class Sampler(Protocol):
    """An engine that opens models."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    def profile(self, request: ModelRequest) -> ModelProfile:
        """Tokenizer and context of a model. Raises ModelError with what is missing and what to do."""

    def open(self, request: ModelRequest) -> OpenModel:
        """The model, loaded. Raises ModelError with what is missing and what to do."""


@runtime_checkable
class SamplerFamily(Protocol):
    """A sampler that stands for many: `FAMILY:NAME` asks for one of them, as `lm_eval:hf`."""

    def member(self, name: str) -> Sampler:
        """That sampler; its name is `FAMILY:NAME`. Raises UnknownName saying what there is."""


@runtime_checkable
class Trainer(Protocol):
    """Makes checkpoints."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    def train(self, output: Path, options: Mapping[str, Any]) -> Mapping[str, Path]:
        """Trains and returns checkpoint name -> Hugging Face folder."""


@runtime_checkable
class Metric(Protocol):
    """A number per model from its counts; third parties add their own."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    def measure(self, counts: Counts, ks: Sequence[int]) -> Mapping[str, Any]:
        """JSON-able results of one model, stored under the metric's name."""


@runtime_checkable
class ReportSection(Protocol):
    """A section of the report."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def title(self) -> str:
        """Heading of the section."""

    def render_html(self, task: str, results: Mapping[str, Any]) -> str:
        """HTML of the section for one task, or an empty string for nothing to show."""


@runtime_checkable
class Importer(Protocol):
    """Reads foreign results. `format` is the value of `--format`."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    def read(self, request: ImportRequest) -> Iterator[tuple[str, Counts]]:
        """(role, counts) for each file. Raises TaskError naming file and line of a fault."""
