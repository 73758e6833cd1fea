"""The judge: holds the expected answers, gives programs to boxes, and rules on the data that comes back.

One rule carries it: expected answers and the comparison never enter a process that a program can touch. So whatever a
program forges is only data that must equal answers it has not seen. A pass means that for every test one output came
back in time, was well formed, and satisfied the oracle here.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from types import TracebackType
from typing import Self

from rlvr_sandbox.backends import open_backend
from rlvr_sandbox.box import Backend
from rlvr_sandbox.cache import Cache, Entry
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.pool import BoxPool
from rlvr_sandbox.prepared_tasks import PreparedTasks
from rlvr_sandbox.preparing import OracleBroken, PreparedTask
from rlvr_sandbox.records import CodeTask, Judgement, Ruling, TestRun
from rlvr_sandbox.trial import Trial

_log = logging.getLogger(__name__)
_FRESH_BOXES = 2
# Results that `judge_all` holds back per box: twice as many as share the canaries that release them, so that boxes do
# not run dry meanwhile.
_HELD, _RELEASED = 128, 64


class Judge:
    """Judges programs on one backend. Thread safe; close it, or use it in a `with` statement.

    A box is tried with a right and a wrong program every `canary_every` programs. When it rules them wrongly it is
    replaced, what it judged since the last good try leaves the cache, and `judge_all`, which gives out only results of
    boxes that were tried since, judges those again. `judge` and `reward` answer at once, before that try.
    """

    def __init__(
        self,
        backend: str | Backend = "local",
        *,
        workers: int | None = None,
        level: int = 3,
        cache: Cache | None = None,
        canary_every: int = 200,
    ) -> None:
        """`workers`: programs run at the same time, one a processor core when left out; `cache`: one of its own.

        Raises SandboxUnavailable when the backend does not reach `level`. The backend `unsafe` is exempt when it is
        asked for by that name, and only then.
        """
        self._backend = open_backend(backend) if isinstance(backend, str) else backend
        if backend == "unsafe":
            _log.warning("sandbox `unsafe`: programs run with all the rights of this user, for trusted code only")
        else:
            _refuse_below(self._backend, level)
        self._workers = workers or _cores()
        self._pool = BoxPool(self._backend, self._workers, 0 if backend == "unsafe" else level, max(1, canary_every))
        self._cache = Cache() if cache is None else cache
        self._tasks = PreparedTasks()
        modules = ",".join(sorted(getattr(self._backend, "modules", ())))
        self._environment = f"{getattr(self._backend, 'interpreter', sys.version)}|{modules}"

    def judge(self, program: str, task: CodeTask) -> Judgement:
        """The ruling on one program. Raises TaskInvalid and SandboxUnavailable, never for what the program does."""
        return self._entry(program, self._tasks.get(task)).judgement

    def judge_all(self, pairs: Iterable[tuple[str, CodeTask]]) -> Iterator[Judgement]:
        """The rulings on (program, task) pairs, in order, on all boxes at once.

        Takes up to 128 pairs for each worker before the first result, and holds as many at a time. Raises as `judge`.
        """
        window: deque[tuple[str, PreparedTask, Future[Entry]]] = deque()
        with ThreadPoolExecutor(self._workers, "judge") as threads:
            try:
                for program, task in pairs:
                    prepared = self._tasks.get(task)
                    window.append((program, prepared, threads.submit(self._entry, program, prepared)))
                    if len(window) >= _HELD * self._workers:
                        yield self._next_of(window)
                while window:
                    yield self._next_of(window)
            finally:
                for *_, future in window:
                    future.cancel()

    def reward(self, program: str, task: CodeTask) -> float | None:
        """1.0 for a pass, 0.0 for a fail, None when the harness failed. Never raises; the log says why None."""
        try:
            judgement = self.judge(program, task)
        except Exception as error:  # noqa: BLE001  (a reward function must not end a training run)
            _log.warning("no reward for a program of task %s: %r", getattr(task, "name", "?"), error)
            return None
        if judgement.ruling is Ruling.VOID:
            _log.warning("no reward for a program of task %s: %s", task.name, judgement.reason)
            return None
        return 1.0 if judgement.ruling is Ruling.PASS else 0.0

    def observe(self, program: str, prepared: PreparedTask) -> list[TestRun]:
        """The runs of a trusted program, as they came, judged by nothing: what calibration starts from.

        Raises SandboxUnavailable when the box breaks, and breaks again.
        """
        for _ in range(1 + _FRESH_BOXES):
            trial = Trial(prepared, program, keep_runs=True)
            with self._pool.lease() as lease:
                trial.run(lease)
            if trial.lost is None:
                return trial.runs
        raise SandboxUnavailable(f"the sandbox broke over the solution of task {prepared.task.name}: {trial.lost}")

    def close(self) -> None:
        """Ends every box; programs under way end first."""
        self._pool.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def _entry(self, program: str, prepared: PreparedTask) -> Entry:
        key = prepared.key(program, self._environment)
        return self._cache.get_or_run(key, lambda: self._settle(program, prepared))

    def _next_of(self, window: deque[tuple[str, PreparedTask, Future[Entry]]]) -> Judgement:
        """The first result once its box is known to have been in order; judged again where it was not."""
        entry = window[0][2].result()
        if entry.batch is not None and entry.batch.good is None:
            wait([future for *_, future in islice(window, _RELEASED * self._workers)])
        program, prepared, _ = window.popleft()
        if entry.batch is None or self._pool.confirm(entry.batch):
            return entry.judgement
        self._cache.drop(entry.batch)
        return self._entry(program, prepared).judgement

    def _settle(self, program: str, prepared: PreparedTask) -> Entry:
        """Runs the program until there is a ruling: on fresh boxes when one is lost, again alone when it is slow."""
        lost, alone = list[str](), False
        while len(lost) <= _FRESH_BOXES:
            trial = Trial(prepared, program)
            try:
                with self._pool.lease(alone) as lease:
                    trial.run(lease)
            except OracleBroken as broken:
                return Entry(_void(f"oracle_failed: {broken}"))
            except SandboxUnavailable as unavailable:
                if not self._pool.ever_opened:
                    raise
                lost.append(str(unavailable))
                continue
            if lease.batch.good is False:
                self._cache.drop(lease.batch)
                lost.append("the sandbox judged its canaries wrong")
            elif trial.lost is not None:
                lost.append(trial.lost)
            elif trial.timed_out and not (alone or (lease.alone and trial.busy)):
                alone = True
            else:
                return Entry(trial.judgement(lease.box.level), lease.batch)
        return Entry(_void(f"sandbox_lost: {lost[-1]}"))


def _cores() -> int:
    """Processor cores that this process may use; Linux tells, elsewhere all of them count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _void(reason: str) -> Judgement:
    return Judgement(Ruling.VOID, reason, 0, 0.0)


def _refuse_below(backend: Backend, level: int) -> None:
    isolation = backend.isolation()
    if isolation.level >= max(level, 1):
        return
    missing = "; ".join(isolation.missing) or "it does not say why"
    advice = f" {isolation.advice}" if isolation.advice else ""
    ways = "use the `docker` sandbox" if backend.name != "docker" else "use the `local` sandbox"
    lower = f", or accept less with --level {isolation.level}" if isolation.level else ""
    raise SandboxUnavailable(
        f"the sandbox `{backend.name}` reaches isolation level {isolation.level} of {level} asked for: {missing}."
        f"{advice} Way out: {ways}{lower}"
    )
