"""How a run is stopped: Ctrl-C or SIGTERM once to keep what is finished, twice to end at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Self

SIGNALLED = 128
"""Added to a signal's number, it is the exit status of a process that the signal ended; 130 for Ctrl-C."""


class Stopped(BaseException):
    """The user ends the program; not KeyboardInterrupt, which click answers with a line of its own."""


class Stopping:
    """Turns the first signal into `Stopped`, a second one ends the process; a context manager."""

    def __init__(self) -> None:
        """No signal has come."""
        self.status = SIGNALLED + signal.SIGINT
        self._came = False

    def __enter__(self) -> Self:
        """Takes over SIGINT and SIGTERM."""
        self._before = {signum: signal.signal(signum, self._stop) for signum in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the signals to whoever had them."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        if self._came:
            os._exit(SIGNALLED + signum)
        self._came, self.status = True, SIGNALLED + signum
        raise Stopped
