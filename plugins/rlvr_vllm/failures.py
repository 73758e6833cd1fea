"""What goes wrong inside vLLM, told in one line with a way out."""

from __future__ import annotations

from typing import Any

from rlvr_harness import ModelError, first_line

MEMORY_MARKS = (
    "out of memory",
    "no available memory for the cache blocks",
    "less than desired",
    "kv cache is needed",
    "kv cache memory",
)
HIDDEN_MARKS = ("engine core initialization failed", "enginecore encountered an issue", "see root cause above")
MEMORY_ADVICE = (
    "lower max_model_len, or change gpu_memory_utilization or max_num_seqs in --model_args; free the device of other "
    "programs; or spread the model over GPUs with tensor_parallel_size"
)


def engine_failure(path: str, doing: str, error: BaseException) -> ModelError:
    """The error to raise. `doing`: "open" or "sample from"."""
    text = _message(error).rstrip(".")
    lowered = f"{type(error).__name__} {error}".lower()
    told = f"vllm cannot {doing} model '{path}': {text}"
    if any(mark in lowered for mark in MEMORY_MARKS) or "outofmemory" in lowered:
        return ModelError(f"{told}; {MEMORY_ADVICE}")
    if any(mark in lowered for mark in HIDDEN_MARKS):
        return ModelError(f"{told}; the cause stands above. Where it is memory: {MEMORY_ADVICE}")
    return ModelError(told)


def _message(error: BaseException) -> str:
    """One line of the error; of a pydantic error the first finding, whose first line says only how many there are."""
    listed: Any = getattr(error, "errors", None)
    if callable(listed):
        found = listed()
        if found and isinstance(found[0], dict) and "msg" in found[0]:
            where = ".".join(str(part) for part in found[0].get("loc", ()))
            text = " ".join(str(found[0]["msg"]).split()).removeprefix("Value error, ")
            return f"{where}: {text}"[:300] if where else text[:300]
    return first_line(error)
