"""Shutting each program in with bubblewrap: a new interpreter for each, under `bwrap`, which needs no privileges."""

# pathlib would lie in the memory of every program; these are a few plain calls.
# ruff: noqa: PTH100, PTH120

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from . import landlock, runner, seccomp, syscalls, view, wire
from .confine import set_limits
from .weak import PR_SET_CHILD_SUBREAPER, Plain

_RESULTS, _REQUEST = 3, 4
_SPARE_ID = 65_533
_INSIDE_ID = "1000"
_BOOT = "import sys; sys.path.append(sys.argv[1]); from jail import bubble; del sys.path[-1]; bubble.start()"
_CODE = "/jail"


class Bubblewrap(Plain):
    """Level 3 by way of `bwrap`: the supervisor and the forking process stay outside."""

    level = 3
    wraps = True

    def __init__(self, scratch: str, modules: Mapping[str, str], bwrap: str, spare_id: bool) -> None:
        """`bwrap` is the path of the program; `spare_id`: give up root for an unused user id before it."""
        super().__init__(scratch, modules)
        self._bwrap, self._spare_id = bwrap, spare_id
        self.mechanisms = ["bwrap", "user_ns", "pid_ns", "mount_ns", "net_ns", "ipc_ns", "uts_ns", "seccomp", "rlimits"]
        self._arguments: list[str] = []

    def enter(self) -> None:
        """Looks up what is to be shown. Nothing is given up yet: that is for each child to do."""
        syscalls.machine_column()
        syscalls.prctl(PR_SET_CHILD_SUBREAPER, 1)
        paths = view.interpreter_paths()
        binds = [(path, path) for path in [*paths, os.path.realpath(sys.executable)]]
        binds += [(os.path.realpath(path), f"{view.SITE}/{name}") for name, path in self._modules.items()]
        binds.append((os.path.dirname(os.path.abspath(__file__)), f"{_CODE}/jail"))
        self._arguments = [part for source, target in binds for part in ("--ro-bind", source, target)]
        for folder in view.site_folders(paths):
            self._arguments += ["--tmpfs", folder, "--remount-ro", folder]
        for name, target in view.root_links().items():
            self._arguments += ["--symlink", target, name]
        try:
            landlock.scope_rules()
            self.mechanisms.append("landlock")
        except OSError as error:
            self.missing.append(f"landlock: {error}")

    def before_fork(self, limits: Mapping[str, Any]) -> None:
        """Nothing: bwrap makes the work folder."""

    def shut_in(self, limits: Mapping[str, Any]) -> None:
        """Nothing: `hand_over` does it."""

    def hand_over(self, request: Sequence[Any], limits: Mapping[str, Any]) -> None:
        """In the child, with descriptors 0 to 3 in place: becomes bwrap, and under it a new interpreter."""
        descriptor = os.memfd_create("request")
        wire.write_all(
            descriptor, marshal.dumps((list(request), dict(limits), os.geteuid() == 0 and not self._spare_id))
        )
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.dup2(descriptor, _REQUEST, inheritable=True)
        os.closerange(_REQUEST + 1, 1 << 16)
        if self._spare_id:
            os.setgroups([])
            os.setresgid(_SPARE_ID, _SPARE_ID, _SPARE_ID)
            os.setresuid(_SPARE_ID, _SPARE_ID, _SPARE_ID)
        os.execve(self._bwrap, self._command(limits["disk_mb"]), {})  # bwrap's own environment can be read inside

    def _command(self, disk_mb: int) -> list[str]:
        options = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
        options += ["--uid", _INSIDE_ID, "--gid", _INSIDE_ID, "--cap-drop", "ALL"]
        # Read-only: where root starts bwrap, its user outside owns all of /proc/sys.
        places = ["--proc", "/proc", "--remount-ro", "/proc", "--tmpfs", "/dev"]
        for name in view.DEVICES:
            places += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
        for name, target in view.DEVICE_LINKS.items():
            places += ["--symlink", target, f"/dev/{name}"]
        places += ["--remount-ro", "/dev", "--dir", "/etc"]
        work = ["--size", str(disk_mb << 20), "--tmpfs", view.WORK, "--chdir", view.WORK]
        flags = ["-s", "-S", "-P", "-X", "utf8", "-W", "ignore"]
        python = [os.path.realpath(sys.executable), *flags, "-c", _BOOT, _CODE]
        seed = ["--setenv", "PYTHONHASHSEED", os.environ.get("PYTHONHASHSEED", "0")]
        return [self._bwrap, *options, *seed, *self._arguments, *places, *work, "--remount-ro", "/", "--", *python]

    def end_code(self, code: int) -> int:
        """bwrap reports a signal as 128 and its number."""
        return 128 - code if 128 < code <= 192 else code


def start() -> NoReturn:
    """The new interpreter's work: takes the request, gives up the rest, and runs the program."""
    with os.fdopen(_REQUEST, "rb") as file:
        (style, caps, parts), limits, is_root = marshal.loads(file.read())
    os.environ.clear()
    os.environ.update(runner.ENVIRONMENT)
    sys.path.append(view.SITE)
    try:
        set_limits(limits, also_counted=2)
        syscalls.drop_capabilities()
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        with contextlib.suppress(OSError):  # an older kernel; reported in the hello
            landlock.restrict(landlock.scope_rules())
        os.closerange(_REQUEST, 1 << 16)
        seccomp.Filter(keep_modes=is_root).load()
        runner.use_streams()
    except OSError as error:
        wire.write(_RESULTS, b"X", str(error).encode()[:200])
        os._exit(1)
    runner.run(style, parts, caps, _RESULTS)
