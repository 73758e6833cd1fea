"""What this process and all below it use while a program is judged, read from /proc."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 0.05
_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


@dataclass(slots=True)
class Peak:
    """The most seen at once. Memory in MiB: resident, beyond what there was before, and of the machine's tmpfs."""

    processes: int = 0
    memory_mb: float = 0.0
    tmpfs_mb: float = 0.0


def adopt_orphans() -> None:
    """From here on a process that leaves its parent becomes a child of this one, instead of getting away."""
    ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> set[int]:
    """Processes below this one; the dead that nobody waited for are left out."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):  # noqa: PTH208  (called many times a second)
        if not entry.isdigit():
            continue
        with suppress(OSError):
            state, parent = (_PROC / entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry))
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo.extend(below)
    return found


def named(name: str) -> set[int]:
    """Processes of that name on the whole machine, the dead left out."""
    found = set()
    for entry in _PROC.iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                _, _, rest = (entry / "stat").read_text(errors="replace").partition("(")
                comm, _, state = rest.rpartition(") ")
                if comm == name and state[:1] != "Z":
                    found.add(int(entry.name))
    return found


def wait_until_gone(before: int, seconds: float) -> bool:
    """Whether, within that time, there are at most `before` descendants and no `rlvrsurv`."""
    until = time.monotonic() + seconds
    while len(descendants()) > before or named("rlvrsurv"):
        if time.monotonic() > until:
            return False
        time.sleep(_EVERY_S)
    return True


def _resident_mb(processes: set[int]) -> float:
    """Memory of their own: pages of files and of tmpfs are left out."""
    pages = 0
    for process in processes:
        with suppress(OSError):
            _, resident, shared, *_ = (_PROC / str(process) / "statm").read_text().split()
            pages += int(resident) - int(shared)
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _tmpfs_mb() -> float:
    lines = (_PROC / "meminfo").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("Shmem:"))) / 1024


@contextmanager
def watched() -> Iterator[Peak]:
    """Fills the peak while the block runs, from samples 50 ms apart."""
    peak, done = Peak(), threading.Event()
    us = {os.getpid()}
    memory_before, tmpfs_before = _resident_mb(descendants() | us), _tmpfs_mb()

    def sample() -> None:
        below = descendants()
        peak.processes = max(peak.processes, len(below))
        peak.memory_mb = max(peak.memory_mb, _resident_mb(below | us) - memory_before)
        peak.tmpfs_mb = max(peak.tmpfs_mb, _tmpfs_mb() - tmpfs_before)

    def keep_sampling() -> None:
        while not done.wait(_EVERY_S):
            sample()

    thread = threading.Thread(target=keep_sampling, name="watch", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
