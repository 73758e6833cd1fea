"""The `replay` sampler: samples that were drawn elsewhere, read from files in place of a model."""

from rlvr_harness import hookimpl
from rlvr_replay.sampler import ReplaySampler


@hookimpl
def provide_samplers() -> list[ReplaySampler]:
    """The sampler `replay`."""
    return [ReplaySampler()]
