"""What `doctor` prints: one line per thing checked, `ok` or `no`, with what a lack costs and how to mend it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rlvr_harness import demo_models, provenance
from rlvr_harness.errors import HarnessError
from rlvr_harness.registry import load_plugins

LOW_DISK_GB = 5.0
LOW_MEMORY_GB = 4.0
FULL_ISOLATION = 3


def lines() -> Iterator[str]:
    """Checks this machine."""
    for check in (_python, _torch, _memory, _disk, _plugins, _demo, _trl):
        yield check()
    yield from _sandboxes()


def _line(ok: bool, what: str, mend: str = "") -> str:
    return f"{'ok' if ok else 'no'}\t{what}{'' if ok or not mend else '; ' + mend}"


def _python() -> str:
    versions = provenance.library_versions()
    return _line(True, ", ".join(f"{name} {version}" for name, version in versions.items()))


def _torch() -> str:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return _line(True, f"GPU: {names}")
    mend = "models run on the CPU, fit for the demo and small models; for more install a CUDA build of torch"
    return _line(False, f"GPU: torch {torch.__version__} sees none", mend)


def _memory() -> str:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    cores = f"{provenance.free_cores()} free cores"
    return _line(
        free >= LOW_MEMORY_GB, f"memory: {free:.1f} GB free, {cores}", "larger batches and models will not fit"
    )


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    mend = "a million long completions take about 3 GB: write runs elsewhere with -o"
    return _line(free >= LOW_DISK_GB, f"disk: {free:.0f} GB free here", mend)


def _plugins() -> str:
    try:
        registry = load_plugins()
    except HarnessError as error:
        return _line(False, f"plugins: {error}")
    return _line(True, f"plugins: {', '.join(f'{p.name} {p.version}' for p in registry.plugins)}")


def _sandboxes() -> Iterator[str]:
    """A line per sandbox; none where the plugins do not load, which has a line of its own."""
    try:
        sandboxes = load_plugins().all("sandbox")
    except HarnessError:
        return
    for sandbox in sandboxes:
        found = sandbox.isolation()
        by = f" ({', '.join(found.mechanisms)})" if found.mechanisms else ""
        mend = "; ".join([*found.missing, *filter(None, [found.advice])])
        yield _line(
            found.level >= FULL_ISOLATION, f"sandbox {sandbox.name}: isolation level {found.level} of 3{by}", mend
        )


def _demo() -> str:
    return _checked("embedded models", lambda: demo_models.resolve_path("demo/base"))


def _trl() -> str:
    found = importlib.util.find_spec("trl") is not None
    return _line(
        found, f"TRL: {'installed' if found else 'absent'}", 'needed by `demo train`; pip install "rlvr-harness[trl]"'
    )


def _checked(what: str, check: Callable[[], object]) -> str:
    try:
        check()
    except HarnessError as error:
        return _line(False, f"{what}: {error}")
    return _line(True, what)
