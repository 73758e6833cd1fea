"""The `docker` backend: the same zygote in a container that is kept, over an attached stream. Docker or Podman."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr_sandbox.backends.docker_container import Plan, Size, open_container, remove_stale
from rlvr_sandbox.backends.stream import StreamBox
from rlvr_sandbox.box import Accept, Isolation
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.isolation import trial_fault
from rlvr_sandbox.records import Exit, Job, Limits, TestRun

DEFAULT_IMAGE = "rlvr-sandbox"
_PROGRAMS = 2000  # a container costs a third of a CPU-second
_ENGINE_S = 60  # an engine under load takes seconds to make a container
_USUAL_ADDRESS = "unix:///var/run/docker.sock"
_INSTALL = 'install the docker SDK: pip install "rlvr-harness[docker]"'
_ENGINE = (
    "start Docker, or `podman system service --time=0 unix:///path/podman.sock`, and set DOCKER_HOST to its address"
)


def _variable(name: str) -> str | None:
    return os.environ.get(name) or None


@dataclass(frozen=True, slots=True)
class Engine:
    """Which engine, image and runtime. What is left out comes from DOCKER_HOST, RLVR_DOCKER_IMAGE, RLVR_DOCKER_RUNTIME.

    `strict`: one container for each program. `programs`: else, after as many the container is replaced.
    """

    base_url: str | None = None
    image: str = field(default_factory=lambda: _variable("RLVR_DOCKER_IMAGE") or DEFAULT_IMAGE)
    runtime: str | None = field(default_factory=lambda: _variable("RLVR_DOCKER_RUNTIME"))
    strict: bool = False
    programs: int = _PROGRAMS


class DockerBackend:
    """Containers of one engine."""

    name = "docker"
    description = "a confined worker process in a container (Docker, or Podman through its socket)"

    def __init__(
        self, engine: Engine | None = None, modules: Sequence[str] = ("numpy",), preload: Sequence[str] = ()
    ) -> None:
        """`modules`: what programs may import besides the standard library, where the image has it.

        `preload`: those of them that are loaded before any program.
        """
        self._engine = engine or Engine()
        self.modules, self._preload = tuple(modules), tuple(preload)
        self._found: tuple[Plan | None, Isolation, str] | None = None
        self._lock = threading.Lock()

    @property
    def interpreter(self) -> str:
        """What programs run on, for the cache: the image as the engine knows it."""
        return self._probe()[2]

    def isolation(self) -> Isolation:
        """The level of containers of this engine, and what to do where there are none."""
        return self._probe()[1]

    def open(self) -> DockerBox:
        """A new container. Raises SandboxUnavailable."""
        plan, isolation, _ = self._probe()
        if plan is None:
            raise SandboxUnavailable(
                f"the `docker` sandbox does not work here: {'; '.join(isolation.missing)}. {isolation.advice}"
            )
        return DockerBox(self, plan, Size.of(Limits()))

    def start(self, plan: Plan, size: Size) -> StreamBox:
        """A container of that size, whatever `isolation` says. Raises SandboxUnavailable."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        settings = {"confinement": "container", "modules": list(self.modules), "preload": list(self._preload)}
        programs = 1 if self._engine.strict else self._engine.programs
        client = self._connect()
        try:
            return open_container(client, plan, size, settings, programs)
        except (DockerException, RequestException, OSError) as error:
            raise SandboxUnavailable(f"the engine did not make a container: {_words(error)}") from error
        except BaseException:
            client.close()
            raise

    def _connect(self) -> Any:
        import docker

        _knock(self._engine.base_url or _variable("DOCKER_HOST") or _USUAL_ADDRESS)
        if self._engine.base_url is not None:
            return docker.DockerClient(base_url=self._engine.base_url, timeout=_ENGINE_S)
        return docker.from_env(timeout=_ENGINE_S)

    def _probe(self) -> tuple[Plan | None, Isolation, str]:
        with self._lock:
            if self._found is None:
                self._found = self._try()
            return self._found

    def _try(self) -> tuple[Plan | None, Isolation, str]:
        """Looks for the engine and the image, and runs a trial program in a container made in one way after another."""
        try:
            import docker.errors
            from requests.exceptions import RequestException
        except ImportError as error:
            return None, Isolation(0, missing=[f"the docker SDK is not installed ({error})"], advice=_INSTALL), ""
        try:
            client = self._connect()
            try:
                image = client.images.get(self._engine.image)
                remove_stale(client)
            finally:
                client.close()
        except docker.errors.ImageNotFound:
            return None, Isolation(0, missing=[f"no image {self._engine.image!r}"], advice=_build(self._engine)), ""
        except (docker.errors.DockerException, RequestException, OSError, ValueError) as error:
            return None, Isolation(0, missing=[f"no engine answers: {_words(error)}"], advice=_way_in(error)), ""
        return *self._first_that_works(), image.id

    def _first_that_works(self) -> tuple[Plan | None, Isolation]:
        missing: list[str] = []
        for choice in itertools.product((True, False), (True, False), (True, False)):
            plan = Plan(self._engine.image, self._engine.runtime, *choice)
            try:
                box = self.start(plan, Size.of(Limits()))
                fault, hello = trial_fault(box), box.hello
                box.close()
                if not fault:
                    return plan, Isolation(hello.level, hello.mechanisms, [*missing, *hello.missing])
                fault = f"a trial program did not run: {fault}"
            except SandboxUnavailable as error:
                fault = str(error)
            if not plan.near:  # else the engine may be on another machine, and nothing is missing for that
                missing.append(f"{_described(plan)}: {fault}")
        advice = f"see that `docker run --rm --network none {self._engine.image} python3 -V` works"
        return None, Isolation(0, missing=missing, advice=advice)


