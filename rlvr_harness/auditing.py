"""Which chains of thought are worth a look, and what the marks on them say of each model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rlvr_harness.errors import RunFolderError
from rlvr_harness.marks import Judgement, Mark, agreed, read_marks
from rlvr_harness.metrics.chain_of_thought import ChainMarks, ChainRate, chain_rate, cot_pass_at_k
from rlvr_harness.metrics.curve import ProblemCounts
from rlvr_harness.metrics.intervals import problem_weights
from rlvr_harness.metrics.pass_at_k import curve_ks
from rlvr_harness.records import Outcome
from rlvr_harness.run_reader import read_problems, read_verdicts
from rlvr_harness.scored_samples import Record, even_samples

Why = Literal["hardest solved", "model only", "base only", "flip 0 to high", "random right"]
QUEUE_FILE = "audit/queue.jsonl"
HIGH = 0.5
"""Share of right samples from which a problem that the base never solves counts as flipped to high."""
SampleName = tuple[str, str, str, int]
"""task, model, problem_id, index."""


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One sample whose chain of thought is to be judged, and why it was chosen."""

    task: str
    model: str
    problem_id: str
    index: int
    why: Why

    @property
    def sample(self) -> SampleName:
        """Which sample it is."""
        return self.task, self.model, self.problem_id, self.index


@dataclass(frozen=True)
class _Judged:
    """One model's verdicts on one task: right indices and number of judged samples by problem."""

    right: Mapping[str, Sequence[int]]
    n: Mapping[str, int]

    def accuracy(self, problem_id: str) -> float:
        """Share of right samples."""
        return len(self.right[problem_id]) / self.n[problem_id] if self.n[problem_id] else 0.0


def build_queue(folder: Path, record: Record, per_reason: int) -> list[QueueItem]:
    """At most `per_reason` samples for each task, model and reason; the same queue for the same verdicts and seed.

    "random right" is a simple random sample, in random order, of the right answers among the samples that every problem
    has whatever was found: the one set that rates are estimated from. The others are picked for what they may show.
    """
    items: list[QueueItem] = []
    for task in record["tasks"]:
        judged = {role: _judged(folder, task, role, record) for role in record["models"]}
        for role, own in judged.items():
            picker = _Picker(int(record["spec"]["seed"]), task, role, own)
            solved = sorted((i for i in own.n if own.right[i]), key=lambda i: (own.accuracy(i), picker.rank(i, 0)))
            items += picker.one_each(solved[:per_reason], "hardest solved")
            for other, theirs, why in _rivals(role, judged):
                only = [i for i in solved if not theirs.right.get(i)]
                items += picker.one_each(only[:per_reason], why)
                if other == "base":
                    high = [i for i in only if own.accuracy(i) >= HIGH and theirs.n.get(i)]
                    items += picker.one_each(high[:per_reason], "flip 0 to high")
            items += picker.random_right(even_samples(record, task))[:per_reason]
    return list(dict.fromkeys(items))


def _judged(folder: Path, task: str, role: str, record: Record, pool: int | None = None) -> _Judged:
    """All verdicts, or those on samples with an index below `pool`."""
    ids = [problem.problem_id for problem in read_problems(folder, task)]
    right: dict[str, list[int]] = {problem_id: [] for problem_id in ids}
    n = dict.fromkeys(ids, 0)
    for verdict in read_verdicts(folder, task, role, record["tasks"][task]["verifier"]):
        inside = verdict.problem_id in n and (pool is None or verdict.index < pool)
        if inside and verdict.outcome is not Outcome.VOID:
            n[verdict.problem_id] += 1
            if verdict.outcome is Outcome.RIGHT:
                right[verdict.problem_id].append(verdict.index)
    return _Judged({problem_id: sorted(indices) for problem_id, indices in right.items()}, n)


def _rivals(role: str, judged: Mapping[str, _Judged]) -> Iterator[tuple[str, _Judged, Why]]:
    """Whom a model is set against: the base against the headline model, every other model against the base."""
    if role != "base" and "base" in judged:
        yield "base", judged["base"], "model only"
    if role == "base" and "model" in judged:
        yield "model", judged["model"], "base only"


@dataclass(frozen=True)
class _Picker:
    """Chooses samples by hash, so that a longer queue begins with a shorter one."""

    seed: int
    task: str
    role: str
    judged: _Judged

    def rank(self, problem_id: str, index: int) -> bytes:
        """A number drawn for the sample."""
        return hashlib.sha256(f"audit\x1f{self.seed}\x1f{self.task}\x1f{problem_id}\x1f{index}".encode()).digest()

    def one_each(self, problem_ids: Iterable[str], why: Why) -> list[QueueItem]:
        """One right sample of each problem."""
        return [
            QueueItem(self.task, self.role, i, min(self.judged.right[i], key=lambda index: self.rank(i, index)), why)
            for i in problem_ids
        ]

    def random_right(self, pool: int) -> list[QueueItem]:
        """All right samples with an index below `pool`, in random order."""
        keys = [(i, index) for i, indices in self.judged.right.items() for index in indices if index < pool]
        keys.sort(key=lambda key: self.rank(*key))
        return [QueueItem(self.task, self.role, i, index, "random right") for i, index in keys]


