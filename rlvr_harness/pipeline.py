"""Samples one model on all tasks of a run: engine, verifiers and run folder work side by side, and none waits long.

The engine takes work from a `Feed`; what it finishes goes to the `Keeper`, which has it on disk within two seconds, and
to the `Judging` thread, whose verdicts settle what the feed hands out next. All queues are bounded: verifiers that fall
behind hold the engine back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from rlvr_harness.contracts import OpenModel, StreamingModel
from rlvr_harness.errors import ModelError
from rlvr_harness.executing import LocalExecution
from rlvr_harness.executor_contracts import Execution
from rlvr_harness.feeding import Feed
from rlvr_harness.judging import Bench, Judging, raise_as_own
from rlvr_harness.keeping import Keeper
from rlvr_harness.preparing import PreparedTask
from rlvr_harness.progress import Progress
from rlvr_harness.records import Sample, Verdict
from rlvr_harness.requests import SamplingLaw
from rlvr_harness.run_reader import read_samples, read_verdicts, sample_keys
from rlvr_harness.run_store import RunStore
from rlvr_harness.sampler_contracts import ParallelModel
from rlvr_harness.scheduling import Marks, Schedule
from rlvr_harness.stages.sampling import (
    ENOUGH_SAMPLES,
    SEVERAL_PROBLEMS,
    Canary,
    Drawn,
    Expected,
    draw_parallel,
    draw_stream,
    draw_units,
)
from rlvr_harness.stages.verifying import NO_LOCK, VerifierPool

CHUNK = 256
"""Stored samples without verdict that are held at a time."""


@dataclass
class Speed:
    """What sampling one model on one task took since the process began."""

    samples: int = 0
    tokens: int = 0
    engine_s: float = 0.0
    identical: bool = False
    """All samples of every problem seen are one text."""


@dataclass(frozen=True)
class Cell:
    """One model on one task: what is to be sampled, and what of it is stored in the folder."""

    folder: Path
    role: str
    task: PreparedTask
    run_seed: int
    rows: int | None
    """Samples per unit, None where the engine streams."""

    def marks(self) -> dict[str, Marks]:
        """What is stored and judged; a void verdict is none, it is tried again, and so is one whose sample is lost."""
        found: dict[str, Marks] = {p.problem_id: Marks() for p in self.task.prompted.problems_for(self.role)}
        for problem_id, index in sample_keys(self.folder, self.task.name, self.role):
            if problem_id in found:
                found[problem_id].stored |= 1 << index
        for verdict in read_verdicts(self.folder, self.task.name, self.role, self.task.verifier.name):
            if verdict.problem_id in found and found[verdict.problem_id].stored >> verdict.index & 1:
                found[verdict.problem_id].note(verdict, final=False)
        return found

    def schedule(self) -> Schedule:
        """What is still to be sampled."""
        problems = self.task.prompted.problems_for(self.role)
        return Schedule(problems, self.task.plan, self.rows, self.run_seed, self.marks())

    def unjudged(self, marks: Mapping[str, Marks]) -> Iterator[list[Sample]]:
        """The samples stored without verdict by these marks, in chunks; they are read when asked for."""
        missing = {problem_id: mark.unjudged() for problem_id, mark in marks.items() if mark.unjudged()}
        stored = read_samples(self.folder, self.task.name, self.role) if missing else iter(())
        return _chunks(sample for sample in stored if missing.get(sample.problem_id, 0) >> sample.index & 1)


def _chunks(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    chunk: list[Sample] = []
    for sample in samples:
        chunk.append(sample)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@dataclass
class Line:
    """The pipeline of one model over its cells; a context manager. A failure on any side ends all of it.

    `sampler` is the name to blame for samples that nobody asked for. `here`: as of `VerifierPool`.
    """

    store: RunStore
    cells: Sequence[Cell]
    progress: Progress
    sampler: str
    execution: Execution = field(default_factory=LocalExecution)
    here: AbstractContextManager[object] = NO_LOCK
    _stack: ExitStack = field(init=False, repr=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        """Reads what is stored."""
        schedules = {cell.task.name: cell.schedule() for cell in self.cells}
        self._feed = Feed(schedules)
        self._keeper = Keeper(self.store, self._feed.end, self._pulse)
        self._judging = Judging(
            {cell.task.name: self._bench(cell, schedules[cell.task.name]) for cell in self.cells}, self._feed.end
        )
        self._speeds = {cell.task.name: Speed() for cell in self.cells}
        self._canaries = {cell.task.name: Canary(cell.task.law) for cell in self.cells}

    def __enter__(self) -> Self:
        """The line, its threads running; stored samples without verdict are being judged."""
        self._stack.enter_context(self._keeper)
        self._stack.enter_context(self._judging)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the threads; every finished sample and verdict is on disk then."""
        self._feed.end()
        self._stack.__exit__(kind, error, trace)
        self.progress.stop()

    def end(self, failure: BaseException) -> None:
        """Ends the work from any thread: the one that samples raises `failure` as soon as its engine lets it."""
        self._feed.end(failure)
        self._judging.end()

    def wants_samples(self) -> bool:
        """Whether any sample is missing; may wait for the verdicts that decide it."""
        wanted = self._feed.wait_for_work()
        self._raise_failure()
        return wanted

    def sample(self, model: OpenModel) -> dict[str, Speed]:
        """Draws every missing sample and has all of them judged; task -> what it took."""
        self.progress.begin()
        for group in self._groups(model):
            for drawn in group:
                self._take_in(drawn)
                self._raise_failure()
            self._raise_failure()
        self.finish()
        return self._speeds

    def finish(self) -> None:
        """Waits until all samples are judged."""
        self._feed.wait_until_done()
        self._raise_failure()
        self.progress.finish(self._feed.look)
        for task, canary in self._canaries.items():
            self._speeds[task].identical = canary.identical_problems > 0

    def _groups(self, model: OpenModel) -> Iterator[Iterator[Drawn]]:
        """One pass over all units; for an engine that streams one for each run of tasks under one law."""
        laws = {cell.task.name: cell.task.law for cell in self.cells}
        if isinstance(model, ParallelModel):
            yield self._parallel(model, laws)
            return
        if not isinstance(model, StreamingModel) or any(cell.rows is not None for cell in self.cells):
            yield draw_units(model, self._feed.take_unit, laws, Expected(self.sampler, self.cells[0].role))
            return
        for law, tasks in groupby(laws, key=lambda task: laws[task]):
            yield self._stream(model, law, list(tasks))

    def _parallel(self, model: ParallelModel, laws: Mapping[str, SamplingLaw]) -> Iterator[Drawn]:
        expected = Expected(self.sampler, self.cells[0].role)
        yield from draw_parallel(model, self._feed.take_unit, laws, expected)
        self._raise_failure()
        expected.finish()

    def _stream(self, model: StreamingModel, law: SamplingLaw, tasks: Sequence[str]) -> Iterator[Drawn]:
        expected = Expected(self.sampler, self.cells[0].role)
        yield from draw_stream(model, lambda wait: self._feed.take_unit(wait, tasks), law, expected)
        self._raise_failure()
        expected.finish()

    def _take_in(self, drawn: Drawn) -> None:
        tokens = sum(sample.n_tokens for sample in drawn.samples)
        for task, group in groupby(sorted(drawn.samples, key=lambda s: s.task), key=lambda sample: sample.task):
            samples = list(group)
            keys = [(sample.problem_id, sample.index) for sample in samples]
            fresh = self._feed.store(task, keys)
            new = [sample for sample, key in zip(samples, keys, strict=True) if key in fresh]
            self._keeper.add_samples(new)
            speed, own = self._speeds[task], sum(sample.n_tokens for sample in samples)
            speed.samples += len(samples)
            speed.tokens += own
            speed.engine_s += drawn.seconds * (own / tokens if tokens else 1.0)
            self.progress.advance(task, len(new), own)
            self._watch(task, samples)
            if new:
                self._judging.put(new)

    def _watch(self, task: str, samples: Sequence[Sample]) -> None:
        canary = self._canaries[task]
        canary.watch(samples)
        if canary.identical_problems >= SEVERAL_PROBLEMS:
            raise ModelError(
                f"sampler '{self.sampler}', {samples[0].model} on {task}: {canary.identical_problems} problems have "
                f"{ENOUGH_SAMPLES} or more samples each, all of one text, although the temperature is above 0; "
                "the engine seems to ignore the seeds, and pass@k of such samples says nothing"
            )

    def _bench(self, cell: Cell, schedule: Schedule) -> Bench:
        task, verifier = cell.task.name, cell.task.verifier

        def keep(verdicts: Sequence[Verdict]) -> bool:
            self._keeper.add_verdicts(task, cell.role, verifier.name, verdicts)
            return self._feed.settle(task, verdicts)

        source = self.execution.worker_source(verifier)
        pool = self._stack.enter_context(VerifierPool(verifier, self.execution.workers, source, self.here))
        problems = {problem.problem_id: problem for problem in cell.task.prompted.problems_for(cell.role)}
        return Bench(problems, pool, cell.unjudged(schedule.marks), keep)

    def _pulse(self) -> None:
        self.progress.show(self._feed.look, self._judging.waiting)

    def _raise_failure(self) -> None:
        if self._feed.failure is not None:
            raise_as_own(self._feed.failure)
