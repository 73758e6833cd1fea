"""Samples the models of a run at the same time: a thread for each, which drives an engine in processes of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import Pipe

from rlvr_harness.errors import HarnessError, ModelError
from rlvr_harness.executing import LocalExecution
from rlvr_harness.executor_contracts import Execution
from rlvr_harness.pipeline import Line

GLANCE_S = 0.2
"""How often the main thread looks up from its wait: a signal that another thread received does not end a wait."""
Sampling = Callable[[str, "Ending"], None]
"""Samples the model of a role to the end, or until the ending."""


class Ending:
    """Whether sampling ends early, for all models: one has failed, or the user stops the run. Any thread may call it.

    See `sampler_contracts.EarlyEnd` for what engines make of it.
    """

    def __init__(self) -> None:
        """Nothing has happened."""
        self._lock = threading.Lock()
        self.judging = threading.Lock()
        """Held while a verifier, which all models share, is called in this process."""
        self._lines: list[Line] = []
        self._readable, self._open = Pipe(duplex=False)
        self.cause: BaseException | None = None

    def fileno(self) -> int:
        """Of a file that becomes readable with the end."""
        return self._readable.fileno()

    def end(self, cause: BaseException) -> None:
        """Ends all lines, and wakes all engines; what comes after the first cause is a consequence of it."""
        with self._lock:
            if self.cause is not None:
                return
            self.cause = cause
            self._open.close()
            lines = list(self._lines)
        for line in lines:
            line.end(_ended())

    @contextmanager
    def watched(self, line: Line) -> Iterator[None]:
        """Has the line end with the others. Raises HarnessError where they have ended already."""
        with self._lock:
            if self.cause is not None:
                raise _ended()
            self._lines.append(line)
        try:
            yield
        finally:
            with self._lock:
                self._lines.remove(line)

    def close(self) -> None:
        """Gives the file back, once no engine waits for it."""
        self._readable.close()
        self._open.close()


def shared_out(execution: Execution, models: int) -> Execution:
    """This machine for one of so many models: its part of the verifier processes."""
    workers = max(1, execution.workers // models)
    return LocalExecution(workers) if isinstance(execution, LocalExecution) else execution


def sample_side_by_side(devices: Mapping[str, str | None], sample: Sampling) -> None:
    """Samples all models; `devices` by role. Raises what failed first when all have ended, or what stops the user.

    A model's fault is told with its role; the file of the ending lives as long as any engine may wait for it.
    """
    ending, done = Ending(), threading.Semaphore(0)

    def drive(role: str) -> None:
        try:
            sample(role, ending)
        except BaseException as error:  # noqa: BLE001  (whatever fails here is the main thread's to raise)
            ending.end(_of(role, devices[role], error))
        finally:
            done.release()

    threads = [threading.Thread(target=drive, args=(role,), name=f"sampling {role}", daemon=True) for role in devices]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            while not done.acquire(timeout=GLANCE_S):
                pass
    except BaseException as stop:
        ending.end(stop)
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        ending.close()
    if ending.cause is not None:
        raise ending.cause


def _of(role: str, device: str | None, error: BaseException) -> BaseException:
    """The error, where it is a model's, with whose and where: several are at work."""
    if isinstance(error, ModelError):
        error.args = (f"{role}, on --devices {device}: {error}",)
    return error


def _ended() -> HarnessError:
    return HarnessError("sampling was ended: another model failed, or the run was stopped")
