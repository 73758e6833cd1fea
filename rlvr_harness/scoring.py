"""Has the models of a finished run score texts: their own, each other's and a third party's. A second call goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rlvr_harness.contracts import OpenModel
from rlvr_harness.demo_models import resolve_path
from rlvr_harness.device_groups import device_of_each
from rlvr_harness.errors import RunFolderError, UsageError
from rlvr_harness.foreign_texts import ForeignText, text_digest
from rlvr_harness.parts.columns import ENTROPIES, PERPLEXITIES, PartKind
from rlvr_harness.parts.keys import KeySet
from rlvr_harness.parts.naming import scores_folder
from rlvr_harness.registry import Registry
from rlvr_harness.requests import ModelRequest
from rlvr_harness.run_reader import read_json, read_problems, read_samples, read_scores, sample_keys
from rlvr_harness.run_spec import RunSpec, parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.schemas.checking import read_results
from rlvr_harness.scored_samples import ABOUT, Keys, Record, Selection, read_about, temperature_of
from rlvr_harness.scoring_contracts import EntropyModel, ScoringModel, TextPair

CHUNK = 256
"""Texts handed to an engine at once: it sorts them by length, and they are all that is held in memory."""
PORTABLE_ARGS = (
    *("revision", "dtype", "tokenizer", "trust_remote_code", "add_bos_token", "chat_template_args"),
    *("enable_thinking", "max_length"),
)
"""Engine arguments that mean the same to another sampler than the run's."""
Tell = Callable[[str], object]


@dataclass(frozen=True)
class ScorerOptions:
    """How models are opened to score; what is None is as it was when the run sampled.

    `checkpoints`: role -> folder or Hub id, where the run knows a model by the name of a server only.
    """

    sampler: str | None = None
    device: str | None = None
    batch_size: int | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    checkpoints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scorers:
    """Opens the models of a recorded run for scoring."""

    record: Record
    registry: Registry
    options: ScorerOptions

    @property
    def spec(self) -> RunSpec:
        """The run's spec."""
        return parse_spec(self.record["spec"], "run.json")

    @property
    def sampler(self) -> str:
        """The sampler that opens them."""
        return self.options.sampler or self.spec.sampler

    def about(self, role: str) -> dict[str, Any]:
        """What decides the scores beside the texts."""
        return {"sampler": self.sampler, "weight_hash": self.record["models"][role].get("weight_hash")}

    def open(self, role: str) -> OpenModel:
        """The model. Raises RunFolderError where its weights are no longer those that were sampled."""
        model: OpenModel = self.registry.get("sampler", self.sampler).open(self._request(role))
        before, now = self.record["models"][role].get("weight_hash"), model.facts.weight_hash
        if before and now and before != now:
            model.close()
            raise RunFolderError(
                f"the weights of the {role} model ({self._path(role)}) are not those that the run sampled; "
                "put those back, or name their folder with --checkpoint"
            )
        return model

    def _path(self, role: str) -> str:
        return resolve_path(self.options.checkpoints.get(role, self.spec.models[role]))

    def _request(self, role: str) -> ModelRequest:
        spec, args = self.spec, self.spec.args_for(role)
        if self.sampler != spec.sampler:
            args = {name: value for name, value in args.items() if name in PORTABLE_ARGS}
        ends = (self.record.get("fairness") or {}).get("eos_tokens")
        return ModelRequest(
            role=role,
            path=self._path(role),
            args={**args, **self.options.model_args},
            device=self.options.device or device_of_each(spec.device, list(spec.models))[role],
            batch_size=self.options.batch_size,
            threads=spec.threads or self.record.get("threads"),
            trust_remote_code=spec.trust_remote_code,
            allow_pickle=spec.allow_pickle,
            eos_tokens=None if ends is None else tuple(ends),
        )


def sampled_record(folder: Path) -> dict[str, Any]:
    """run.json of a folder that holds samples; raises RunFolderError for any other."""
    record = read_json(folder, "run.json")
    if "tasks" not in record or not record.get("models"):
        raise RunFolderError(f"{folder} holds no samples of models, which this command needs")
    read_results(folder)  # only a run that was finished has results to add to
    return record


def check_roles(record: Record, roles: Sequence[str], flag: str) -> list[str]:
    """The roles asked for, all where none is; raises UsageError naming those that the run has."""
    known = list(record["models"])
    for role in roles:
        if role not in known:
            raise UsageError(f"{flag} '{role}': the run has the models {', '.join(known)}")
    return list(dict.fromkeys(roles)) or known


@dataclass(frozen=True)
class PerplexityWish:
    """Which texts are to be scored by which models: roles, all where empty; `texts`: name -> a third party's."""

    scorers: Sequence[str]
    authors: Sequence[str]
    texts: Mapping[str, Sequence[ForeignText]]
    selection: Selection


def score_perplexity(store: RunStore, scorers: Scorers, wish: PerplexityWish, tell: Tell) -> None:
    """Scores what is wanted and not stored yet."""
    record, folder = scorers.record, store.folder
    _write_about(store, scorers, PERPLEXITIES, wish)
    for role in wish.scorers:
        jobs = []
        for task in record["tasks"]:
            chosen = wish.selection.keys(folder, task, record)
            jobs += [_own(folder, PERPLEXITIES, (task, role, author), chosen) for author in wish.authors]
            jobs += [_foreign(folder, (task, role, name), wish.texts[name], chosen) for name in wish.texts]
        _run_jobs(store, scorers, role, [job for job in jobs if job.missing], tell)