class DockerBox:
    """A container, replaced by another where a job needs a larger one."""

    def __init__(self, backend: DockerBackend, plan: Plan, size: Size) -> None:
        """Starts the container. Raises SandboxUnavailable."""
        self._backend, self._plan, self._size = backend, plan, size
        self.inner = backend.start(plan, size)

    @property
    def level(self) -> int:
        """Isolation level of the programs it runs."""
        return self.inner.level

    @property
    def alive(self) -> bool:
        """False when it must be replaced."""
        return self.inner.alive

    def run(self, job: Job, accept: Accept) -> None:
        """See `Box.run`."""
        if self.inner.alive and not self._size.suits(job):
            self.inner.close()
            self._size = Size.of(job.limits)
            try:
                self.inner = self._backend.start(self._plan, self._size)
            except SandboxUnavailable as error:
                accept(0, TestRun(Exit.LOST, detail=str(error)))
                return
        self.inner.run(job, accept)

    def close(self) -> None:
        """Removes the container; safe to call twice."""
        self.inner.close()


def _knock(address: str) -> None:
    """OSError where nothing listens on that socket: the SDK says it less plainly, and leaves a socket open."""
    path = address.removeprefix("unix://")
    if path == address:
        return
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(path)
        except OSError as error:
            raise type(error)(error.errno, f"{path}: {os.strerror(error.errno or 0)}") from error


def _words(error: BaseException) -> str:
    """What the engine said, in one line."""
    said = getattr(error, "explanation", None) or error
    # Podman repeats the whole system call profile, which it takes for the name of a file.
    return " ".join(str(said).split()).partition(' {"')[0][:300]


def _described(plan: Plan) -> str:
    """The ways tried, told apart."""
    files = "" if plan.count_files else " and no bound on the number of files"
    return f"with {'our' if plan.own_profile else 'the engine' + chr(39) + 's own'} system call profile{files}"


def _build(engine: Engine) -> str:
    if engine.image != DEFAULT_IMAGE:
        return f"load or pull it, or build the sandbox's own: python -m rlvr_sandbox.image --tag {engine.image}"
    return "build it from this Python with `python -m rlvr_sandbox.image`, or `docker build -t rlvr-sandbox sandbox`"


def _way_in(error: BaseException) -> str:
    """What helps against an engine that does not answer."""
    if "Permission denied" in str(error):
        return "let this user use the engine's socket (group docker), or set DOCKER_HOST to a rootless engine's"
    return _ENGINE


class StrictDockerBackend(DockerBackend):
    """A new container for each program: slower by far, and nothing at all is kept from one to the next."""

    name = "docker-strict"
    description = "a new container for each program (Docker, or Podman through its socket)"

    def __init__(self, modules: Sequence[str] = ("numpy",), preload: Sequence[str] = ()) -> None:
        """See `DockerBackend`."""
        super().__init__(Engine(strict=True), modules, preload)
