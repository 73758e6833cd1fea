"""Starting vLLM, driving it step by step, and ending it; nothing else in this package touches its processes."""

from __future__ import annotations

import gc
import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from rlvr_harness import ModelError, first_line
from rlvr_vllm.failures import engine_failure

MISSING = "--sampler vllm needs the vllm package: pip install 'rlvr-harness[vllm]'"
CPU_CACHE_BYTES = 2 * 2**30
CPU_CACHE_SHARE = 0.125
"""On a CPU the cache takes this share of the free memory, at most 2 GB: vLLM's own default is 92 % of all memory, and
every byte is written when the engine starts."""
CACHE_ARGUMENTS = ("kv_cache_memory_bytes", "gpu_memory_utilization", "num_gpu_blocks_override")
ENVIRONMENT: Mapping[str, str] = {
    # Its progress is not the run's; errors are told by this package.
    "VLLM_LOGGING_LEVEL": "ERROR",
    # Off, or vLLM reports the model's architecture and the hardware to its makers.
    "VLLM_NO_USAGE_STATS": "1",
}


def require_vllm() -> None:
    """Raises ModelError with the way out where vllm is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise ModelError(MISSING)


def import_vllm() -> ModuleType:
    """The package, which reads its settings from the environment as it loads."""
    require_vllm()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        with _own_warnings_only():
            import vllm
            import vllm.platforms
    except Exception as error:
        raise ModelError(
            f"vllm is installed but does not import ({type(error).__name__}: {first_line(error)}); "
            "install the versions of vllm and torch that belong together"
        ) from error
    module: ModuleType = vllm
    return module


@contextmanager
def _own_warnings_only() -> Iterator[None]:
    """Keeps deprecations inside vLLM and torch off the user's terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def start(path: str, arguments: Mapping[str, Any], platform: str, threads: int | None) -> Any:
    """A `vllm.LLM`. Raises ModelError in one line, with nothing left behind."""
    import torch
    import vllm

    given = dict(arguments)
    set_threads = torch.set_num_threads
    if platform == "cpu":
        # A second process gains nothing on a CPU, and is killed by force when it is to end.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        # Compiling takes a minute for each model, which pays in runs of many hours only.
        given.setdefault("enforce_eager", True)
        if not any(name in given for name in CACHE_ARGUMENTS) and "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
            given["kv_cache_memory_bytes"] = _cpu_cache_bytes()
        if threads:
            torch.set_num_threads(threads)
    try:
        with _own_warnings_only():
            return vllm.LLM(**given)
    except Exception as error:
        _release()
        raise engine_failure(path, "open", error) from error
    finally:
        # vLLM puts a function that does nothing in its place, for the whole process.
        torch.set_num_threads = set_threads


def shut_down(llm: Any) -> None:
    """Ends the engine with its processes; the caller then drops its last reference and calls `gc.collect`."""
    llm.llm_engine.engine_core.shutdown()
    _release()


def _release() -> None:
    """Gives back what an engine in this process had: process groups, cached GPU memory."""
    import torch
    from vllm.distributed import cleanup_dist_env_and_memory

    gc.collect()
    cleanup_dist_env_and_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _cpu_cache_bytes() -> int:
    import psutil

    return int(min(CPU_CACHE_BYTES, psutil.virtual_memory().available * CPU_CACHE_SHARE))


class GuardedEngine:
    """vLLM's `LLMEngine`, whose failures come out as ModelError."""

    def __init__(self, llm: Any, path: str) -> None:
        """`path`: the model, for messages."""
        self._engine, self._path = llm.llm_engine, path

    def add_request(self, request_id: str, prompt: Any, params: Any, lora_request: Any = None) -> None:
        """Queues a sample."""
        try:
            self._engine.add_request(request_id, prompt, params, lora_request=lora_request)
        except Exception as error:
            raise engine_failure(self._path, "sample from", error) from error

    def step(self) -> Sequence[Any]:
        """One step of all that run; what it finished."""
        try:
            outputs: Sequence[Any] = self._engine.step()
        except Exception as error:
            raise engine_failure(self._path, "sample from", error) from error
        return outputs

    def abort_request(self, request_ids: list[str]) -> None:
        """Forgets samples."""
        try:
            self._engine.abort_request(request_ids)
        except Exception as error:
            raise engine_failure(self._path, "sample from", error) from error
