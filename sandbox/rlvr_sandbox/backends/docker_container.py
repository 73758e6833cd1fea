"""One container with a zygote in it: what the engine is asked for, the attached stream, and the end of it."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import secrets
import socket
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_sandbox import jail
from rlvr_sandbox.backends import docker_pipes
from rlvr_sandbox.backends.docker_seccomp import profile
from rlvr_sandbox.backends.docker_streams import AttachedStream, PipedStream, attached_to
from rlvr_sandbox.backends.stream import Stream, StreamBox
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.jail import wire
from rlvr_sandbox.records import Job, Limits

LABEL = "rlvr-sandbox"  # its value is the owner of the container, see `owner`
_USER_LABEL = "rlvr-sandbox.user"
SCRATCH = "/run/rlvr-sandbox"
# User ids for programs: above those of people and services, within the 65,536 that a rootless engine maps. One for each
# container, since the kernel counts the processes of a user over all of them.
_USERS = range(61_200, 64_900)
_OWN_PROCESSES = 8  # zygote, forking process, whoever sweeps up, and the engine's own entry
_OWN_MEMORY_MB = 256
_SHARED_MB = 16
_START_S = 60.0
_PYTHON_FLAGS = ("-s", "-S", "-P", "-X", "utf8", "-W", "ignore")
# The jail's own code comes first on standard input, so that any image with a Python will do.
_BOOT = f"""
import os, sys
size, code = int(sys.argv[1]), b""
while len(code) < size:
    part = os.read(0, size - len(code))
    if not part: sys.exit("the judge is gone")
    code += part
path = "{SCRATCH}/jail.zip"
with open(path, "wb") as file: file.write(code)
if sys.argv[2:]: exec(sys.argv[2])
sys.path.append(path)
from jail import zygote
del sys.path[-1], code, part
os.unlink(path)
zygote.serve()
"""


@dataclass(frozen=True, slots=True)
class Size:
    """What a container is made for; another job may need another one."""

    memory_mb: int
    disk_mb: int
    processes: int

    @classmethod
    def of(cls, limits: Limits) -> Size:
        """What programs with those limits need."""
        return cls(limits.memory_mb, limits.disk_mb, limits.processes)

    def suits(self, job: Job) -> bool:
        """The supervisor holds memory and processes below the container's own bounds, the disk only these can."""
        wanted = Size.of(job.limits)
        enough = wanted.memory_mb <= self.memory_mb and wanted.processes <= self.processes
        return enough and wanted.disk_mb == self.disk_mb


@dataclass(frozen=True, slots=True)
class Plan:
    """How containers are made on this engine. `own_profile`: with our system call profile, else with the engine's."""

    image: str
    runtime: str | None = None
    own_profile: bool = True
    count_files: bool = True
    """The engine takes a bound on the number of files of a tmpfs."""
    near: bool = False
    """The engine is on this machine, so that its containers can be shown a folder of it."""


def arguments(
    plan: Plan, size: Size, code_bytes: int, labels: Mapping[str, str], pipes: Path | None = None
) -> dict[str, Any]:
    """What the engine is asked for, in the words of the SDK's `containers.create`. `pipes`: a folder to be shown."""
    from docker.types import LogConfig, Mount, Ulimit

    security = ["no-new-privileges:true"]
    if plan.own_profile:
        security.append(f"seccomp={json.dumps(profile())}")
    processes = size.processes + _OWN_PROCESSES
    memory = f"{size.memory_mb + size.disk_mb + _SHARED_MB + _OWN_MEMORY_MB}m"
    ulimits = {"nofile": 1024, "nproc": max(256, processes), "core": 0}
    files = f",nr_inodes={size.disk_mb * 1024}" if plan.count_files else ""
    return {
        "image": plan.image,
        "entrypoint": ["python3", *_PYTHON_FLAGS, "-c", _BOOT],
        "command": [str(code_bytes), *([docker_pipes.BOOT] if pipes else [])],
        **({"mounts": [Mount(docker_pipes.INSIDE, str(pipes), type="bind", read_only=True)]} if pipes else {}),
        "environment": {"PYTHONHASHSEED": "0"},
        "labels": dict(labels),
        "stdin_open": True,  # closed when the judge's end closes: the zygote ends with the judge
        "auto_remove": True,
        "user": "0:0",
        "working_dir": "/",
        "hostname": "sandbox",
        "network_mode": "none",
        "ipc_mode": "private",
        "cap_drop": ["ALL"],
        "cap_add": ["SETUID", "SETGID", "KILL"],  # to take on the programs' user id and to end that user's processes
        "security_opt": security,
        "read_only": True,
        "tmpfs": {"/tmp": f"size={size.disk_mb}m,mode=1777{files}", SCRATCH: "size=2m,mode=0755"},
        "shm_size": f"{_SHARED_MB}m",
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": processes,
        "ulimits": [Ulimit(name=name, soft=value, hard=value) for name, value in ulimits.items()],
        "log_config": LogConfig(type="none", config={}),  # the stream would be written to disk as a log
        "runtime": plan.runtime,
    }


