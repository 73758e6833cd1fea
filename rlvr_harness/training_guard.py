"""Runs a command as `python training_guard.py COMMAND...` and ends it, and all it started, when its own parent is gone.

The parent holds the other end of standard input and never writes: however it ends, that stream then ends too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

PATIENCE_S = 20.0
"""What the process group is given to end by itself after each signal."""
CANNOT_START = 127
"""Exit status where the command cannot be started, as in a shell."""
_POLLING_S = 0.05


def main(command: list[str]) -> int:
    """The exit status of the command; a signal that ended it ends this process too."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _stay)  # a handler, which the command does not inherit; it is for the command to end
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return CANNOT_START
    threading.Thread(target=_watch, args=(process,), daemon=True).start()
    status = process.wait()
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _stay(signum: int, frame: object) -> None:
    """The command has the same signal, being of the same group."""


def _watch(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    for signum in (signal.SIGINT, signal.SIGTERM):
        os.killpg(0, signum)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and process.poll() is None:
            time.sleep(_POLLING_S)
        if process.poll() is not None:
            break
    os.killpg(0, signal.SIGKILL)  # workers that were left behind, and this process


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
