"""Which arguments of an engine (`--model_args`, `--base_args`) may differ between the models of one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HARMLESS = frozenset(
    {
        # which checkpoint it is
        *("pretrained", "model", "revision", "subfolder", "peft", "delta", "tokenizer", "tokenizer_revision"),
        *("lora", "lora_local_path", "max_lora_rank"),
        # judged by what they do: the rendered prompts, their tokens, the context
        *("chat_template_args", "enable_thinking", "add_bos_token", "max_length", "max_model_len"),
        # where and how fast it runs
        *("device", "device_map", "device_map_option", "parallelize", "max_memory_per_gpu", "max_cpu_memory"),
        *("offload_folder", "batch_size", "max_batch_size", "tensor_parallel_size", "data_parallel_size"),
        *("pipeline_parallel_size", "gpu_memory_utilization", "swap_space", "max_num_seqs", "low_cpu_mem_usage"),
        *("kv_cache_memory_bytes", "max_num_batched_tokens", "enable_prefix_caching", "logprobs"),
        # how it is reached
        *("base_url", "api_key", "token", "num_concurrent", "max_retries", "timeout", "cache_dir", "local_files_only"),
        *("trust_remote_code", "use_fast_tokenizer", "concurrency", "n_per_request", "api_key_env", "retry_wait"),
        *("price_in", "price_out"),
    }
)
"""Free to differ: none of these changes the law that answers are drawn from, or another check sees what they change."""
LAW = frozenset(
    {
        *("dtype", "torch_dtype", "quantization", "quantization_config", "load_in_4bit", "load_in_8bit"),
        *("autogptq", "gptqmodel", "gguf_file", "kv_cache_dtype", "softmax_dtype", "rope_scaling", "rope_theta"),
        *("hf_overrides", "endpoint", "extra_body", "chat_template_kwargs"),
    }
)
"""Change the law itself: precision, quantisation, positions, what a server is asked for. Others get a warning."""


def law_arg(name: str) -> bool:
    """Whether the argument changes the law of the answers. "bnb_4bit_quant_type" -> True, "revision" -> False."""
    return name in LAW or name.startswith("bnb_")


def differing_args(args: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Argument -> role -> value, of those that are neither harmless nor the same for all; None where unset or off."""
    names = sorted({name for given in args.values() for name in given} - HARMLESS)
    table = {name: {role: given.get(name, False) or None for role, given in args.items()} for name in names}
    return {name: values for name, values in table.items() if len({repr(value) for value in values.values()}) > 1}


def shown_value(value: Any) -> str:
    """A value in a message: its text, at most 60 characters, "default" for None."""
    return "default" if value is None else str(value)[:60]
