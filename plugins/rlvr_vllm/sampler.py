"""The `vllm` sampler: checks a checkpoint and its options, and opens it in an engine of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rlvr_harness import (
    CheckpointProfile,
    ModelFacts,
    ModelRequest,
    check_checkpoint,
    end_ids,
    weight_hash,
)
from rlvr_vllm.adapters import adapter_rank, combined_hash
from rlvr_vllm.engine import import_vllm, require_vllm, start
from rlvr_vllm.model import Opened, VllmModel
from rlvr_vllm.options import EngineOptions, check_device, engine_options


class VllmSampler:
    """vLLM on one machine's GPUs, or on a CPU where its build is for one."""

    name = "vllm"
    description = "vLLM: any model it serves, kept full with samples of many problems, one seed per sample"

    def profile(self, request: ModelRequest) -> CheckpointProfile:
        """Tokenizer and context, without weights; whatever can be refused without an engine is refused here."""
        require_vllm()
        check_checkpoint(request)
        options = engine_options(request)
        if options.adapter is not None:
            adapter_rank(options.adapter, request.allow_pickle)
        return CheckpointProfile(request)

    def open(self, request: ModelRequest) -> VllmModel:
        """The model, loaded."""
        profile = self.profile(request)
        options = engine_options(request)
        vllm = import_vllm()
        platform = str(vllm.platforms.current_platform.device_type)
        check_device(request.device, platform, str(vllm.__version__))
        arguments = dict(options.arguments)
        if options.adapter is not None:
            arguments["enable_lora"] = True
            arguments.setdefault("max_lora_rank", adapter_rank(options.adapter, request.allow_pickle))
        llm = start(request.path, arguments, platform, request.threads)
        opened = Opened(request, profile, _facts(request, llm, profile, options), logprobs=options.logprobs)
        return VllmModel(llm, replace(opened, lora=_lora_request(options)))


def _lora_request(options: EngineOptions) -> Any:
    """vLLM's request for the adapter, which goes with every sample."""
    if options.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(options.adapter))


def _facts(request: ModelRequest, llm: Any, profile: CheckpointProfile, options: EngineOptions) -> ModelFacts:
    config = llm.llm_engine.vllm_config
    gpus = int(config.parallel_config.tensor_parallel_size)
    device = str(config.device_config.device_type)
    revision = request.args.get("revision")
    return ModelFacts(
        revision=profile.revision,
        weight_hash=combined_hash(weight_hash(request.path, revision), options.adapter),
        dtype=str(config.model_config.dtype).removeprefix("torch."),
        device=f"{device} x {gpus}" if gpus > 1 else device,
        eos_token_ids=end_ids(profile.declared_end_ids, request.eos_tokens, profile.tokenizer),
    )
