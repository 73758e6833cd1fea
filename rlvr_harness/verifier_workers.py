"""Processes on this machine that call a verifier under hard limits of time and memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from rlvr_harness.contracts import Verifier
from rlvr_harness.records import Problem, Sample, Verdict

_CALLS_PER_WORKER = 2000  # a worker then restarts, for libraries that cache without bound


class LocalWorkers:
    """See `VerifierWorkers`. A call past its time has its process killed."""

    def __init__(self, verifier: Verifier, count: int, memory_mb: int) -> None:
        """`count` processes, which may hold `memory_mb` more than they begin with.

        They share no state with this one: forking a process that runs torch threads could deadlock.
        """
        from pebble import ProcessPool

        self._verifier = verifier
        self._pool: Any = ProcessPool(
            max_workers=count,
            max_tasks=_CALLS_PER_WORKER,
            initializer=_prepare_worker,
            initargs=(memory_mb,),
            context=multiprocessing.get_context("forkserver"),
        )

    @property
    def active(self) -> bool:
        """Whether further calls can be taken."""
        return bool(self._pool.active)

    def call(self, problem: Problem, sample: Sample, wall_s: float) -> Future[Verdict]:
        """The verdict to come; TimeoutError past `wall_s`, pebble's ProcessExpired for a dead worker."""
        done: Future[Verdict] = self._pool.schedule(_verify, args=(self._verifier, problem, sample), timeout=wall_s)
        return done

    def stop(self) -> None:
        """Ends the processes at once."""
        self._pool.stop()
        self._pool.join()


def checked(verdict: object, started: float) -> Verdict:
    """The verdict with the seconds since `started` (`time.perf_counter`). Raises TypeError for anything else."""
    if not isinstance(verdict, Verdict):
        raise TypeError(f"verify returned {type(verdict).__name__}, not a Verdict")
    seconds = time.perf_counter() - started
    return Verdict(verdict.problem_id, verdict.index, verdict.outcome, verdict.answer, verdict.reason, seconds)


def _verify(verifier: Verifier, problem: Problem, sample: Sample) -> Verdict:
    """Runs in a worker."""
    started = time.perf_counter()
    return checked(verifier.verify(problem, sample), started)


def _prepare_worker(memory_mb: int) -> None:
    """Ends the worker when the main process is gone, and caps its address space at what it holds now plus the limit."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
