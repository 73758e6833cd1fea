"""Samples one model on one task while its verdicts are worked out, and streams both into the run folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from types import TracebackType
from typing import Self, TextIO

from rlvr_harness.contracts import OpenModel
from rlvr_harness.planning import Plan, work_units
from rlvr_harness.preparing import PreparedTask
from rlvr_harness.progress import Progress
from rlvr_harness.records import Problem, Sample, Verdict
from rlvr_harness.run_reader import read_samples, sample_keys, settled_keys
from rlvr_harness.run_store import RunStore
from rlvr_harness.stages.sampling import all_identical, sample_units
from rlvr_harness.stages.verifying import VerifierPool


@dataclass
class Speed:
    """What sampling one model on one task took since the process began."""

    samples: int = 0
    tokens: int = 0
    engine_s: float = 0.0
    identical: bool = False


@dataclass(frozen=True)
class Cell:
    """One model on one task, with the folder its samples and verdicts go to."""

    store: RunStore
    role: str
    task: PreparedTask
    run_seed: int
    progress: TextIO | None = field(repr=False, default=None)

    def sample(self, model: OpenModel, plan: Plan, rows: int, pool: VerifierPool) -> Speed:
        """Draws every missing sample, in units of `rows`, and has all of them verified; returns when both are done."""
        speed = Speed()
        problems = self.task.prompted.problems_for(self.role)
        wanted = {problem.problem_id: plan.samples_wanted(problem.problem_id, None) for problem in problems}
        done = sample_keys(self.store.folder, self.task.name, self.role)
        self.verify_stored(pool)
        bar = Progress(f"{self.role} on {self.task.name}", sum(wanted.values()), len(done), self.progress)
        units = work_units(problems, wanted, rows, self.run_seed, done)
        by_id = {problem.problem_id: problem for problem in problems}
        with _Settling(lambda samples: self._settle(samples, pool, by_id)) as settling:
            for number, unit in enumerate(sample_units(model, units, self.task.law)):
                fresh = [sample for sample in unit.samples if (sample.problem_id, sample.index) not in done]
                if number == 0:
                    speed.identical = all_identical(unit.samples, self.task.law.temperature)
                settling.put(fresh)
                tokens = sum(sample.n_tokens for sample in unit.samples)
                speed.samples += len(unit.samples)
                speed.tokens += tokens
                speed.engine_s += unit.seconds
                bar.advance(len(fresh), tokens)
        self._keep(pool.drain())
        self.store.commit()
        if speed.samples:
            bar.finish()
        return speed

    def is_complete(self, plan: Plan) -> bool:
        """Whether every sample that the plan wants is stored."""
        done = sample_keys(self.store.folder, self.task.name, self.role)
        ids = [problem.problem_id for problem in self.task.prompted.problems_for(self.role)]
        return all((i, index) in done for i in ids for index in range(plan.samples_wanted(i, None)))

    def verify_stored(self, pool: VerifierPool) -> None:
        """Verifies stored samples that have no verdict yet, or a void one."""
        verifier = self.task.verifier.name
        settled = settled_keys(self.store.folder, self.task.name, self.role, verifier)
        by_id = {problem.problem_id: problem for problem in self.task.prompted.problems_for(self.role)}
        for chunk in _chunks(read_samples(self.store.folder, self.task.name, self.role, skip=settled)):
            self._submit(pool, chunk, by_id)
            self._keep(pool.ready())
            self.store.commit_if_due()
        self._keep(pool.drain())
        self.store.commit()

    def _settle(self, samples: Sequence[Sample], pool: VerifierPool, problems: Mapping[str, Problem]) -> None:
        """Stores samples and has them verified."""
        self.store.append_samples(samples)
        self._submit(pool, samples, problems)
        self._keep(pool.ready())
        self.store.commit_if_due()

    def _submit(self, pool: VerifierPool, samples: Sequence[Sample], problems: Mapping[str, Problem]) -> None:
        for problem_id, group in groupby(samples, key=lambda sample: sample.problem_id):
            pool.submit(problems[problem_id], list(group))

    def _keep(self, verdicts: Iterable[Verdict]) -> None:
        self.store.append_verdicts(self.task.name, self.role, self.task.verifier.name, verdicts)


def _chunks(samples: Iterable[Sample], size: int = 1024) -> Iterator[list[Sample]]:
    chunk: list[Sample] = []
    for sample in samples:
        chunk.append(sample)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Settling:
    """Stores and verifies one unit in a thread while the engine generates the next; never more than `AHEAD` wait."""

    AHEAD = 2

    def __init__(self, settle: Callable[[Sequence[Sample]], None]) -> None:
        self._settle = settle
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="settling")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes what waits, also when the engine failed: every finished sample is stored."""
        self._thread.shutdown(wait=True)
        while self._waiting:
            self._waiting.popleft().result()

    def put(self, samples: Sequence[Sample]) -> None:
        """Hands samples over; blocks while too many units wait, and raises what went wrong with earlier ones."""
        while len(self._waiting) >= self.AHEAD:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._settle, samples))
