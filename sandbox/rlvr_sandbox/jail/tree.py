"""CPU time and memory of a child and all that it started, read from outside through /proc and the CPU clocks."""

# pathlib would lie in the memory of every program; these are a few plain calls.
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable

_RESIDENT = re.compile(rb"^Rss(?:Anon|Shmem):\s*([0-9]+) kB", re.MULTILINE)


def _cpu_clock(pid: int) -> int:
    """The clock that counts the CPU time of all threads of a process (the kernel's MAKE_PROCESS_CPUCLOCK)."""
    return (~pid << 3) | 2


def descendants(root: int) -> list[int]:
    """Every process below that one, by the parents that the kernel names."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                children.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found: list[int] = []
    level = [root]
    while level:
        level = [child for parent in level for child in children.get(parent, ())]
        found += level
    return found


class Usage:
    """What the tree below one child has used so far."""

    def __init__(self, pid: int, processes: Callable[[], list[int]]) -> None:
        """`pid` is the child; `processes` lists the tree below it, itself included."""
        self._pid, self._list = pid, processes
        self._seen: dict[int, float] = {}
        self._settled_s = 0.0
        self.looked_at = time.monotonic()
        self.memory_mb = 0.0
        self.peak_mb = 0.0
        self.processes = 1

    @property
    def cpu_s(self) -> float:
        """CPU seconds of every process that was ever seen, or what the kernel says at the end where that is more."""
        return max(self._settled_s, sum(self._seen.values()))

    def look_at_first(self) -> None:
        """Reads the CPU time of the child itself only: cheap, for the end of a test."""
        self._read_cpu(self._pid)

    def look_at_memory(self) -> None:
        """Reads the memory of the child itself, unless it is known by now."""
        if not self.peak_mb:
            self.peak_mb = self._resident_mb(self._pid)

    def look(self) -> None:
        """Reads the whole tree."""
        self.looked_at = time.monotonic()
        pids = self._list() or [self._pid]
        self.processes = len(pids)
        self.memory_mb = sum(self._resident_mb(pid) for pid in pids)
        for pid in pids:
            self._read_cpu(pid)
        self.peak_mb = max(self.peak_mb, self.memory_mb)

    def kept_waiting_s(self) -> float:
        """Seconds that the child, ready to run, has waited for a processor; 0 where the kernel does not tell."""
        try:
            with open(f"/proc/{self._pid}/schedstat", "rb") as file:
                return int(file.read().split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def settle(self, cpu_s: float, peak_mb: float) -> None:
        """The kernel's account of a child that was waited for."""
        self._settled_s = cpu_s
        self.peak_mb = max(self.peak_mb, peak_mb)

    def _read_cpu(self, pid: int) -> None:
        try:
            self._seen[pid] = max(self._seen.get(pid, 0.0), time.clock_gettime(_cpu_clock(pid)))
        except OSError:
            return  # it ended: what was last seen of it stays

    def _resident_mb(self, pid: int) -> float:
        """Anonymous and shared memory; pages of files are not counted, the kernel can take those back."""
        try:
            with open(f"/proc/{pid}/status", "rb") as file:
                fields = _RESIDENT.findall(file.read())
        except OSError:
            return 0.0  # it ended
        return sum(map(int, fields)) / 1024
