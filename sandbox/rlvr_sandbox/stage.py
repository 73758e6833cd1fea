"""What a containment program may try to read, write, reach or kill, set up around it and looked at afterwards."""

from __future__ import annotations

import os
import re
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rlvr_sandbox.errors import SandboxError

_STAGE = Path("/tmp/rlvr-stage")
_TCP, _UDP, _ABSTRACT = ("127.0.0.1", 47611), ("127.0.0.1", 47612), "\0rlvr-stage"
_BUSY_S = 120.0  # another run on this machine holds the ports for as long as its own corpus takes
_CGROUPS = Path("/sys/fs/cgroup")
_SHORTEST_NAME = 4  # shorter ones stand in any text
_WITNESS = "import os\nwhile byte := os.read(0, 1):\n    os.write(1, byte)"
_ANSWER_S = 10.0  # far more than a busy machine takes
_CORE = re.compile(r"core(\.\d+)?")


class Stage:
    """Secret, drop folder, listeners and witness. Made by `open_stage`."""

    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        """`listeners` are bound already."""
        self._listeners = listeners
        self._witness: subprocess.Popen[bytes] | None = None
        self._mounts, self._files = "", frozenset[Path]()
        self.secret = ""

    def set_up(self) -> None:
        """A fresh secret, an empty drop folder, no contact, a live witness; remembers mounts and files."""
        self.secret = f"rlvr-secret-{secrets.token_hex(16)}"
        (_STAGE / "secret.txt").write_text(self.secret)
        os.environ["RLVR_STAGE_SECRET"] = self.secret
        drop = _STAGE / "drop"
        drop.mkdir(exist_ok=True)
        drop.chmod(0o1777)
        _empty(drop)
        self._contacts()
        if not self._witness_answers():
            self._end_witness()
            command = [sys.executable, "-c", _WITNESS, "rlvr-witness"]
            self._witness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, bufsize=0)
        (_STAGE / "witness.pid").write_text(str(self.witness))
        self._mounts, self._files = _mounts(), _files()

    @property
    def witness(self) -> int:
        """Process id of the witness."""
        return self._witness.pid if self._witness else 0

    def breaches(self, program: str) -> list[str]:
        """The checks that the program broke. Files count where the program names them, cores always."""
        fresh = _files() - self._files
        named = [path for path in fresh if len(path.name) >= _SHORTEST_NAME and path.name in program]
        found = {
            "no_drop": bool(list((_STAGE / "drop").iterdir())),
            "no_connect": self._contacts() > 0,
            "witness_alive": not self._witness_answers(),
            "no_mount": _mounts() != self._mounts,
            "no_cgroup": any(_CGROUPS.glob("rlvr-escape*")) or any(_CGROUPS.glob("*/rlvr-escape*")),
            "no_core": any(_CORE.fullmatch(path.name) for path in fresh),
            "no_poison": any(path.suffix in (".py", ".pth") for path in named),
            "disk_cap": any(path.suffix not in (".py", ".pth") for path in named),
        }
        return [name for name, broken in found.items() if broken]

    def _end_witness(self) -> None:
        if self._witness is not None:
            self._witness.kill()
            self._witness.communicate()
            self._witness = None

    def _witness_answers(self) -> bool:
        """Whether the witness still works: one that was killed or stopped gives no answer, however busy the machine."""
        witness = self._witness
        if witness is None or witness.stdin is None or witness.stdout is None:
            return False
        try:
            witness.stdin.write(b".")
            ready, _, _ = select.select([witness.stdout], [], [], _ANSWER_S)
            return bool(ready) and witness.stdout.read(1) == b"."
        except BrokenPipeError:
            return False

    def _contacts(self) -> int:
        """How many came since last asked, TCP, UDP and the abstract socket together."""
        count = 0
        for listener in self._listeners:
            while True:
                try:
                    if listener.type == socket.SOCK_DGRAM:
                        listener.recv(1)
                    else:
                        listener.accept()[0].close()
                except BlockingIOError:
                    break
                count += 1
        return count

    def close(self) -> None:
        """Ends the witness and removes the folder."""
        self._end_witness()
        os.environ.pop("RLVR_STAGE_SECRET", None)
        _empty(_STAGE)
        _STAGE.rmdir()


@contextmanager
def open_stage() -> Iterator[Stage]:
    """The stage for as long as the block runs. Raises SandboxError while another run on this machine holds it."""
    with ExitStack() as stack:
        until = time.monotonic() + _BUSY_S
        listeners = [
            stack.enter_context(_listener(socket.AF_INET, socket.SOCK_STREAM, _TCP, until)),
            stack.enter_context(_listener(socket.AF_INET, socket.SOCK_DGRAM, _UDP, until)),
            stack.enter_context(_listener(socket.AF_UNIX, socket.SOCK_STREAM, _ABSTRACT, until)),
        ]
        try:
            _STAGE.mkdir(exist_ok=True)
            _STAGE.chmod(0o755)
            _empty(_STAGE)
        except OSError as error:
            raise SandboxError(f"{_STAGE} cannot be set up: {error}; remove it and try again") from error
        stage = Stage(listeners)
        stack.callback(stage.close)
        yield stage


def _listener(family: int, kind: int, address: tuple[str, int] | str, until: float) -> socket.socket:
    while True:
        listener = socket.socket(family, kind)
        try:
            if kind == socket.SOCK_STREAM and family == socket.AF_INET:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(64)
            listener.setblocking(False)
            return listener
        except OSError as error:
            listener.close()
            if time.monotonic() > until:
                raise SandboxError(f"{address!r} is taken ({error}): is another corpus run under way?") from error
            time.sleep(0.5)


def _empty(folder: Path) -> None:
    """Removes what lies in a folder, links as links."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _empty(path)
            path.rmdir()
        else:
            path.unlink()


def _mounts() -> str:
    return Path("/proc/self/mounts").read_text()


def _files() -> frozenset[Path]:
    """What lies in the folders that a program might take for its own."""
    folders = {
        Path.cwd(),
        Path("/"),
        Path(tempfile.gettempdir()),
        Path("/var/tmp"),
        Path("/dev/shm"),
        Path(os.environ.get("HOME", "/")),
    }
    return frozenset(path for folder in folders if os.access(folder, os.R_OK | os.X_OK) for path in folder.iterdir())
