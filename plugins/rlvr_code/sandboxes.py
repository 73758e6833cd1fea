"""The sandboxes of `rlvr_sandbox`, each as a plain value: a worker process opens its own from the name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rlvr_sandbox.backends import BACKENDS, open_backend
from rlvr_sandbox.box import Backend, Box, Isolation
from rlvr_sandbox.errors import SandboxUnavailable

_DESCRIPTIONS = {
    "local": "a confined worker process on this machine, kept from program to program (Linux)",
    "bwrap": "bubblewrap around a new interpreter for each program (Linux, package bubblewrap)",
    "docker": "a container without network, kept from program to program (docker or podman)",
    "docker-strict": "a new container for each program (docker or podman)",
    "unsafe": "a plain child process with limits and no isolation: for programs that you trust",
}


@dataclass(frozen=True)
class NamedSandbox:
    """One backend by name, loaded when it is first needed."""

    name: str

    @property
    def description(self) -> str:
        """One line for `ls sandboxes`."""
        return _DESCRIPTIONS[self.name]

    def isolation(self) -> Isolation:
        """What it gives on this machine; level 0 with the reason where it does not work."""
        try:
            found = _backend(self.name).isolation()
        except SandboxUnavailable as error:
            return Isolation(0, missing=[str(error)])
        if self.name == "unsafe":  # advice on how to reach a level makes no sense for what isolates nothing
            return Isolation(found.level, found.mechanisms, ["it isolates nothing and is meant to"])
        return found

    def open(self) -> Box:
        """A new box. Raises SandboxUnavailable."""
        return _backend(self.name).open()


@cache
def _backend(name: str) -> Backend:
    return open_backend(name)


def named_sandboxes() -> list[NamedSandbox]:
    """All of them."""
    return [NamedSandbox(name) for name in BACKENDS]
