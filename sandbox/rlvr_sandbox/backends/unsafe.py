"""The `unsafe` backend: a plain child process with limits of time and memory, and nothing hidden from it."""

from __future__ import annotations

from typing import Any

from rlvr_sandbox.backends.local import ZygoteBackend


class UnsafeBackend(ZygoteBackend):
    """No isolation. Never chosen unless it is asked for by name."""

    name = "unsafe"
    description = "a plain child process with limits and no isolation: for programs that you trust"

    def ways(self) -> list[dict[str, Any]]:
        """The one way."""
        return [{"confinement": "none"}]
