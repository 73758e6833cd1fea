"""The `vllm` sampler: checks a checkpoint and its options, and opens it in an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rlvr_harness import CheckpointProfile, EarlyEnd, ModelRequest, Sampler, StreamingModel
from rlvr_vllm.profile import profile_of
from rlvr_vllm.sharing import RunSampler


class VllmSampler:
    """vLLM on one machine's GPUs, or on a CPU where its build is for one."""

    name = "vllm"
    description = "vLLM: any model it serves, kept full with samples of many problems, one seed per sample"

    def profile(self, request: ModelRequest) -> CheckpointProfile:
        """Tokenizer and context, without weights; whatever can be refused without an engine is refused here."""
        return profile_of(request)

    def open(self, request: ModelRequest) -> StreamingModel:
        """The model, loaded; its engine ends when it is closed."""
        return RunSampler([request], keeps=False).open(request)

    def open_beside(self, request: ModelRequest, ending: EarlyEnd) -> StreamingModel:
        """The model in processes of its own, which see its devices alone; see `SideBySideSampler`."""
        return RunSampler([request], keeps=False, ending=ending).open(request)

    @contextmanager
    def sharing(self, requests: Sequence[ModelRequest]) -> Iterator[Sampler]:
        """The sampler for the models of one run; see `SharingSampler`."""
        run = RunSampler(requests)
        try:
            yield run
        finally:
            run.end()
