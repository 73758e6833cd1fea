"""The `vllm` sampler: vLLM in this process, kept full with samples of many problems."""

from rlvr_harness import hookimpl
from rlvr_vllm.sampler import VllmSampler


@hookimpl
def provide_samplers() -> list[VllmSampler]:
    """The sampler `vllm`."""
    return [VllmSampler()]
