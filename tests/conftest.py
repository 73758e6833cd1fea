"""Fixtures of the core suite: tiny checkpoints with random weights, and the command line as a function."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr_harness import ModelRequest, Problem, SampleRequest

# Read when the libraries load, so they must be set before any test imports them: no test reaches the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:  # threads that wait for each other by spinning take the other workers' cores
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes; left out by `-m 'not slow'`")
    # A shell ignores Ctrl-C for what it starts in the background, and programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory):
    """make_checkpoint(seed, **config) -> folder of a Llama of 20 thousand random parameters with the demo tokenizer."""

    def make(seed, **config):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        from rlvr_demo.tokenizer import build_tokenizer

        tokenizer = build_tokenizer()
        torch.manual_seed(seed)
        shape = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "initializer_range": 0.5,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        }
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **{**shape, **config}))
        folder = tmp_path_factory.mktemp("checkpoint")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_base(make_checkpoint):
    return make_checkpoint(seed=1)


@pytest.fixture(scope="session")
def tiny_model(make_checkpoint):
    return make_checkpoint(seed=2)


@pytest.fixture(scope="session")
def open_model():
    """open_model(folder, role="model", **request) -> the `hf` sampler's model, on the CPU with one thread."""

    def open_(folder, role="model", **request):
        from rlvr_hf.sampler import HfSampler

        return HfSampler().open(ModelRequest(role, str(folder), device="cpu", threads=1, **request))

    return open_


@pytest.fixture
def puzzle():
    """puzzle(number, stop=()) -> a Countdown problem; prompts of different numbers differ in length."""

    def make(number, stop=()):
        numbers = ", ".join(str(1 + (number + step) % 13) for step in range(2 + number % 3))
        return Problem("countdown", f"p{number}", f"Make {10 + number} from {numbers}.\n", "", stop)

    return make


@pytest.fixture
def request_for():
    """request_for(problem, indices) -> a request for these samples under run seed 0."""
    from rlvr_harness.planning import sample_seed

    def make(problem, indices):
        seeds = tuple(sample_seed(0, problem.task, problem.problem_id, index) for index in indices)
        return SampleRequest(problem, tuple(indices), seeds)

    return make


@pytest.fixture(scope="session")
def harness():
    """harness(*arguments) -> the finished process of `rlvr-harness`, output as text."""

    def run(*arguments, cwd=None):
        command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd or Path.cwd())

    return run


@pytest.fixture
def cli(capfd):
    """cli(*words) -> (exit status, stdout, stderr) of the command line, run in this process."""

    from rlvr_harness.cli import main

    def run(*words):
        statuses = []
        main([str(word) for word in words], exit_with=statuses.append)
        return statuses[0], *capfd.readouterr()

    return run
