"""The `hf` sampler: checks a checkpoint and opens it through lm-eval."""

from __future__ import annotations

import logging

from rlvr_harness import (
    CheckpointProfile,
    ModelError,
    ModelRequest,
    check_checkpoint,
    first_line,
    open_lm,
    trusts_remote_code,
)
from rlvr_hf.model import HfModel


class HfSampler:
    """transformers on a CPU or one GPU."""

    name = "hf"
    description = "transformers: any causal LM on a CPU or one GPU, prompts prefilled once, one seed per sample"

    def profile(self, request: ModelRequest) -> CheckpointProfile:
        """Tokenizer and context, without weights."""
        check_checkpoint(request)
        return CheckpointProfile(request)

    def open(self, request: ModelRequest) -> HfModel:
        """The model, opened by lm-eval's `hf`."""
        import torch
        from safetensors import SafetensorError

        check_checkpoint(request)
        device = request.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(f"--device {device}: torch {torch.__version__} sees no CUDA device; use --device cpu")
        if request.threads:
            torch.set_num_threads(request.threads)
        arguments = {"dtype": "auto", **request.args, "pretrained": request.path}
        if not request.allow_pickle:
            arguments["use_safetensors"] = True
        arguments["trust_remote_code"] = trusts_remote_code(request)
        logging.getLogger("transformers").setLevel(logging.ERROR)
        try:
            return HfModel(request, open_lm("hf", arguments, device))
        except SafetensorError as error:
            raise ModelError(
                f"model '{request.path}': its weights are damaged or cut short: {first_line(error)}"
            ) from error
