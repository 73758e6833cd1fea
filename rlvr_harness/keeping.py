"""A run folder for several threads, which commits by itself, however long an engine or a verifier takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rlvr_harness.records import Sample, Verdict
from rlvr_harness.run_store import COMMIT_EVERY_S, RunStore

COMMIT_AFTER_S = COMMIT_EVERY_S - 0.5
"""Age at which rows are committed: writing them takes time too, and after 2 s they must lie on the disk."""
PULSE_S = 0.1


class Keeper:
    """Commits the store in a thread of its own; use as a context manager, which commits the rest at its end.

    A store that fails in that thread is told to `on_failure`, and raised by the next call.
    """

    def __init__(
        self, store: RunStore, on_failure: Callable[[BaseException], None], on_pulse: Callable[[], None]
    ) -> None:
        """`on_pulse` is called `PULSE_S` apart, for whatever else is to happen regularly."""
        self._store, self._on_failure, self._on_pulse = store, on_failure, on_pulse
        self._lock = store.lock
        self._oldest: float | None = None
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pulse, name="keeping", daemon=True)

    def __enter__(self) -> Self:
        """The keeper, its thread running."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the thread and commits what is pending."""
        self._ended.set()
        self._thread.join()
        if self._failure is None:
            self._commit()

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Adds samples; they are on disk within `COMMIT_EVERY_S`."""
        with self._lock:
            self._raise_failure()
            self._store.append_samples(samples)
            self._oldest = self._oldest or time.monotonic()

    def add_verdicts(self, task: str, role: str, verifier: str, verdicts: Sequence[Verdict]) -> None:
        """Adds verdicts; they are on disk within `COMMIT_EVERY_S`."""
        with self._lock:
            self._raise_failure()
            self._store.append_verdicts(task, role, verifier, verdicts)
            self._oldest = self._oldest or time.monotonic()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _pulse(self) -> None:
        try:
            while not self._ended.wait(PULSE_S):
                if self._oldest is not None and time.monotonic() - self._oldest >= COMMIT_AFTER_S:
                    self._commit()
                self._on_pulse()
        except Exception as error:  # noqa: BLE001  (told to the main thread, which raises it)
            self._failure = error
            self._on_failure(error)

    def _commit(self) -> None:
        with self._lock:
            self._oldest = None
            self._store.commit()