def score_entropy(store: RunStore, scorers: Scorers, roles: Sequence[str], selection: Selection, tell: Tell) -> None:
    """Token entropies of each model on its own samples, where they are not stored yet."""
    record, folder = scorers.record, store.folder
    _write_about(store, scorers, ENTROPIES, PerplexityWish(roles, (), {}, selection))
    for role in roles:
        jobs = []
        for task in record["tasks"]:
            chosen = selection.keys(folder, task, record)
            jobs.append(_own(folder, ENTROPIES, (task, role, role), chosen))
        _run_jobs(store, scorers, role, [job for job in jobs if job.missing], tell)


@dataclass(frozen=True)
class _Job:
    """One author's texts on one task, for one model: `texts` gives (problem_id, index, text) of those `missing`."""

    kind: PartKind
    task: str
    scorer: str
    author: str
    missing: Keys
    texts: Callable[[], Iterable[tuple[str, int, str]]]


def _scored(folder: Path, kind: PartKind, names: tuple[str, str, str]) -> KeySet:
    return KeySet((row[0], row[1]) for row in read_scores(folder, kind, *names))


def _own(folder: Path, kind: PartKind, names: tuple[str, str, str], chosen: Keys) -> _Job:
    task, scorer, author = names
    done = _scored(folder, kind, names)
    missing = {key for key in chosen & sample_keys(folder, task, author) if key not in done}

    def texts() -> Iterator[tuple[str, int, str]]:
        for sample in read_samples(folder, task, author):
            if (sample.problem_id, sample.index) in missing:
                yield sample.problem_id, sample.index, sample.text

    return _Job(kind, task, scorer, author, missing, texts)


def _foreign(folder: Path, names: tuple[str, str, str], rows: Sequence[ForeignText], chosen: Keys) -> _Job:
    task, scorer, author = names
    done, problems = _scored(folder, PERPLEXITIES, names), {problem_id for problem_id, _ in chosen}
    wanted = [(row.problem_id, row.index, row.text) for row in rows if row.task == task and row.problem_id in problems]
    wanted = [row for row in wanted if row[:2] not in done]
    return _Job(PERPLEXITIES, task, scorer, author, {row[:2] for row in wanted}, lambda: wanted)


def _run_jobs(store: RunStore, scorers: Scorers, role: str, jobs: Sequence[_Job], tell: Tell) -> None:
    if not jobs:
        return
    model = scorers.open(role)
    try:
        for job in jobs:
            _run_job(store, scorers, model, job, tell)
    finally:
        model.close()


def _run_job(store: RunStore, scorers: Scorers, model: OpenModel, job: _Job, tell: Tell) -> None:
    """Scores a job chunk by chunk; what is finished is on disk within seconds."""
    folder = store.folder
    place = scores_folder(folder, job.kind.top, job.task, job.scorer, job.author)
    prompts = {problem.problem_id: problem.prompt for problem in read_problems(folder, job.task, job.scorer)}
    temperature = temperature_of(scorers.record, job.task, job.scorer)
    rows, done = iter(job.texts()), 0
    while chunk := list(islice(rows, CHUNK)):
        pairs = [TextPair(prompts[problem_id], text) for problem_id, _, text in chunk]
        for at, values in _values(model, job.kind, pairs, temperature, scorers.sampler):
            store.append_scores(place, job.kind, [(*chunk[at][:2], *values)])
            store.commit_if_due()
        done += len(chunk)
        tell(f"{job.scorer} on {job.task}: {done:,} of {len(job.missing):,} texts of {job.author} scored")
    store.commit()


def _values(
    model: OpenModel, kind: PartKind, pairs: Sequence[TextPair], temperature: float, sampler: str
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """(place in `pairs`, the kind's columns after problem_id and index)."""
    if kind is PERPLEXITIES:
        if not isinstance(model, ScoringModel):
            raise UsageError(f"sampler '{sampler}' cannot score texts; open the models with --sampler hf")
        for at, score in model.score(pairs):
            yield at, (score.logprob_sum, score.n_tokens)
        return
    if not isinstance(model, EntropyModel):
        raise UsageError(f"sampler '{sampler}' hands out no whole distributions; open the models with --sampler hf")
    temperatures = (1.0, temperature) if temperature > 0 else (1.0,)
    for at, entropy in model.token_entropies(pairs, temperatures):
        sums = (None, None) if entropy.sums is None else (entropy.sums[0], (*entropy.sums, None)[1])
        yield at, (*sums, entropy.n_tokens)


def _write_about(store: RunStore, scorers: Scorers, kind: PartKind, wish: PerplexityWish) -> None:
    """Notes what the scores are made with; refuses to put those of another engine or of other texts beside them."""
    about = read_about(store.folder, kind)
    where = store.folder / kind.top
    known: dict[str, Any] = about.get("scorers", {})
    for role in wish.scorers:
        now = scorers.about(role)
        if known.setdefault(role, now) != now:
            raise UsageError(
                f"{where} holds scores of the {role} model by sampler '{known[role]['sampler']}', which are not mixed "
                f"with those of '{now['sampler']}'; give --sampler {known[role]['sampler']}, or remove that folder"
            )
    texts: dict[str, Any] = about.get("texts", {})
    for name, rows in wish.texts.items():
        counts: dict[str, dict[str, int]] = {}
        for row in rows:
            of_task = counts.setdefault(row.task, {})
            of_task[row.problem_id] = of_task.get(row.problem_id, 0) + 1
        digest = text_digest(rows)
        if texts.setdefault(name, {"sha256": digest, "counts": counts})["sha256"] != digest:
            raise UsageError(f"{where} holds scores of other texts under the name '{name}'; give these another name")
    selection = asdict(wish.selection)
    store.write_json(f"{kind.top}/{ABOUT}", {"selection": selection, "scorers": known, "texts": texts})
