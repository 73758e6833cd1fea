"""Judges samples in a thread beside the engine, and tells the schedule what was found."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Self

from rlvr_harness.errors import HarnessError
from rlvr_harness.records import Problem, Sample, Verdict
from rlvr_harness.stages.verifying import VerifierPool

WAITING_SAMPLES = 2048
"""Samples that wait to be judged before the engine is held back: two units of the largest size."""
SUBMITTED_TOGETHER = 64
"""Samples given to a pool between two looks for verdicts."""
GLANCE_S = 0.05


@dataclass(frozen=True)
class Bench:
    """Who judges one task: its problems by id, its pool, and where verdicts go."""

    problems: Mapping[str, Problem]
    pool: VerifierPool
    backlog: Iterator[Sequence[Sample]]
    """Stored samples that have no verdict yet, in chunks; read as they are judged."""
    keep: Callable[[Sequence[Verdict]], bool]
    """Stores verdicts and hands them to the schedule; whether the task is done with them."""


class Judging:
    """A thread that judges what is put in, and the backlogs; use as a context manager around the engine."""

    def __init__(self, benches: Mapping[str, Bench], on_failure: Callable[[BaseException], None]) -> None:
        """`benches`: task -> who judges it. `on_failure` is told what went wrong in the thread."""
        self._benches, self._on_failure = dict(benches), on_failure
        self._changed = threading.Condition()
        self._waiting: deque[Sequence[Sample]] = deque()
        self._count = 0
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="judging", daemon=True)

    def __enter__(self) -> Self:
        """The judging, its thread running."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the thread at once; what it has not judged is judged when the run goes on."""
        self.end()
        self._thread.join()

    def end(self) -> None:
        """Ends the work, from any thread; does not wait."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for bench in self._benches.values():
            bench.pool.abandon()

    def put(self, samples: Sequence[Sample]) -> None:
        """Hands over samples of one task; blocks while too many wait."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._count < WAITING_SAMPLES)
            self._waiting.append(samples)
            self._count += len(samples)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Samples and calls not settled yet."""
        return self._count + sum(bench.pool.waiting for bench in self._benches.values())

    def _run(self) -> None:
        try:
            while not self._ended:
                samples = self._next()
                if samples is not None:
                    self._judge(samples)
                else:
                    self._look_around()
        except Exception as error:  # noqa: BLE001  (whatever fails here is the main thread's to raise)
            with self._changed:
                told, self._ended = self._ended, True
                self._count = 0
                self._changed.notify_all()
            if not told:
                self._on_failure(error)

    def _next(self) -> Sequence[Sample] | None:
        """Fresh samples, else some of a backlog; None where there are none now."""
        with self._changed:
            if self._waiting:
                samples = self._waiting.popleft()
                self._count -= len(samples)
                self._changed.notify_all()
                return samples
        for bench in self._benches.values():
            stored = next(bench.backlog, None)
            if stored is not None:
                return stored
        return None

    def _judge(self, samples: Sequence[Sample]) -> None:
        bench = self._benches[samples[0].task]
        for problem_id, group in groupby(samples, key=lambda sample: sample.problem_id):
            of_problem = list(group)
            for first in range(0, len(of_problem), SUBMITTED_TOGETHER):
                if self._ended:
                    return
                bench.pool.submit(bench.problems[problem_id], of_problem[first : first + SUBMITTED_TOGETHER])
                self._keep(bench)

    def _look_around(self) -> None:
        """Waits a moment for verdicts of calls under way, or for samples; makes calls that timed out again at rest."""
        busy = [bench for bench in self._benches.values() if bench.pool.under_way]
        for bench in busy:
            bench.pool.wait(GLANCE_S)
            self._keep(bench)
        if busy:
            return
        for bench in self._benches.values():
            if bench.pool.waiting:
                bench.pool.retry_lost()
                self._keep(bench)
        with self._changed:
            self._changed.wait_for(lambda: self._ended or bool(self._waiting), GLANCE_S)

    def _keep(self, bench: Bench) -> None:
        verdicts = bench.pool.ready()
        if verdicts and bench.keep(verdicts):
            bench.pool.rest()


def raise_as_own(error: BaseException) -> None:
    """Raises in this thread what failed in another: errors for the user as they are, a bug with its own traceback."""
    if isinstance(error, HarnessError):
        raise error
    raise RuntimeError(f"judging failed: {type(error).__name__}: {error}") from error
