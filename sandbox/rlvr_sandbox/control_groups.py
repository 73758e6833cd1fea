"""Control groups, version 1 or 2, where this user may make them: bounds on a box that the kernel itself keeps.

Without them (most ordinary users) the supervisor's own looks at the process tree are the bound on memory, and
RLIMIT_NPROC the one on processes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path

_OURS_MB = 128  # the zygote, the forking process, and what the kernel keeps for them
_OURS_PROCESSES = 8
_EMPTY_S = 2.0
_numbers = itertools.count()


def hierarchies(mounts: str, own: str) -> dict[str, Path]:
    """Controller (`pids`, `memory`) -> the folder of this process's group; texts of /proc/mounts and /proc/self/cgroup.

    Version 1 names its controllers in the mount options, version 2 has them all in one tree.
    """
    groups: dict[str, str] = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, folder, kind, options, *_ = line.split(" ")
        for controller in ("pids", "memory"):
            if kind == "cgroup" and controller in options.split(",") and controller in groups:
                found[controller] = Path(folder) / groups[controller].lstrip("/")
            elif kind == "cgroup2" and "" in groups:
                found.setdefault(controller, Path(folder) / groups[""].lstrip("/"))
    return found


class ControlGroup:
    """One group per hierarchy for one box. `mechanisms` names what it bounds."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders`: controller -> the group's own folder, already made."""
        self._folders = dict(folders)
        self._limits: tuple[int, int] | None = None

    @classmethod
    def make(cls) -> ControlGroup | None:
        """A new group below this process's own; None where none can be made."""
        try:
            parents = hierarchies(Path("/proc/mounts").read_text(), Path("/proc/self/cgroup").read_text())
        except (OSError, ValueError):
            return None
        name, folders = f"rlvr-sandbox-{os.getpid()}-{next(_numbers)}", dict[str, Path]()
        for controller, parent in parents.items():
            folder = parent / name
            with contextlib.suppress(OSError):
                folder.mkdir(exist_ok=True)
                if (folder / _LIMIT_FILES[controller][0]).exists() or (folder / _LIMIT_FILES[controller][1]).exists():
                    folders[controller] = folder
                elif folder not in folders.values():
                    folder.rmdir()
        return cls(folders) if folders else None

    @classmethod
    def around(cls, pid: int) -> ControlGroup | None:
        """A new group with this process in it; None where that cannot be had."""
        group = cls.make()
        if group is None:
            return None
        try:
            group.add(pid)
        except OSError:
            group.remove()
            return None
        return group

    @property
    def mechanisms(self) -> list[str]:
        """For the isolation report."""
        return [f"cgroup_{controller}" for controller in self._folders]

    def add(self, pid: int) -> None:
        """Takes in a process, and with it all that it will fork."""
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def limit(self, processes: int, memory_mb: int) -> None:
        """Bounds the program that runs next; our own processes are added to it."""
        if self._limits == (processes, memory_mb):
            return
        values = {"pids": processes + _OURS_PROCESSES, "memory": (memory_mb + _OURS_MB) << 20}
        for controller, folder in self._folders.items():
            for name in _LIMIT_FILES[controller]:
                if (folder / name).exists():
                    (folder / name).write_text(str(values[controller]))
        self._limits = (processes, memory_mb)

    def remove(self) -> None:
        """Takes the group away once its processes are gone."""
        until = time.monotonic() + _EMPTY_S
        for folder in set(self._folders.values()):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > until:
                        return
                    time.sleep(0.01)


_LIMIT_FILES = {"pids": ("pids.max", "pids.max"), "memory": ("memory.max", "memory.limit_in_bytes")}