def jail_code() -> bytes:
    """The package `jail` as an archive that Python imports from."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(Path(jail.__file__).parent.glob("*.py")):
            packed.write(path, f"jail/{path.name}")
    return archive.getvalue()


class ContainerWorker:
    """A created container. Ends with `kill`, at exit, or when this process dies and its end of the stream closes."""

    def __init__(self, client: Any, container: Any) -> None:
        """`client` is closed with the container."""
        self._client, self._container = client, container
        atexit.register(self.kill)

    def started(self, pid: int) -> None:
        """Nothing: the container is what is held on to."""

    def limit(self, limits: Limits) -> None:
        """Nothing: the engine bounds the container as a whole."""

    def kill(self) -> None:
        """Kills and removes it, and returns when the engine says that it is gone."""
        from docker.errors import DockerException, NotFound
        from requests.exceptions import RequestException

        if self._container is None:
            return
        container, self._container = self._container, None
        atexit.unregister(self.kill)
        try:
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)
        except DockerException:  # the engine is removing it already: it ended by itself
            with contextlib.suppress(DockerException, RequestException):
                container.wait(condition="removed", timeout=30)
        except RequestException:
            pass  # the engine is gone, or stuck; the next judge on it removes what it has left
        finally:
            self._client.close()


def open_container(client: Any, plan: Plan, size: Size, settings: Mapping[str, Any], programs: int) -> StreamBox:
    """A container with a zygote that has said hello. `client` is the box's from here on.

    Raises SandboxUnavailable with what the zygote or the engine said, and docker.errors.APIError when the engine does
    not make such a container.
    """
    code, user = jail_code(), _free_user(client)
    labels = {LABEL: owner(), _USER_LABEL: str(user)}
    with contextlib.ExitStack() as stack:
        pipes = docker_pipes.NamedPipes() if plan.near else None
        if pipes is not None:
            stack.callback(pipes.close)
        asked = arguments(plan, size, len(code), labels, pipes.folder if pipes else None)
        container = client.containers.create(**asked)
        worker = ContainerWorker(client, container)
        try:
            attached = attached_to(container)
            stream = _started(container, attached, code, pipes)
        except wire.Broken as broken:
            worker.kill()
            raise SandboxUnavailable(f"the container ended at its start: {broken}") from broken
        except BaseException:
            worker.kill()
            raise
    try:
        return StreamBox(worker, stream, {**settings, "scratch": SCRATCH, "user": user}, programs)
    except SandboxUnavailable as error:
        raise SandboxUnavailable(f"{error} {attached.words.strip().rpartition(chr(10))[2]}".strip()) from error


def _started(container: Any, attached: AttachedStream, code: bytes, pipes: docker_pipes.NamedPipes | None) -> Stream:
    """Starts the container, and gives the stream to speak with its zygote over. Raises wire.Broken."""
    container.start()
    attached.send(code, _START_S)
    if pipes is None or attached.first_byte(_START_S) != docker_pipes.TAKEN:
        return attached
    return PipedStream(pipes.handed_over(), attached)


def owner() -> str:
    """This process, so that nobody else's look like it: machine start, PID namespace, process id and its start."""
    return f"{_realm()}/{os.getpid()}/{_started_at(os.getpid())}"


def remove_stale(client: Any) -> None:
    """Removes the containers of judges of this machine that are no more."""
    from docker.errors import DockerException

    for container in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
        realm, _, rest = container.labels.get(LABEL, "").partition("/")
        pid, _, start = rest.partition("/")
        if realm == _realm() and pid.isdigit() and _started_at(int(pid)) != start:
            with contextlib.suppress(DockerException):  # another judge was quicker
                container.remove(force=True, v=True)


def _realm() -> str:
    """Where process ids mean the same; on systems without /proc, this machine's name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname().replace("/", "-")


def _started_at(pid: int) -> str:
    """When a process was started, in the kernel's ticks; empty for one that is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "" if Path("/proc/self/stat").exists() else "unknown"


def _free_user(client: Any) -> int:
    used = _users_of(client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True))
    return secrets.choice([user for user in _USERS if user not in used])


def _users_of(containers: Iterable[Any]) -> set[int]:
    return {int(text) for container in containers if (text := container.labels.get(_USER_LABEL, "")).isdigit()}