def read_queue(folder: Path) -> list[QueueItem]:
    """The stored queue; empty where there is none."""
    path = folder / QUEUE_FILE
    if not path.is_file():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [QueueItem(**row) for row in rows]
    except (ValueError, TypeError, OSError) as error:
        raise RunFolderError(f"{path} cannot be read; build it anew with `rlvr-harness audit {folder}`") from error


def queue_rows(items: Sequence[QueueItem]) -> list[dict[str, Any]]:
    """The queue as rows of its file."""
    return [asdict(item) for item in items]


@dataclass(frozen=True)
class ChainMarksFound:
    """What marks on a random sample of right answers say: `marked` of `queued` judged, `unsure` of those undecided.

    `rate`: share of right answers whose chain of thought is right too, by `metrics.chain_of_thought.chain_rate`.
    """

    queued: int
    marked: int
    right: int
    unsure: int
    rate: ChainRate | None

    def as_data(self) -> dict[str, Any]:
        """For results.json."""
        rate = {name: getattr(self.rate, name, None) for name in ("value", "low", "high")}
        return {**asdict(self), "rate": rate}


def count_marks(queue: Iterable[QueueItem], marks: Sequence[Mark]) -> ChainMarksFound:
    """Of the queue's random right answers; one judgement per sample, as most of its judges say."""
    judgements = agreed(marks)
    samples = list(dict.fromkeys(item.sample for item in queue if item.why == "random right"))
    given = {sample: judgements[sample] for sample in samples if sample in judgements}
    votes: dict[str, list[Judgement]] = {}
    for (_, _, problem_id, _), judgement in given.items():
        if judgement != "unsure":
            votes.setdefault(problem_id, []).append(judgement)
    found = list(given.values())
    rate = chain_rate(_chain_marks(votes.values()))
    return ChainMarksFound(len(samples), len(given), found.count("right"), found.count("unsure"), rate)


def _chain_marks(votes: Iterable[Sequence[Judgement]]) -> ChainMarks:
    """Votes of each problem, counted."""
    counted = [(len(of_problem), of_problem.count("right")) for of_problem in votes]
    marked, right = np.array(counted, dtype=np.int64).reshape(-1, 2).T
    return ChainMarks(marked, right)


def audit_results(folder: Path, task: str, record: Record) -> dict[str, dict[str, Any]]:
    """Role -> what the marks say of the model on this task; empty where nothing was marked."""
    marks = [mark for mark in read_marks(folder) if mark.task == task and mark.model in record["models"]]
    queue = [item for item in read_queue(folder) if item.task == task]
    found = {}
    for role in dict.fromkeys(mark.model for mark in marks):
        own = [mark for mark in marks if mark.model == role]
        rate = count_marks([item for item in queue if item.model == role], own)
        random = {item.sample for item in queue if item.why == "random right"}
        curve = _chain_pass_at_k(folder, task, role, record, own, random)
        found[role] = {**rate.as_data(), "judges": sorted({mark.by for mark in own}), "pass_at_k": curve}
    return found


def _chain_pass_at_k(
    folder: Path, task: str, role: str, record: Record, marks: Sequence[Mark], random: Set[SampleName]
) -> dict[str, Any] | None:
    """CoT-Pass@k over the samples that every problem has: exact where every right answer is decided.

    Otherwise it is estimated from the `random` ones among the marks, as the others were picked for what they may show.
    None where neither can be had.
    """
    judgements = {sample: found for sample, found in agreed(marks).items() if found != "unsure"}
    judged = _judged(folder, task, role, record, even_samples(record, task))
    right = {i: {(task, role, i, index) for index in judged.right[i]} for i, n in judged.n.items() if n}
    whole = all(sample in judgements for samples in right.values() for sample in samples)
    counted = [[judgements[s] for s in right[i] if s in judgements and (whole or s in random)] for i in right]
    n = np.array([judged.n[i] for i in right], dtype=np.int64)
    c = np.array([len(samples) for samples in right.values()], dtype=np.int64)
    ks = curve_ks(int(n.min(initial=n.max(initial=0))))
    weights = problem_weights(len(right), int(record["spec"]["seed"]))
    points = cot_pass_at_k(ProblemCounts(tuple(right), n, c), _chain_marks(counted), ks, weights)
    return {str(k): asdict(point) for k, point in points.items()} or None


def status_lines(folder: Path, record: Record) -> list[str]:
    """What is queued, marked and found, one line per task and model."""
    queue, marks = read_queue(folder), read_marks(folder)
    if not queue:
        return [f"{folder} has no queue yet; `rlvr-harness audit {folder}` builds one"]
    marked = {mark.sample for mark in marks}
    lines = []
    for task in record["tasks"]:
        for role in record["models"]:
            own = [item for item in queue if (item.task, item.model) == (task, role)]
            samples = {item.sample for item in own}
            found = count_marks(own, marks)
            lines.append(
                f"{role} on {task}: {len(samples & marked):,} of {len(samples):,} queued chains marked; "
                f"{_rate_text(found)}"
            )
    lines.append("rates come from the random sample of right answers alone, not from the samples picked for a reason")
    return lines


def _rate_text(found: ChainMarksFound) -> str:
    rate = found.rate
    if rate is None:
        return f"no rate yet, none of {found.queued:,} random right answers is decided"
    unsure = f", {found.unsure:,} unsure left out" if found.unsure else ""
    return (
        f"right chains behind right answers: {rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] "
        f"({found.right:,} of {found.marked - found.unsure:,} decided{unsure})"
    )
