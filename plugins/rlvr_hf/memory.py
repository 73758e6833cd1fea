"""What fits in memory: an estimate before the first unit, and a retreat to smaller ones where it was too high."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rlvr_harness import ModelError

if TYPE_CHECKING:
    import torch

Piece = TypeVar("Piece")
MAX_ROWS_CPU = 1024
MAX_ROWS_GPU = 512
MEMORY_SHARE = 0.5
"""Share of the free memory that a unit may take: the cache is copied when rows are reordered or extended."""
ALLOCATOR_WORDS = ("DefaultCPUAllocator", "not enough memory", "out of memory", "ALLOC_FAILED")
"""How torch, its CPU allocator and cuBLAS word a failed allocation, where they raise a plain RuntimeError."""
_LOG = logging.getLogger(__name__)


class Fitting:
    """Runs a unit in pieces of rows that fit, and remembers the size that did for the units to come."""

    def __init__(self, role: str) -> None:
        """`role`: the model's, for the line that tells of a retreat."""
        self._role = role
        self._most: int | None = None

    def run(self, rows: int, call: Callable[[range], Piece]) -> list[Piece]:
        """`call(rows)` for each piece, in order; a piece that does not fit is halved and tried again.

        Raises ModelError when one row alone does not fit.
        """
        found: list[Piece] = []
        first = 0
        while first < rows:
            count = min(rows - first, self._most or rows)
            why = self._try(range(first, first + count), call, found)
            if why is None:
                first += count
            elif count == 1:
                raise ModelError(
                    f"the {self._role} model runs out of memory on a single sample ({why}); "
                    "lower max_gen_toks in --gen_kwargs, or take a device with more memory"
                )
            else:
                self._most = (count + 1) // 2
                _LOG.warning(
                    "%s: %d samples at once do not fit in memory, going on with %d", self._role, count, self._most
                )
        return found

    def _try(self, piece: range, call: Callable[[range], Piece], found: list[Piece]) -> str | None:
        """The cause where the piece does not fit. Its tensors live as long as the error does, so none leaves here."""
        try:
            found.append(call(piece))
            return None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            why = str(error).partition("\n")[0] or type(error).__name__
        release_memory()
        return why


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on any device."""
    import torch

    told = any(word in str(error) for word in ALLOCATOR_WORDS)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and told)


def release_memory() -> None:
    """Gives what nothing refers to any more back to the device and to the system."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def rows_that_fit(model: Any, tokens_per_row: int, beside: int = 0) -> int:
    """Samples of that many tokens that half of the free memory holds, at most 1024 on a CPU, 512 on a GPU.

    A CPU's memory is shared with so many models `beside` this one; a GPU has only one of them.
    """
    text = model.config.get_text_config()
    per_row = tokens_per_row * _cache_bytes_per_token(text, model.dtype.itemsize)
    per_row += 4 * 8 * int(text.vocab_size)
    on_cpu = model.device.type == "cpu"
    rows = int(free_bytes(model.device) * MEMORY_SHARE / per_row / (1 + beside if on_cpu else 1))
    return max(1, min(MAX_ROWS_CPU if on_cpu else MAX_ROWS_GPU, rows))


def _cache_bytes_per_token(text: Any, itemsize: int) -> int:
    heads = getattr(text, "num_key_value_heads", None) or getattr(text, "num_attention_heads", 1)
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * head_size * itemsize)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on the device."""
    import psutil
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return int(psutil.virtual_memory().available)
