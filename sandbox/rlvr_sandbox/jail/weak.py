"""Ways to shut a program in without namespaces: an own user id (level 2), or limits alone (level 1), or bubblewrap.

The forking process is the reaper of everything that the child leaves behind, and ends it after each program.
"""

# pathlib would lie in the memory of every program; these are a few plain calls.
# ruff: noqa: PTH101, PTH102, PTH103, PTH118, PTH120, PTH211

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from . import landlock, seccomp, syscalls, view
from .confine import set_limits
from .tree import descendants

if TYPE_CHECKING:
    import socket  # and shutil: large, and in the memory of every program, also where no confinement of here is used

PR_SET_CHILD_SUBREAPER = 36
# User ids for programs, one for each zygote: above those of people and services, below `nobody`.
_FIRST_ID, _LAST_ID = 61_200, 64_900
_READABLE_FILES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


class Plain:
    """Limits of the kernel and a folder that is removed afterwards; nothing is hidden. For `unsafe` only."""

    level = 1
    wraps = False

    def __init__(self, scratch: str, modules: Mapping[str, str]) -> None:
        """In the folder `scratch` each program gets a fresh one. `modules`: see view.open_binds."""
        self._scratch, self._work, self._modules = scratch, "", dict(modules)
        self.pid = os.getpid()
        self.mechanisms = ["rlimits"]
        self.missing: list[str] = []

    def enter(self) -> None:
        """Makes the allowed modules importable from one folder that holds nothing else."""
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.prctl(PR_SET_CHILD_SUBREAPER, 1)
        site = os.path.join(self._scratch, "site")
        os.makedirs(site, exist_ok=True)
        for name, path in self._modules.items():
            with contextlib.suppress(FileExistsError):
                os.symlink(path, os.path.join(site, name))
        sys.path.append(site)

    def guard(self) -> None:
        """Orphans of the program come to this process, which ends them all when the zygote is killed."""
        syscalls.prctl(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, self._give_up)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGTERM)

    def _give_up(self, *_: object) -> NoReturn:
        self.clear()
        os._exit(1)

    def before_fork(self, limits: Mapping[str, Any]) -> None:
        """A fresh folder for the next program."""
        self._work = os.path.join(self._scratch, os.urandom(8).hex())
        os.mkdir(self._work, 0o700)

    def hand_over(self, request: Sequence[Any], limits: Mapping[str, Any]) -> None:
        """Nothing: the child runs the program itself."""

    def end_code(self, code: int) -> int:
        """The same."""
        return code

    def shut_in(self, limits: Mapping[str, Any]) -> None:
        """Limits only."""
        self._enter_work()
        set_limits({**limits, "processes": None}, 0)

    def _enter_work(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(self._work)
        os.environ.update(HOME=self._work, TMPDIR=self._work)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)

    def end(self, pid: int) -> None:
        """Kills the child; `clear` sees to the rest."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def processes(self, forker: int) -> list[int]:
        """Every process below the forking one."""
        return descendants(forker)

    def clear(self) -> None:
        """In the forking process: kills and reaps until it has no child left, then removes the folder."""
        while True:
            for pid in descendants(os.getpid()):
                self.end(pid)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        if self._work:
            import shutil

            shutil.rmtree(self._work, ignore_errors=True)


class Filtered(Plain):
    """Level 1 for the `local` backend: limits, and where the kernel has them Landlock and a system call filter too."""

    def __init__(self, scratch: str, modules: Mapping[str, str]) -> None:
        """See Plain."""
        super().__init__(scratch, modules)
        self._filter = seccomp.Filter(keep_modes=os.geteuid() == 0 and self.level == 1)
        self._landlock = False
        self._readable: list[str] = []

    def enter(self) -> None:
        """Finds out whether there is Landlock."""
        super().enter()
        self._readable = [*view.interpreter_paths(), *map(os.path.realpath, self._modules.values())]
        self._readable += [*_READABLE_FILES, os.path.join(self._scratch, "site")]
        self.mechanisms.append("seccomp")
        try:
            landlock.version()
            self._landlock = True
            self.mechanisms.append("landlock")
        except OSError as error:
            self.missing.append(f"landlock: {error}")

    def shut_in(self, limits: Mapping[str, Any]) -> None:
        """Limits, identity, Landlock, filter, in this order."""
        rules = landlock.file_rules(self._readable, [self._work, "/dev/null"]) if self._landlock else None
        self._take_identity(limits)
        self._enter_work()
        syscalls.drop_capabilities()
        if rules is not None:
            landlock.restrict(rules)
        self._filter.load()

    def _take_identity(self, limits: Mapping[str, Any]) -> None:
        set_limits({**limits, "processes": None}, 0)


class OwnUid(Filtered):
    """Level 2: a user id that no one else has, so that the program can signal, trace and read nothing of others."""

    level = 2

    def __init__(self, scratch: str, modules: Mapping[str, str]) -> None:
        """See Plain."""
        super().__init__(scratch, modules)
        self._id = 0
        self._claim: socket.socket | None = None

    def enter(self) -> None:
        """Claims a user id. OSError where that user could not read the interpreter, or there is no Landlock."""
        super().enter()
        if not self._landlock:
            raise OSError("an own user id is level 2 only together with Landlock, which this kernel lacks")
        os.chmod(self._scratch, 0o711)
        self._id, self._claim = _claim_id()
        self.mechanisms.append("own_uid")
        if not self._can_read(os.__file__):
            raise OSError(f"another user cannot read the interpreter's files ({os.path.dirname(os.__file__)})")

    def _can_read(self, path: str) -> bool:
        pid = os.fork()
        if pid == 0:
            try:
                self._become()
                os.close(os.open(path, os.O_RDONLY))
                os._exit(0)
            finally:
                os._exit(1)
        return os.waitpid(pid, 0)[1] == 0

    def _become(self) -> None:
        os.setgroups([])
        os.setresgid(self._id, self._id, self._id)
        os.setresuid(self._id, self._id, self._id)

    def before_fork(self, limits: Mapping[str, Any]) -> None:
        """The folder is the program's own."""
        super().before_fork(limits)
        os.chown(self._work, self._id, self._id)

    def _take_identity(self, limits: Mapping[str, Any]) -> None:
        set_limits(limits, 0)
        self._become()

    def clear(self) -> None:
        """Kills all of that user at one stroke first: a fork bomb is faster than a list of its processes."""
        pid = os.fork()
        if pid == 0:
            try:
                self._become()
                os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
        super().clear()


def _claim_id() -> tuple[int, socket.socket]:
    """A user id that no other zygote has: whoever holds the abstract socket of that name has it."""
    import socket

    for number in range(_FIRST_ID, _LAST_ID):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0rlvr-sandbox-uid-{number}")
        except OSError:
            claim.close()
            continue
        return number, claim
    raise OSError("every user id kept for programs is in use")
