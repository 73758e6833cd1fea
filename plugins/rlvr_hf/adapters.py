"""LoRA adapters: added to the weights of the checkpoint they were trained on."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

from rlvr_harness import ModelError, ModelRequest, first_line, weight_hash


def check_adapter(request: ModelRequest) -> None:
    """A local adapter must have its config and, unless pickle is allowed, safetensors weights. Raises ModelError."""
    adapter = request.args.get("peft")
    if not adapter or not Path(str(adapter)).exists():
        return
    folder = Path(str(adapter))
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(f"adapter '{adapter}': no adapter_config.json in this folder; is it a PEFT adapter?")
    if not request.allow_pickle and not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"adapter '{adapter}' has no adapter_model.safetensors, and pickled weights can run code when loaded; "
            "convert them to safetensors, or pass --allow_pickle if you trust them"
        )


def with_adapter(model: Any, request: ModelRequest) -> Any:
    """The model with the adapter of `--model_args peft=...` merged into its weights; without one, the model itself.

    Not through lm-eval, which cuts the embeddings of a checkpoint with spare rows before it adds an adapter.
    """
    adapter = request.args.get("peft")
    if not adapter:
        return model
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # peft asks transformers for things under names that it is about to drop; the user can do nothing about it.
            warnings.simplefilter("ignore", FutureWarning)
            merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(safe_merge=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"adapter '{adapter}' does not fit model '{request.path}': {first_line(error)}; "
            "give the adapter's folder, and as the model the checkpoint that it was trained on"
        ) from error
    return merged.eval()


def hash_of_weights(request: ModelRequest) -> str | None:
    """sha256 of the checkpoint's weights, those of the adapter included; None where a part is not on this disk."""
    own = weight_hash(request.path, request.args.get("revision"))
    adapter = request.args.get("peft")
    if not adapter:
        return own
    added = weight_hash(str(adapter), None)
    return hashlib.sha256(f"{own} {added}".encode()).hexdigest() if own and added else None
