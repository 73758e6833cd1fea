"""Shutting a program in by namespaces. The zygote enters them once; each child takes the rest upon itself."""

# pathlib would lie in the memory of every program; these are a few plain calls.
# ruff: noqa: PTH208

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from . import landlock, seccomp, syscalls, view

# Inside, everyone is 1000. Outside it is this number when root starts the zygote (root itself is exempt from process
# limits, and `nobody` may own other processes); an ordinary user stays itself.
_INSIDE_ID = 1000
_SPARE_ID = 65_533
# A deep recursion in C needs more than 8 MiB; 128 MiB is the room that the kernel leaves below the stack at start.
_STACK_BYTES = 112 << 20
REHEARSALS = 20  # the interpreter specialises a function after 8 calls, a loop after 16 rounds
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWPID
)


class Confinement(Protocol):
    """What the zygote asks of a way to shut programs in."""

    level: int
    pid: int
    """Of the zygote, as the one who started it sees it."""
    wraps: bool
    """The child is not the program but has it as a child."""
    mechanisms: list[str]
    missing: list[str]

    def enter(self) -> None:
        """Called once, in the zygote, before it says hello. OSError where this machine refuses."""

    def guard(self) -> None:
        """Called once, in the forking process, when that has just been made."""

    def before_fork(self, limits: Mapping[str, Any]) -> None:
        """Called in the forking process before each child is made, with the limits that `shut_in` will be given."""

    def hand_over(self, request: Sequence[Any], limits: Mapping[str, Any]) -> None:
        """Called in the child first. May become another program, which then runs the request (style, caps, parts)."""

    def end_code(self, code: int) -> int:
        """The exit status (negative: signal) of the program, from that of the child."""

    def shut_in(self, limits: Mapping[str, Any]) -> None:
        """Called in the child: after it nothing of the machine is within its reach."""

    def end(self, pid: int) -> None:
        """Called in the zygote: kills the child and all that it started; the child itself is left to be waited for."""

    def processes(self, forker: int) -> list[int]:
        """Called in the zygote: the process ids of the program."""

    def clear(self) -> None:
        """Called in the forking process after the child was waited for: leaves no process and no file of it."""


Limit = tuple[int, tuple[int, int]]
"""A resource of `setrlimit`, and its soft and hard limit."""


def _lowered(kind: int, soft: int, hard: int | None = None) -> Limit:
    """A limit, at most what is already in force."""
    ceiling = resource.getrlimit(kind)[1]
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    return kind, (soft, hard)


def fixed_limits() -> list[Limit]:
    """The kernel's own limits on a process that are the same for all programs."""
    kinds = {resource.RLIMIT_STACK: _STACK_BYTES, resource.RLIMIT_CORE: 0, resource.RLIMIT_MSGQUEUE: 0}
    return [_lowered(kind, most) for kind, most in kinds.items()]


def job_limits(limits: Mapping[str, Any], also_counted: int) -> list[Limit]:
    """Those that a job sets. `also_counted`: processes of ours that count against the same number; `processes` None:

    no such limit, for where it would count all processes of the judge's user.
    """
    cpu_s = int(limits["total_cpu_s"])
    found = [
        _lowered(resource.RLIMIT_AS, limits["memory_mb"] << 20),
        _lowered(resource.RLIMIT_CPU, cpu_s + 2, cpu_s + 3),
        _lowered(resource.RLIMIT_NOFILE, limits["open_files"]),
        _lowered(resource.RLIMIT_FSIZE, limits["file_mb"] << 20),
    ]
    if limits["processes"] is not None:
        found.append(_lowered(resource.RLIMIT_NPROC, limits["processes"] + also_counted))
    return found


def set_limits(limits: Mapping[str, Any], also_counted: int) -> None:
    """All of them, on this process."""
    for kind, pair in [*fixed_limits(), *job_limits(limits, also_counted)]:
        resource.setrlimit(kind, pair)


