"""The `openai` sampler: any server that speaks OpenAI's completions or chat completions over HTTP."""

from rlvr_harness import hookimpl
from rlvr_openai.sampler import OpenAISampler


@hookimpl
def provide_samplers() -> list[OpenAISampler]:
    """The sampler `openai`."""
    return [OpenAISampler()]
