"""The `local` backend: a zygote in namespaces of its own on this machine, kept from program to program. Linux only."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_sandbox.backends.stream import Stream, StreamBox
from rlvr_sandbox.box import Isolation
from rlvr_sandbox.control_groups import ControlGroup
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.isolation import Found, first_that_works
from rlvr_sandbox.records import Limits

_PROGRAMS = 2000  # a zygote is replaced after as many: what little it gathers is thrown away
_END_S = 10.0  # a killed process is gone long before, unless the kernel has it in an uninterruptible wait
_BOOT = "import sys; sys.path.append(sys.argv[1]); from jail import zygote; del sys.path[-1]; zygote.serve()"
# No site packages, no user folder, no current folder, nothing from the environment but a fixed order of sets.
PYTHON_FLAGS = ("-s", "-S", "-P", "-X", "utf8", "-W", "ignore")
# Symbols are bound at the start: bound at their first call, they would be so in every child again.
ENVIRONMENT = {"LD_BIND_NOW": "1", "PYTHONHASHSEED": "0"}


def zygote_command() -> list[str]:
    """The command that starts a zygote with this interpreter; it speaks on descriptors 0 and 1."""
    return [sys.executable, *PYTHON_FLAGS, "-c", _BOOT, str(Path(__file__).resolve().parent.parent)]


class LocalWorker:
    """The zygote's process, with a folder that goes when it goes."""

    def __init__(self, command: Sequence[str], control: int, scratch: str) -> None:
        """Starts it with `control` as its standard input and output, an empty environment and no other descriptor."""
        self._scratch, self._pidfd = scratch, -1
        self._group: ControlGroup | None = None
        self.last_words = ""
        # The zygote and its forking process hold the other end of this pipe, and no program does: it ends with them.
        self._process = subprocess.Popen(
            command,
            stdin=control,
            stdout=control,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for the judge, which then ends its boxes
        )

        self._group = ControlGroup.around(self._process.pid)  # which forks nothing before it has its settings

    def limit(self, limits: Limits) -> None:
        """The kernel's own bound on all processes of the box together, where control groups can be made."""
        if self._group is not None:
            self._group.limit(limits.processes, limits.memory_mb + limits.disk_mb)

    @property
    def pid(self) -> int:
        """Of the process that was started; in namespaces the zygote proper is its child."""
        return self._process.pid

    def started(self, pid: int) -> None:
        """Takes hold of the zygote proper: the first process of its PID namespace is gone only when all others are."""
        with contextlib.suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(pid)

    def kill(self) -> None:
        """Ends it, and returns when its children are gone too."""
        self._process.kill()
        self._process.wait()
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            _await(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        pipe = self._process.stderr
        if pipe is not None and not pipe.closed:
            while _await(pipe.fileno()) and (text := os.read(pipe.fileno(), 1 << 16)):
                self.last_words = text.decode("utf-8", "replace").strip().rpartition("\n")[2]
            pipe.close()
        if self._group is not None:
            self._group.remove()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _await(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(_END_S * 1000))


def open_zygote(command: Sequence[str], settings: Mapping[str, Any], programs: int) -> StreamBox:
    """Starts a zygote and waits for its hello. Raises SandboxUnavailable."""
    ours, theirs = socket.socketpair()
    # Namespaces have a file system of their own.
    scratch = "" if settings["confinement"] in ("namespaces", "bwrap") else tempfile.mkdtemp(prefix="rlvr-sandbox-")
    try:
        worker = LocalWorker(command, theirs.fileno(), scratch)
    finally:
        theirs.close()
    descriptor = ours.detach()
    try:
        return StreamBox(worker, Stream(descriptor, descriptor), {**settings, "scratch": scratch}, programs)
    except SandboxUnavailable as error:
        raise SandboxUnavailable(f"{error} {worker.last_words}".strip()) from error


def module_paths(names: Sequence[str]) -> dict[str, str]:
    """Where the modules lie, with the folders of shared libraries that their wheels bring (`numpy.libs`)."""
    found = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin:
            continue
        folder = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
        libraries = folder.parent / f"{name}.libs"
        found.update({path.name: str(path) for path in (folder, libraries) if path.exists()})
    return found


class ZygoteBackend(ABC):
    """Zygotes on this machine, shut in by the best of several ways."""

    def __init__(
        self, modules: Sequence[str] = ("numpy",), preload: Sequence[str] = (), programs: int = _PROGRAMS
    ) -> None:
        """`modules`: what programs may import besides the standard library, where it is installed.

        `preload`: those of them that are loaded before any program: an import costs a program nothing then, and every
        program some tenths of a millisecond. `programs`: a box counts as worn out after as many.
        """
        self._modules, self._preload, self._programs = modules, preload, programs
        self._found: Found | None = None
        self._lock = threading.Lock()

    @property
    @abstractmethod
    def name(self) -> str:
        """What the backend is asked for by."""

    @abstractmethod
    def ways(self) -> list[dict[str, Any]]:
        """Settings to try, best first. Raises SandboxUnavailable where there is nothing to try."""

    def isolation(self) -> Isolation:
        """The level of this machine, and why it is not more."""
        return self._probe().isolation

    def open(self) -> StreamBox:
        """A new zygote. Raises SandboxUnavailable."""
        found = self._probe()
        if found.way is None:
            reasons = "; ".join(found.isolation.missing)
            raise SandboxUnavailable(
                f"the `{self.name}` sandbox does not work here: {reasons}. {found.isolation.advice}"
            )
        return self._start(found.way)

    def _probe(self) -> Found:
        with self._lock:
            if self._found is None:
                self._found = first_that_works(self.ways, self._start)
            return self._found

    def _start(self, way: Mapping[str, Any]) -> StreamBox:
        settings = {**way, "modules": module_paths(self._modules), "preload": list(self._preload)}
        return open_zygote(zygote_command(), settings, self._programs)


class LocalBackend(ZygoteBackend):
    """Namespaces of our own making; where they are refused an own user id, and below that limits alone."""

    name = "local"
    description = "a confined worker process on this machine, kept from program to program (Linux)"

    def ways(self) -> list[dict[str, Any]]:
        """Root may give up its identity: for an unused user id, if that one can read the interpreter's files."""
        own: list[dict[str, Any]] = [{"confinement": "namespaces", "spare_id": False}, {"confinement": "limits"}]
        if os.geteuid() != 0:
            return own
        return [{"confinement": "namespaces", "spare_id": True}, own[0], {"confinement": "uid"}, own[1]]
