"""Samples in, verdicts out: one call of the verifier per distinct answer, in worker processes with hard limits."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rlvr_harness.contracts import Verifier
from rlvr_harness.errors import HarnessError, VerifierLost
from rlvr_harness.executor_contracts import VerifierWorkers, WorkerSource
from rlvr_harness.records import FinishReason, Problem, Sample, Verdict
from rlvr_harness.requests import WorkLimits
from rlvr_harness.verifier_workers import LocalWorkers, checked

_LOG = logging.getLogger(__name__)
_PATIENCE = (1.0, 3.0)  # time limit of each attempt, in units of the verifier's own wall_s
_WAITING_PER_WORKER = 64  # queued calls before `submit` blocks: keeps the workers busy and the texts held few
_GLANCE_S = 0.1  # how soon a blocking call notices that the pool is abandoned

Key = bytes
NO_LOCK: AbstractContextManager[object] = contextlib.nullcontext()


@dataclass(slots=True)
class _Job:
    """One call of the verifier and the samples that wait for it; the first of them is the one verified."""

    problem: Problem
    sample: Sample
    indices: list[int]
    attempt: int = 0


class VerifierPool:
    """Verifies the samples of one model on one task; use as a context manager.

    Samples of a problem with equal verdict keys share one call. A call that dies or raises is tried again, one that
    times out is tried again alone and with three times the time, so that a busy machine changes no verdict; then the
    samples are VOID: verifier_timeout, worker_lost or verifier_error. A sample the engine failed on is VOID too
    (sampler_error). Verdicts come in any order; their content does not depend on it.
    """

    def __init__(
        self,
        verifier: Verifier,
        workers: int = 1,
        source: WorkerSource | None = None,
        here: AbstractContextManager[object] = NO_LOCK,
    ) -> None:
        """`workers` processes, started with the first call that needs one; of `source`, else on this machine.

        `here` is held while the verifier is called in this process: another pool's thread may call it too.
        """
        self._here = here
        self._verifier = verifier
        self._workers = workers
        self._source = source or self._local
        self._pool: VerifierWorkers | None = None
        self._alive = False
        self._jobs: dict[Key, _Job] = {}
        self._timed_out: list[Key] = []
        self._known: dict[Key, Verdict] = {}
        self._ready: list[Verdict] = []
        self._finished: queue.SimpleQueue[tuple[Key, Future[Verdict]]] = queue.SimpleQueue()
        self._warned: set[str] = set()
        self._abandoned = False

    def __enter__(self) -> Self:
        """The pool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends all workers at once; calls under way are dropped."""
        self._stop()

    def submit(self, problem: Problem, samples: Sequence[Sample]) -> None:
        """Takes samples of the problem; blocks while too many calls are under way."""
        for sample in samples:
            if sample.finish_reason is FinishReason.ERROR:
                self._ready.append(Verdict.void(sample, "sampler_error"))
                continue
            try:
                key = self._take(problem, sample)
            except Exception as error:  # noqa: BLE001  (a plugin is called)
                self._ready.append(self._void(sample, error))
                continue
            if key is not None:
                self._start(key)
            while self._under_way >= self._workers * _WAITING_PER_WORKER:
                self._collect(block=True)
            if len(self._timed_out) >= _WAITING_PER_WORKER:
                self._settle_all()

    def ready(self) -> list[Verdict]:
        """Verdicts found since the last call; does not wait."""
        while not self._finished.empty():
            self._collect(block=False)
        verdicts, self._ready = self._ready, []
        return verdicts

    def drain(self) -> Iterator[Verdict]:
        """All verdicts not yet handed out, waiting for calls under way."""
        yield from self.ready()
        while self._under_way:
            self._collect(block=True)
            yield from self.ready()
        self._settle_all()
        yield from self.ready()

    def wait(self, seconds: float) -> None:
        """Waits that long at most for a call under way to end."""
        if self._under_way:
            with contextlib.suppress(queue.Empty):
                self._take_in(*self._finished.get(timeout=seconds))

    def retry_lost(self) -> None:
        """Makes the calls that timed out again, one at a time, and waits for them."""
        self._settle_all()

    def rest(self) -> None:
        """Ends the idle workers; the next call starts new ones."""
        if not self._jobs:
            self._stop()

    def abandon(self) -> None:
        """Makes calls of other threads that wait for workers raise VerifierLost; the only method they may not share."""
        self._abandoned = True

    @property
    def under_way(self) -> int:
        """Calls given to the workers and not yet collected."""
        return self._under_way

    @property
    def waiting(self) -> int:
        """Calls not settled yet, those that timed out once included."""
        return len(self._jobs)

    @property
    def _under_way(self) -> int:
        return len(self._jobs) - len(self._timed_out)

    def _settle_all(self) -> None:
        """Waits for every call, then makes those that timed out again, one at a time."""
        while self._under_way:
            self._collect(block=True)
        while self._timed_out:
            self._start(self._timed_out.pop())
            while self._under_way:
                self._collect(block=True)

    def _take(self, problem: Problem, sample: Sample) -> Key | None:
        """Settles the sample if that needs no worker; else the key of the call to start, None if it is under way."""
        with self._here:
            key = _digest(problem, self._verifier.verdict_key(problem, sample))
        if key in self._jobs:
            self._jobs[key].indices.append(sample.index)
            return None
        if key not in self._known:
            started = time.perf_counter()
            inline = self._verifier.limits is None
            with self._here:
                verdict = (self._verifier.verify if inline else self._verifier.quick)(problem, sample)
            if verdict is None and not inline:
                self._jobs[key] = _Job(problem, sample, [sample.index])
                return key
            self._known[key] = checked(verdict, started)
        self._ready.append(self._known[key].for_index(sample.index))
        return None

    def _start(self, key: Key) -> None:
        limits, job = self._verifier.limits, self._jobs[key]
        assert limits is not None
        if self._pool is None or not self._pool.active:
            self._stop()
            self._pool = self._source(limits)
        future = self._pool.call(job.problem, job.sample, limits.wall_s * _PATIENCE[job.attempt])
        future.add_done_callback(lambda done: self._finished.put((key, done)))

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool = None

    def _local(self, limits: WorkLimits) -> VerifierWorkers:
        return LocalWorkers(self._verifier, self._workers, limits.memory_mb)

    def _collect(self, block: bool) -> None:
        while True:
            try:
                key, future = self._finished.get(block, _GLANCE_S)
                break
            except queue.Empty:
                if self._abandoned:
                    raise VerifierLost("verifying was stopped") from None
        self._take_in(key, future)

    def _take_in(self, key: Key, future: Future[Verdict]) -> None:
        job = self._jobs[key]
        error = future.exception()
        self._alive = self._alive or not isinstance(error, BrokenProcessPool)
        if error is not None and job.attempt + 1 < len(_PATIENCE):
            job.attempt += 1
            if isinstance(error, TimeoutError):
                self._timed_out.append(key)
            else:
                self._start(key)
            return
        if not self._alive:
            raise VerifierLost(
                f"no worker of verifier '{self._verifier.name}' starts; check free memory, and in a script of your own "
                'call the harness under `if __name__ == "__main__":`'
            ) from error
        verdict = future.result() if error is None else self._void(job.sample, error)
        self._known[key] = verdict
        self._ready.extend(verdict.for_index(index) for index in job.indices)
        del self._jobs[key]

    def _void(self, sample: Sample, error: BaseException) -> Verdict:
        from pebble import ProcessExpired

        if isinstance(error, TimeoutError):
            return Verdict.void(sample, "verifier_timeout")
        if isinstance(error, ProcessExpired | BrokenProcessPool | VerifierLost):
            return Verdict.void(sample, "worker_lost")
        if isinstance(error, HarnessError):
            raise error  # a fault of the task or the request: every other sample would meet it too
        fault = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        if fault not in self._warned:
            self._warned.add(fault)
            where = f"{sample.problem_id} sample {sample.index}"
            _LOG.warning("verifier '%s' failed on %s, verdict void: %s", self._verifier.name, where, fault)
        return Verdict.void(sample, "verifier_error")


def _digest(problem: Problem, verdict_key: str) -> Key:
    parts = "\0".join((problem.task, problem.problem_id, verdict_key))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()
