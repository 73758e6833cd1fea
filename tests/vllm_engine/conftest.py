"""Fixtures of the tests with a real vLLM, which are skipped where it is not installed; see .ci/vllm_environment."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from rlvr_harness import ModelRequest

HERE = Path(__file__).parent
SMALL = {"dtype": "float32", "max_num_seqs": 64, "kv_cache_memory_bytes": 2**28, "enforce_eager": True}


def pytest_collection_modifyitems(items):
    """vLLM's and torch's own deprecations are not ours to mend."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("default"))
            if importlib.util.find_spec("vllm") is None:
                item.add_marker(pytest.mark.skip(reason="needs vllm: make an environment with .ci/vllm_environment"))


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint):
    """checkpoint(seed) -> a tiny Llama; vLLM's CPU kernels know no smaller heads than those of 32."""
    made = {}

    def make(seed):
        if seed not in made:
            made[seed] = make_checkpoint(seed=seed, head_dim=32, max_position_embeddings=128)
        return made[seed]

    return make


@pytest.fixture(scope="session")
def open_vllm():
    """open_vllm(folder, args={}, **request) -> an opened model; engines in one process are opened one after another."""

    def open_(folder, args=None, **request):
        from rlvr_vllm.sampler import VllmSampler

        merged = {**SMALL, **(args or {})}
        return VllmSampler().open(ModelRequest("model", str(folder), merged, threads=1, **request))

    return open_
