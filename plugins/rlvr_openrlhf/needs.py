"""What a machine must have for an OpenRLHF run; OpenRLHF itself waits without a word where a GPU is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from rlvr_harness import TrainingEnvironment, TrainingSpec, lacking_gpus, lacking_packages, parameter_count
from rlvr_openrlhf.settings import Layout

VERSION = "0.11."
_WHEEL = '"openrlhf[vllm]==0.11.2"'
WHEELS = {
    "openrlhf": _WHEEL,
    "ray": _WHEEL,
    "vllm": _WHEEL,
    "flash_attn": "flash-attn==2.8.3",
    "deepspeed": _WHEEL,
    "torch": _WHEEL,
    "rlvr_harness": "rlvr-harness",
}
"""Package -> what to give to pip; the last one gives the reward."""
_GIB = 2**30
# Bytes of one parameter: bf16 weights and gradients; fp32 copy and the two moments of Adam.
_WEIGHTS, _GRADIENTS, _ADAM = 2, 2, 12
# Of a GPU's memory; the rest goes to activations, buffers of NCCL and fragmentation.
_USABLE = 0.9


def lacking(spec: TrainingSpec, layout: Layout, found: TrainingEnvironment, chosen: Mapping[str, Any]) -> Iterator[str]:
    """One line for each thing, with the way out."""
    yield from lacking_packages(found, WHEELS)
    yield from lacking_gpus(found, "OpenRLHF", spec.nodes, layout.gpus)
    yield from _version(found)
    if spec.nodes == 1 and os.environ.get("RAY_ADDRESS"):
        yield "RAY_ADDRESS is set, so OpenRLHF would join that cluster; unset it, or ask for its nodes"
    if not found.gpu_bytes:
        return
    yield from _memory(spec, layout, min(found.gpu_bytes), chosen)


def _version(found: TrainingEnvironment) -> Iterator[str]:
    version = found.packages.get("openrlhf", VERSION)
    if not version.startswith(VERSION):
        told = f"OpenRLHF {version or 'of unknown version'} is installed; its options change between versions"
        yield f'{told}: {found.python} -m pip install "openrlhf==0.11.2"'


def _memory(spec: TrainingSpec, layout: Layout, each: int, chosen: Mapping[str, Any]) -> Iterator[str]:
    parameters = parameter_count(spec.base)
    if parameters is None:
        return
    training = training_bytes(spec, layout.total, parameters, chosen)
    if training > _USABLE * each:
        yield (
            f"{parameters / 1e9:.1f} billion parameters need about {training / _GIB:.1f} GiB on each of {layout.total} "
            f"GPUs for weights, gradients and Adam's state, and a GPU has {each / _GIB:.1f} GiB; "
            "take more GPUs, or ds.adam_offload=true"
        )
    weights = _WEIGHTS * parameters / layout.parallel
    share = float(chosen.get("vllm.gpu_memory_utilization") or 0.95)
    if weights > share * each:
        yield (
            f"vLLM would hold {weights / _GIB:.1f} GiB of weights on a GPU and may use {share * each / _GIB:.1f} GiB; "
            "raise vllm.tensor_parallel_size or vllm.gpu_memory_utilization"
        )


def training_bytes(spec: TrainingSpec, gpus: int, parameters: int, chosen: Mapping[str, Any]) -> float:
    """On each GPU, without activations: below ZeRO's stage 3 every GPU holds all weights."""
    sharded = int(chosen.get("ds.zero_stage", 2)) >= 3
    weights = _WEIGHTS * parameters / (gpus if sharded else 1)
    adam = 0 if chosen.get("ds.adam_offload") else _ADAM
    state = 0.0 if spec.lora_rank else (_GRADIENTS + adam) * parameters / gpus
    models = 2 if spec.algorithm == "ppo" else 1
    return models * (weights + state) + (weights if spec.kl and not chosen.get("ref.offload") else 0.0)
