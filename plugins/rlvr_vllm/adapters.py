"""A LoRA adapter's folder: checked, and what vLLM must know of it before the base is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from rlvr_harness import ModelError, weight_hash

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes for max_lora_rank."""


def adapter_rank(folder: Path, allow_pickle: bool) -> int:
    """The smallest rank of vLLM's choice that holds the adapter. Raises ModelError naming what is wrong with it."""
    config = folder / "adapter_config.json"
    if not config.is_file():
        raise ModelError(f"LoRA adapter '{folder}': no adapter_config.json here; give a PEFT adapter's folder")
    if not (folder / "adapter_model.safetensors").is_file() and not allow_pickle:
        raise ModelError(
            f"LoRA adapter '{folder}': no adapter_model.safetensors here; save it as safetensors, "
            "or pass --allow_pickle if you trust its pickled weights"
        )
    try:
        read = json.loads(config.read_text(encoding="utf-8"))
        rank = max([int(read["r"]), *(int(value) for value in (read.get("rank_pattern") or {}).values())])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"LoRA adapter '{folder}': adapter_config.json names no rank 'r'") from error
    fitting = [allowed for allowed in RANKS if allowed >= rank]
    if rank < 1 or not fitting:
        raise ModelError(f"LoRA adapter '{folder}': rank {rank} is not between 1 and {RANKS[-1]}, which vLLM can serve")
    return fitting[0]


def combined_hash(base: str | None, folder: Path | None) -> str | None:
    """Hash of base and adapter together; the base's own where there is no adapter."""
    if folder is None:
        return base
    adapter = weight_hash(str(folder), None)
    if base is None or adapter is None:
        return None
    return hashlib.sha256(f"{base} {adapter}".encode()).hexdigest()
