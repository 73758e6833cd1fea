"""What a run records of where and with what it was made."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "lm-eval",
    "torch",
    "transformers",
    "vllm",
    "tokenizers",
    "datasets",
    "math-verify",
    "sympy",
    "numpy",
    "pyarrow",
)


def library_versions() -> dict[str, str]:
    """Installed versions of what can change a sample or a verdict; absent libraries are left out."""
    found = {"python": platform.python_version()}
    for name in ("rlvr-harness", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """CPU, memory and GPU of this machine."""
    import psutil
    import torch

    cuda = torch.cuda.is_available()
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
        "platform": platform.platform(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def git_commit() -> str | None:
    """Commit of the checkout that the harness runs from; None for an installed copy."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def peak_memory_mb() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def free_cores(watch_s: float = 0.3) -> int:
    """Cores that this process may use and that were idle over the next `watch_s` seconds; at least 1.

    Watched, not read off the load average: that still counts, a minute later, what has just ended.
    """
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    idle = 1.0 - psutil.cpu_percent(interval=watch_s) / 100.0
    return max(1, min(allowed, round(idle * (os.cpu_count() or 1))))