class Namespaced:
    """Level 3: own user, mount, network, IPC, UTS and PID namespaces, no capabilities, a filter on system calls."""

    level = 3
    wraps = False

    def __init__(self, modules: Mapping[str, str], spare_id: bool) -> None:
        """`modules` are shown to programs below `/site`; `spare_id`: give up root for an unused user id."""
        self._modules, self._spare_id = modules, spare_id
        self.pid = 0
        self._filter = seccomp.Filter()
        self._rules: int | None = None
        self._limits: Mapping[str, Any] | None = None
        self._steps: list[Callable[[], object]] = []
        self._new_pids: list[syscalls.Prepared] = []
        self.mechanisms = ["user_ns", "pid_ns", "mount_ns", "net_ns", "ipc_ns", "uts_ns", "seccomp", "rlimits"]
        self.missing: list[str] = []

    def enter(self) -> None:
        """Namespaces and a new root. The process that was started stays behind as a doorkeeper and ends with us."""
        self._unshare_with_ids()
        binds = view.open_binds(self._modules)
        if self._spare_id:
            os.setresgid(_INSIDE_ID, _INSIDE_ID, _INSIDE_ID)
            os.setresuid(_INSIDE_ID, _INSIDE_ID, _INSIDE_ID)
        self.pid = _fork_and_keep_the_door()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        view.build_root(binds)
        sys.path.append(view.SITE)
        own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._new_pids = [
            syscalls.Prepared("setns", own_pids, syscalls.CLONE_NEWPID),
            syscalls.Prepared("unshare", syscalls.CLONE_NEWPID),
        ]
        syscalls.drop_bounding_set()
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        try:
            self._rules = landlock.scope_rules()
            self.mechanisms.append("landlock")
        except OSError as error:
            self.missing.append(f"landlock: {error}")

    def _unshare_with_ids(self) -> None:
        """Enters the namespaces; a process that stays outside maps our ids where only root may."""
        pid = os.getpid()
        if self._spare_id:
            os.setgroups([])
        ready, go = os.pipe()
        mapper = os.fork()
        if mapper == 0:
            os._exit(_map_ids(pid, ready, go, _SPARE_ID if self._spare_id else None))
        os.close(ready)
        try:
            syscalls.unshare(_NAMESPACES)
            os.write(go, b"+")
        finally:
            os.close(go)
            status = os.waitpid(mapper, 0)[1]
        if status:
            raise OSError("the kernel refuses to map a user id into the user namespace")

    def guard(self) -> None:
        """A PID namespace ends with its first process, so there is nothing to see to. What can be done once is done."""
        for kind, pair in fixed_limits():
            resource.setrlimit(kind, pair)
        again = syscalls.Prepared("prctl", syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for _ in range(REHEARSALS):
            again()

    def before_fork(self, limits: Mapping[str, Any]) -> None:
        """The next child is the first of a new PID namespace. Its part is laid out here: here memory is warm."""
        if limits != self._limits:
            if self._limits is None or limits["disk_mb"] != self._limits["disk_mb"]:
                view.make_work_folder(limits["disk_mb"])
            self._limits, self._steps = limits, self._laid_out(limits)
        for step in self._new_pids:
            step()

    def _laid_out(self, limits: Mapping[str, Any]) -> list[Callable[[], object]]:
        """Work folder, limits, no capabilities, Landlock, filter, in this order."""
        steps: list[Callable[[], object]] = [partial(os.chdir, view.WORK)]
        steps += [partial(resource.setrlimit, *limit) for limit in job_limits(limits, also_counted=3)]
        steps.append(syscalls.dropping_capabilities())
        steps.append(syscalls.Prepared("prctl", syscalls.PR_SET_DUMPABLE, 1, 0, 0, 0))
        if self._rules is not None:
            steps.append(syscalls.Prepared("landlock_restrict_self", self._rules, 0))
        return [*steps, self._filter.load]

    def hand_over(self, request: Sequence[Any], limits: Mapping[str, Any]) -> None:
        """Nothing: the child runs the program itself."""

    def end_code(self, code: int) -> int:
        """The same."""
        return code

    def shut_in(self, limits: Mapping[str, Any]) -> None:
        """Takes the steps that `before_fork` has laid out."""
        for step in self._steps:
            step()

    def end(self, pid: int) -> None:
        """Killing the first process of a PID namespace kills all of it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def processes(self, forker: int) -> list[int]:
        """Whoever is in sight and not of ours."""
        ours = (os.getpid(), forker)
        try:
            pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        except OSError:
            return []
        return [pid for pid in pids if pid not in ours]

    def clear(self) -> None:
        """The work folder is empty again. No process is left: the first of a namespace cannot be waited for before."""
        if self._limits is not None and os.listdir(view.WORK):
            view.make_work_folder(self._limits["disk_mb"])


def _map_ids(pid: int, ready: int, go: int, spare: int | None) -> int:
    """Runs outside: waits for the word, then maps 1000 inside to one id outside. Its result is an exit status."""
    os.close(go)
    if os.read(ready, 1) != b"+":
        return 0  # unshare failed, and is reported there
    user, group = (os.geteuid(), os.getegid()) if spare is None else (spare, spare)
    lines = {"setgroups": "deny", "gid_map": f"{_INSIDE_ID} {group} 1", "uid_map": f"{_INSIDE_ID} {user} 1"}
    try:
        for name, text in lines.items():
            descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY)
            os.write(descriptor, text.encode())
            os.close(descriptor)
    except OSError:
        return 1
    return 0


def _fork_and_keep_the_door() -> int:
    """Goes on in a new process, the first of the new PID namespace; the old one waits for it and ends as it does.

    Gives the new process the id that it has outside.
    """
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        try:
            return int(os.read(told, 20))
        finally:
            os.close(told)
    os.write(tell, str(pid).encode())
    os.closerange(0, 1 << 16)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0x7F)
