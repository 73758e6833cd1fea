"""What `doctor` prints: one line per thing checked, `ok` or `no`, with what a lack costs and how to mend it."""

from __future__ import annotations

import importlib.util
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from rlvr_harness import demo_models, provenance
from rlvr_harness.errors import HarnessError, first_line
from rlvr_harness.registry import Registry, load_working

LOW_DISK_GB = 5.0
LOW_MEMORY_GB = 4.0
FULL_ISOLATION = 3
HUB_WAIT_S = 3.0
"""A hub that answers at all answers in a fraction of it; looking up its name may otherwise take half a minute."""
OPTIONAL: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "vllm": ("vllm", "`--sampler vllm` samples many times faster than hf on a GPU"),
        "ray": ("ray", "`--executor ray` needs it, to sample on many machines"),
        "trl": ("trl", "`train --backend trl` and `demo train` need it"),
        "docker": ("docker", "`--sandbox docker` needs it, and a container engine"),
        "reasoning_gym": ("reasoning-gym", "tasks reasoning_gym:NAME need it"),
    }
)
"""Module -> the extra that installs it, and what needs it."""


def lines() -> Iterator[str]:
    """Checks this machine."""
    for check in (_python, _torch, _memory, _disk, _cache, _hub):
        yield check()
    registry, told = _plugins()
    yield from told
    yield _demo()
    yield from (_optional(module) for module in OPTIONAL)
    yield from _sandboxes(registry) if registry else ()


def _line(ok: bool, what: str, mend: str = "") -> str:
    return f"{'ok' if ok else 'no'}\t{what}{'' if ok or not mend else '; ' + mend}"


def _python() -> str:
    versions = provenance.library_versions()
    return _line(True, ", ".join(f"{name} {version}" for name, version in versions.items()))


def _torch() -> str:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of its own that does not load
        return _line(False, f"GPU: torch does not load ({first_line(error)})", "install torch anew; no model runs")

    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return _line(True, f"GPU: {', '.join(f'{gpu.name} ({gpu.total_memory / 1e9:.0f} GB)' for gpu in found)}")
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU"
    mend = "models run on the CPU, fit for the demo and small models; for more " + (
        "check the driver with nvidia-smi" if torch.version.cuda else "install a CUDA build of torch"
    )
    return _line(False, f"GPU: torch {torch.__version__}, {built}, sees none", mend)


def _memory() -> str:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    cores = f"free cores: {provenance.free_cores()}"
    return _line(
        free >= LOW_MEMORY_GB, f"memory: {free:.1f} GB free, {cores}", "larger batches and models will not fit"
    )


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    mend = "a million long completions take about 3 GB: write runs elsewhere with -o"
    return _line(free >= LOW_DISK_GB, f"disk: {free:.0f} GB free here", mend)


def _cache() -> str:
    """Where the hub's files are kept: a 7B checkpoint takes 15 GB there."""
    from huggingface_hub.constants import HF_HOME

    home = next(place for place in (Path(HF_HOME), *Path(HF_HOME).parents) if place.exists())
    free = shutil.disk_usage(home).free / 1e9
    mend = "checkpoints from the hub may not fit: free some, or set HF_HOME to another disk"
    return _line(free >= LOW_DISK_GB, f"disk: {free:.0f} GB free for checkpoints and data sets in {HF_HOME}", mend)


def _hub() -> str:
    from huggingface_hub import constants, get_token

    local = "models and data sets come from local folders (--model DIR, --data_dir DIR) and from what is cached"
    if constants.HF_HUB_OFFLINE:
        return _line(False, "hub: not asked, HF_HUB_OFFLINE is set", local)
    fault = _unreachable(constants.ENDPOINT)
    token = "with a token" if get_token() else "without a token, which gated models and data sets need"
    if fault is None:
        return _line(True, f"hub: {constants.ENDPOINT} answers, {token}")
    return _line(False, f"hub: {constants.ENDPOINT} does not answer ({fault})", local)


def _unreachable(url: str) -> str | None:
    """Why no answer came within `HUB_WAIT_S`; None where one came, whatever it says."""
    faults: list[str | None] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=HUB_WAIT_S).close()
            faults.append(None)
        except urllib.error.HTTPError:
            faults.append(None)
        except (OSError, ValueError, HTTPException) as error:
            faults.append(str(getattr(error, "reason", error)) or type(error).__name__)

    # A thread, because looking up a name heeds no time limit; a daemon, so that the process does not wait for it.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_WAIT_S)
    return faults[0] if faults else f"no answer in {HUB_WAIT_S:.0f} s"


def _optional(module: str) -> str:
    extra, use = OPTIONAL[module]
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:  # no origin: a mere folder of that name, where this was called
        return _line(False, f"{extra}: absent", f'{use}; pip install "rlvr-harness[{extra}]"')
    try:
        return _line(True, f"{extra} {version(extra)}")
    except PackageNotFoundError:
        return _line(True, f"{extra}, of unknown version")


def _plugins() -> tuple[Registry | None, list[str]]:
    """What could be loaded, with a line for that and one for each plugin that is broken."""
    try:
        registry, broken = load_working()
    except HarnessError as error:
        return None, [_line(False, f"plugins: {error}")]
    names = ", ".join(f"{plugin.name} {plugin.version}" for plugin in registry.plugins) or "none"
    return registry, [_line(True, f"plugins: {names}"), *(_line(False, f"plugins: {one.fault}") for one in broken)]


def _sandboxes(registry: Registry) -> Iterator[str]:
    """A line per sandbox."""
    for sandbox in registry.all("sandbox"):
        try:
            found = sandbox.isolation()
        except Exception as error:  # noqa: BLE001 - a plugin is called, and what it raised is told
            plugin = registry.providers["sandbox"][sandbox.name]
            fault = f"plugin '{plugin}' cannot say what it isolates: {type(error).__name__}: {first_line(error)}"
            yield _line(False, f"sandbox {sandbox.name}: {fault}", "choose another with --sandbox")
            continue
        by = f" ({', '.join(found.mechanisms)})" if found.mechanisms else ""
        mend = "; ".join([*found.missing, *filter(None, [found.advice])])
        yield _line(
            found.level >= FULL_ISOLATION, f"sandbox {sandbox.name}: isolation level {found.level} of 3{by}", mend
        )


def _demo() -> str:
    return _checked("embedded models", lambda: demo_models.resolve_path("demo/base"))


def _checked(what: str, check: Callable[[], object]) -> str:
    try:
        check()
    except HarnessError as error:
        return _line(False, f"{what}: {error}")
    return _line(True, what)
