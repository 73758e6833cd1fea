"""`--model_args` as lm-eval's vllm engine names them, turned into arguments of `vllm.LLM`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr_harness import ModelError, ModelRequest, trusts_remote_code

READ_BY_THE_PROFILE = ("add_bos_token", "chat_template_args", "enable_thinking")
OURS = ("pretrained", "lora", "lora_local_path", "logprobs", "max_length", "max_batch_size", *READ_BY_THE_PROFILE)
FIXED: Mapping[str, str] = {
    "model": "the model is given with --model and --base",
    "generation_config": "the sampling law comes from --gen_kwargs alone, never from a checkpoint",
    "override_generation_config": "the sampling law comes from --gen_kwargs alone",
    "logprobs_mode": "give logprobs=true for log probabilities under the sampling law",
    "skip_tokenizer_init": "texts and stop strings need the tokenizer",
    "disable_log_stats": "a run keeps its own times",
}
PICKLE_FORMATS = ("auto", "hf", "pt", "npcache")
"""Values of load_format that fall back to, or are, pickled weights."""


@dataclass(frozen=True)
class EngineOptions:
    """What `vllm.LLM` is given; `adapter` is the folder of a LoRA adapter, `logprobs` whether samples carry theirs."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    adapter: Path | None = None
    logprobs: bool = False


def engine_options(request: ModelRequest) -> EngineOptions:
    """The request's options. Raises ModelError for what may not be set; unknown names are left to vLLM to refuse."""
    given = {name: value for name, value in request.args.items() if value is not None}
    for name, reason in FIXED.items():
        if name in given:
            raise ModelError(f"--model_args {name}: cannot be set; {reason}")
    if int(given.get("data_parallel_size", 1)) > 1:
        raise ModelError(
            "--model_args data_parallel_size: cannot be set; name the GPUs with --devices 0,1 for one engine each, "
            "and spread a large model over several with tensor_parallel_size"
        )
    arguments = {name: value for name, value in given.items() if name not in OURS}
    arguments |= {
        "model": request.path,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "trust_remote_code": trusts_remote_code(request),
        "load_format": _load_format(request, given),
    }
    if request.batch_size or given.get("max_batch_size"):
        arguments.setdefault("max_num_seqs", int(request.batch_size or given["max_batch_size"]))
    if "max_length" in given:
        arguments.setdefault("max_model_len", int(given["max_length"]))
    if "revision" in given:
        arguments.setdefault("tokenizer_revision", given["revision"])
    arguments.setdefault("enable_prefix_caching", True)
    arguments.setdefault("use_tqdm_on_load", False)
    logprobs = bool(given.get("logprobs", False))
    if logprobs:
        arguments["logprobs_mode"] = "processed_logprobs"
    adapter = given.get("lora") or given.get("lora_local_path")
    return EngineOptions(arguments, Path(str(adapter)).expanduser() if adapter else None, logprobs)


def _load_format(request: ModelRequest, given: Mapping[str, Any]) -> str:
    """safetensors unless pickle is allowed: vLLM would fall back to pickled weights in silence."""
    asked = given.get("load_format")
    if request.allow_pickle:
        return str(asked or "auto")
    if asked in PICKLE_FORMATS and asked != "auto":
        raise ModelError(
            f"--model_args load_format={asked}: reads pickled weights, which can run code when loaded; "
            "convert them to safetensors, or pass --allow_pickle if you trust them"
        )
    return "safetensors" if asked in (None, "auto") else str(asked)


def check_device(device: str | None, platform: str, version: str) -> None:
    """Refuses a device that this build of vLLM does not drive. `platform`: its kind of device, "" for none."""
    if not platform:
        raise ModelError(
            f"vllm {version} finds no device it can run on; its usual build needs an NVIDIA GPU with a driver: "
            "run on such a machine, install a build of vllm for this one, or use --sampler hf"
        )
    if device is None:
        return
    kind = "cuda" if device == "0" else device.partition(":")[0]
    if kind != platform:
        raise ModelError(
            f"--device {device}: this build of vllm ({version}) runs on {platform}; "
            f"leave out --device, or use --sampler hf"
        )
