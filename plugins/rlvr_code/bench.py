"""Where programs are judged: a judge with the tasks that it met last, for one process."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rlvr_code.stored_tests import StoredTests
from rlvr_harness import Sandbox
from rlvr_sandbox.cache import Cache
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.records import CodeTask, Judgement

_MOST_TEST_BYTES = 256 << 20


@dataclass(frozen=True)
class Place:
    """The sandbox programs run in, the level asked for, and the folder of their tests. Pickles to workers."""

    sandbox: Sandbox = field(compare=False)
    name: str
    level: int
    tests: StoredTests


@dataclass
class _Round:
    """A judge and the tasks it knows; closed when the last user has left after it was given up."""

    judge: Judge
    tasks: dict[str, CodeTask] = field(default_factory=dict)
    held: int = 0
    users: int = 0
    given_up: bool = False


class Bench:
    """Judges programs by the key of their tests. Thread safe.

    When the tests held pass 256 MB, the next problem drops them together with the judge that has prepared them.
    """

    def __init__(self, place: Place, workers: int | None = None, cache: Cache | None = None) -> None:
        """`workers`: programs at the same time, one a free core when left out."""
        self._place, self._workers = place, workers
        self._cache = Cache() if cache is None else cache
        self._round: _Round | None = None
        self._lock = threading.Lock()

    def judge(self, program: str, key: str) -> Judgement:
        """The ruling. Raises TaskError, TaskInvalid and SandboxUnavailable."""
        with self._joined(key) as current:
            task = current.tasks.get(key) or self._take(current, key)
            return current.judge.judge(program, task)

    def close(self) -> None:
        """Ends every box, once the programs under way have ended."""
        with self._lock:
            self._give_up()

    @contextmanager
    def _joined(self, key: str) -> Iterator[_Round]:
        with self._lock:
            if self._round is not None and self._round.held > _MOST_TEST_BYTES and key not in self._round.tasks:
                self._give_up()
            if self._round is None:
                place = self._place
                # `unsafe` is exempt from levels when it is asked for by its name alone.
                backend: Any = "unsafe" if place.name == "unsafe" else place.sandbox
                judge = Judge(backend, workers=self._workers, level=place.level, cache=self._cache)
                self._round = _Round(judge)
            current = self._round
            current.users += 1
        try:
            yield current
        finally:
            with self._lock:
                current.users -= 1
                if current.given_up and not current.users:
                    current.judge.close()

    def _take(self, current: _Round, key: str) -> CodeTask:
        task = self._place.tests.task(key, current.judge, self._place.name)
        weight = self._place.tests.weight(key, self._place.name)
        with self._lock:
            known = current.tasks.setdefault(key, task)
            current.held += weight if known is task else 0
        return known

    def _give_up(self) -> None:
        """Called with the lock held."""
        current, self._round = self._round, None
        if current is not None:
            current.given_up = True
            if not current.users:
                current.judge.close()


@cache
def bench_of_process(place: Place) -> Bench:
    """The bench that all calls in a process share; it ends with the process."""
    bench = Bench(place, workers=1)
    atexit.register(bench.close)
    return bench
