"""The `bwrap` backend: a new interpreter under bubblewrap for each program; slower, and no two share anything."""

from __future__ import annotations

import os
import shutil
from typing import Any

from rlvr_sandbox.backends.local import ZygoteBackend
from rlvr_sandbox.errors import SandboxUnavailable


class BwrapBackend(ZygoteBackend):
    """Bubblewrap, where it is installed."""

    name = "bwrap"
    description = "bubblewrap around a new interpreter for each program (Linux, package bubblewrap)"

    def ways(self) -> list[dict[str, Any]]:
        """As an unused user id where we are root, or as ourselves."""
        path = shutil.which("bwrap")
        if path is None:
            raise SandboxUnavailable(
                "bwrap is not installed: install the package bubblewrap, or use the `local` backend"
            )
        ids = [True, False] if os.geteuid() == 0 else [False]
        return [{"confinement": "bwrap", "bwrap": path, "spare_id": spare} for spare in ids]
