"""Verdicts kept in memory, so that one program is run once for one task, however often it is asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from rlvr_sandbox.pool import Batch
from rlvr_sandbox.records import Judgement, Ruling

# Errors that hang on the machine's memory and load, not on the program alone.
_PASSING_ERRORS = ("MemoryError", "RecursionError", "OSError", "BlockingIOError")


@dataclass(frozen=True, slots=True)
class Entry:
    """A judgement and the batch of its box; None where no box ran."""

    judgement: Judgement
    batch: Batch | None = None

    @property
    def lasting(self) -> bool:
        """True where the program would be judged the same again: passed, wrong, does not compile, raises."""
        if self.judgement.ruling is Ruling.PASS:
            return True
        kind, _, detail = self.judgement.reason.partition(": ")
        if self.judgement.ruling is not Ruling.FAIL:
            return False
        return kind in ("wrong_answer", "opaque_output") or (kind == "raised" and detail not in _PASSING_ERRORS)


class Cache:
    """At most `size` verdicts, the least recently used ones dropped; 0 keeps none. Safe to share between threads.

    Several judges may share one: keys tell interpreter and modules apart.
    """

    def __init__(self, size: int = 100_000) -> None:
        """An entry takes about half a kilobyte."""
        self._size = size
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._running: dict[bytes, Future[Entry]] = {}
        self._lock = threading.Lock()
        self.hits = 0

    def __len__(self) -> int:
        """How many verdicts are kept."""
        return len(self._entries)

    def get_or_run(self, key: bytes, run: Callable[[], Entry]) -> Entry:
        """The entry of that key, run now if there is none; equal keys asked for meanwhile wait for the same run."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                self.hits += 1
                return self._entries[key]
            future = self._running.get(key)
            mine = future is None
            if future is None:
                future = self._running[key] = Future()
            else:
                self.hits += 1
        if mine:
            self._run(key, run, future)
        return future.result()

    def _run(self, key: bytes, run: Callable[[], Entry], future: Future[Entry]) -> None:
        try:
            entry = run()
        except BaseException as error:  # noqa: BLE001  (handed to all who wait, this thread first)
            with self._lock:
                del self._running[key]
            future.set_exception(error)
            return
        with self._lock:
            del self._running[key]
            if entry.lasting and not (entry.batch and entry.batch.good is False):
                self._entries[key] = entry
                while len(self._entries) > self._size:
                    self._entries.popitem(last=False)
        future.set_result(entry)

    def drop(self, batch: Batch) -> None:
        """Forgets every verdict of that batch."""
        with self._lock:
            for key in [key for key, entry in self._entries.items() if entry.batch is batch]:
                del self._entries[key]
