"""Shutting a program in inside a container, which gives the namespaces: an own user id, limits, Landlock, a filter."""

# pathlib would lie in the memory of every program; these are a few plain calls.
# ruff: noqa: PTH101, PTH104, PTH106, PTH108, PTH110, PTH116, PTH118, PTH123, PTH208

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import signal
import stat
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from . import landlock, syscalls
from .confine import fixed_limits, job_limits
from .view import WORK
from .weak import PR_SET_CHILD_SUBREAPER, Filtered

_SHARED = "/dev/shm"  # semaphores of multiprocessing live there
_OUT_OF_THE_WAY = 10  # each child has its own streams at the lowest numbers
# Whoever ends a program has this real user id, so that the program, whose user it acts as, cannot end it first.
_SWEEPER_ID = 65_532


class Contained(Filtered):
    """Level 3: the container's namespaces, a user id that no one else has in it, and all that `Filtered` does.

    The zygote is the first process of the container and, but for the programs' user, the only one in it. Nothing of the
    container can be written except the folders that are emptied after each program.
    """

    level = 3

    def __init__(self, scratch: str, names: Sequence[str], user: int) -> None:
        """`names`: the modules that programs may import, where the image has them. `user`: the programs' user id."""
        super().__init__(scratch, _installed(names))
        self._id, self._rules, self._forker = user, -1, False
        self._emptied: list[str] = []
        self._limits: Mapping[str, Any] | None = None
        self._steps: list[Callable[[], object]] = []
        self.mechanisms = ["container", "pid_ns", "mount_ns", "net_ns", "own_uid", "rlimits"]

    def enter(self) -> None:
        """OSError where the container is not as it was asked for."""
        _check_container()
        super().enter()
        os.chmod(WORK, 0o1777)  # runc gives the mount the mode that the folder has in the image
        self._emptied = _writable_by_all()
        for folder in self._emptied:
            _empty(folder)  # Podman gives the mount what the folder holds in the image
        if self._landlock:
            rules = landlock.file_rules(self._readable, [WORK, _SHARED, "/dev/null"])
            self._rules = fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
            os.close(rules)

    def guard(self) -> None:
        """Orphans of the program come to this process. It ends with the zygote, the container's first process."""
        self._forker = True
        syscalls.prctl(PR_SET_CHILD_SUBREAPER, 1)
        for kind, pair in fixed_limits():
            resource.setrlimit(kind, pair)

    def before_fork(self, limits: Mapping[str, Any]) -> None:
        """The work folder is there, and empty. The child's part is laid out here: here memory is warm."""
        if limits != self._limits:
            self._limits, self._steps = limits, self._laid_out(limits)

    def _laid_out(self, limits: Mapping[str, Any]) -> list[Callable[[], object]]:
        """Limits, identity, no capabilities, Landlock, filter, in this order."""
        steps: list[Callable[[], object]] = [_be_first_out_of_memory]
        steps += [partial(resource.setrlimit, *limit) for limit in job_limits(limits, also_counted=0)]
        steps += [partial(os.setgroups, []), partial(os.setresgid, self._id, self._id, self._id)]
        steps.append(partial(os.setresuid, self._id, self._id, self._id))
        steps.append(syscalls.Prepared("prctl", syscalls.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        steps.append(syscalls.Prepared("prctl", syscalls.PR_SET_DUMPABLE, 1, 0, 0, 0))
        steps += [partial(os.chdir, WORK), syscalls.dropping_capabilities()]
        if self._rules >= 0:
            steps.append(syscalls.Prepared("landlock_restrict_self", self._rules, 0))
        return [*steps, self._filter.load]

    def shut_in(self, limits: Mapping[str, Any]) -> None:
        """Takes the steps that `before_fork` has laid out."""
        for step in self._steps:
            step()

    def processes(self, forker: int) -> list[int]:
        """Every process of the container but ours."""
        ours = (os.getpid(), forker)
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in ours]

    def clear(self) -> None:
        """In the forking process: ends what is left of the program, and then empties the folders."""
        if not self._forker:
            return  # when the zygote ends so does the container
        while _has_children():
            self._as_program(lambda: os.kill(-1, signal.SIGKILL))
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)
        for folder in self._emptied:
            if os.listdir(folder):
                self._as_program(lambda folder=folder: _empty(folder))  # type: ignore[misc]
                if os.listdir(folder):
                    raise OSError(f"{folder} could not be emptied after a program")

    def _as_program(self, act: Callable[[], None]) -> None:
        """Does that as the programs' user: the zygote itself may neither read nor remove the files of another."""
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setresgid(self._id, self._id, self._id)
                os.setresuid(_SWEEPER_ID, self._id, _SWEEPER_ID)
                act()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)


def _be_first_out_of_memory() -> None:
    """When the container is out of memory the program goes, not the zygote."""
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(file, b"1000")
        os.close(file)


def _check_container() -> None:
    """That the engine has kept to what it was asked for."""
    if os.getpid() != 1:
        raise OSError("the container has no PID namespace of its own")
    with open("/proc/net/dev") as lines:
        names = [line.partition(":")[0].strip() for line in lines if ":" in line]
    others = [name for name in names if name != "lo"]
    if others:
        raise OSError(f"the container has a network ({', '.join(others)})")
    for folder in ("", "/etc", "/usr"):
        path = f"{folder}/.rlvr-sandbox"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        except OSError:
            continue
        os.unlink(path)
        raise OSError(f"the container's {folder or '/'} can be written")


def _writable_by_all() -> list[str]:
    """Mounts that the programs' user could write in if Landlock did not keep it from it: Podman adds /var/tmp."""
    found = []
    with open("/proc/mounts") as lines:
        for line in lines:
            _, folder, kind, options, *_ = line.split()
            if kind in ("tmpfs", "mqueue") and options.startswith("rw"):
                mode = os.stat(folder).st_mode
                if stat.S_ISDIR(mode) and mode & stat.S_IWOTH:
                    found.append(folder)
    return found


def _installed(names: Sequence[str]) -> dict[str, str]:
    """Where the image keeps those modules, with the folders of shared libraries that their wheels bring."""
    found = {}
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), "/usr/lib/python3/dist-packages"}:
        for wanted in [part for name in names for part in (name, f"{name}.libs", f"{name}.py")]:
            path = os.path.join(folder, wanted)
            if os.path.exists(path):
                found[wanted] = path
    return found


def _has_children() -> bool:
    """Reaps what has ended; whether anything has not."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _empty(folder: str) -> None:
    """Removes all that is in the folder, however deep: folders in folders are brought up first, one level at a time."""
    token, number = os.urandom(8).hex(), 0
    while names := os.listdir(folder):
        for name in names:
            path = f"{folder}/{name}"
            if _unlinked(path):
                continue
            os.chmod(path, 0o700)
            for inner in os.listdir(path):
                if not _unlinked(f"{path}/{inner}"):
                    os.chmod(f"{path}/{inner}", 0o700)
                    number += 1
                    os.rename(f"{path}/{inner}", f"{folder}/.{token}-{number}")
            os.rmdir(path)


def _unlinked(path: str) -> bool:
    """Removes a file of any kind; False for a folder."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        return False
    return True
