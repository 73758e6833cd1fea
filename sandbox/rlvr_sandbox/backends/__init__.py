"""Ways to run a program: each moves bytes to and from a box and knows nothing of answers. Loaded when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from rlvr_sandbox.box import Backend
from rlvr_sandbox.errors import SandboxUnavailable

BACKENDS: Mapping[str, str] = {
    "local": "local.LocalBackend",
    "bwrap": "bwrap.BwrapBackend",
    "docker": "docker.DockerBackend",
    "docker-strict": "docker.StrictDockerBackend",
    "unsafe": "unsafe.UnsafeBackend",
}
"""Each backend's module below this one, and its class."""


def open_backend(name: str) -> Backend:
    """The backend of that name, not yet probed. Raises SandboxUnavailable for a name that is none."""
    if name not in BACKENDS:
        raise SandboxUnavailable(f"no sandbox is called {name!r}; there are {', '.join(BACKENDS)}")
    module, _, made_by = BACKENDS[name].partition(".")
    try:
        backend: Backend = getattr(importlib.import_module(f"{__name__}.{module}"), made_by)()
    except ImportError as error:
        raise SandboxUnavailable(f"the sandbox `{name}` cannot be loaded: {error}") from error
    return backend
