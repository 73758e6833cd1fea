"""The `trl` backend on the embedded base: every algorithm takes steps; a stopped training ends as an unbroken one."""

import contextlib
import importlib.util
import io
import json
import math
import shutil
from pathlib import Path

import pytest

from rlvr_harness.training import TrainingWish, train
from rlvr_harness.training_problems import TrainingChoice
from rlvr_trl.algorithms import ALGORITHMS
from tests.small_runs import finished_run  # noqa: F401

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL is not installed"),
    pytest.mark.slow,
]


def trained(output, algorithm, settings=None, **choice):
    """The lines told; 4 steps on 4 prompts x 8 samples, a checkpoint every 2."""
    wanted = TrainingWish(
        backend="trl",
        algorithm=algorithm,
        choice=TrainingChoice(**{"base": "demo/base", "tasks": ["countdown"], "problems": 30, **choice}),
        output=output,
        settings={
            **{"steps": 4, "prompts_per_step": 4, "samples_per_prompt": 8, "save_steps": 2, "learning_rate": 1e-4},
            **(settings or {}),
        },
        options={},
        judging={"sandbox": "local", "sandbox_level": 3, "workers": 1},
    )
    told = []
    list(train(wanted, False, True, told.append))
    return told


@pytest.fixture
def in_this_process(monkeypatch):
    """Trainings run here, with the plan and the output of a process of their own: loading TRL takes half the time."""
    from rlvr_trl import runner

    def run(plan, folder, follower, read):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert runner.main(list(plan.command[-1:])) == 0
        follower.follow(io.BytesIO(said.getvalue().encode()), read)

    monkeypatch.setattr("rlvr_harness.training.run_process", run)


def progress(output):
    return [json.loads(line) for line in (output / "progress.jsonl").read_text().splitlines()]


def weights(output, step):
    return (output / "checkpoints" / f"checkpoint-{step}" / "model.safetensors").read_bytes()


@pytest.mark.filterwarnings("ignore")  # of what TRL imports
@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_takes_steps_and_changes_the_weights(tmp_path, algorithm):
    assert trained(tmp_path, algorithm) == []
    rows = progress(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(math.isfinite(row["loss"]) and row["void"] == 0 for row in rows)
    assert any(row["grad_norm"] > 0 for row in rows)
    assert weights(tmp_path, 2) != weights(tmp_path, 4)


def test_a_stopped_training_goes_on_to_the_very_weights_of_one_that_was_not(tmp_path):
    trained(tmp_path, "grpo")
    whole = weights(tmp_path, 4)
    shutil.rmtree(tmp_path / "checkpoints" / "checkpoint-4")
    half_written = tmp_path / "checkpoints" / "checkpoint-3"
    half_written.mkdir()
    assert trained(tmp_path, "grpo") == ["going on from step 2"]
    assert weights(tmp_path, 4) == whole
    assert not half_written.exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("in_this_process")
def test_a_checkpoint_brings_no_sampling_settings_and_the_tokenizer_of_its_base(tmp_path):
    from transformers import AutoTokenizer, GenerationConfig

    import rlvr_harness

    trained(tmp_path, "remax")
    folder = tmp_path / "checkpoints" / "checkpoint-4"
    saved = GenerationConfig.from_pretrained(folder).to_diff_dict()
    assert not {"temperature", "top_k", "top_p", "do_sample", "max_new_tokens"} & set(saved)
    base = Path(rlvr_harness.__file__).parent / "demo" / "base"
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == AutoTokenizer.from_pretrained(base).get_vocab()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("in_this_process")
def test_an_adapter_is_trained_alone_and_told_as_one(tmp_path):
    from rlvr_trl.backend import TrlBackend

    trained(tmp_path, "rloo", {"lora_rank": 4, "kl": 0.01})
    assert [(one.step, one.is_adapter) for one in TrlBackend().checkpoints(tmp_path)] == [(2, True), (4, True)]
    assert all(row["kl"] >= 0 for row in progress(tmp_path))


def test_supervised_training_learns_the_right_samples_of_a_run(tmp_path, finished_run):  # noqa: F811
    settings = {"steps": 24, "prompts_per_step": 4, "save_steps": 24, "learning_rate": 3e-3}
    told = trained(tmp_path / "o", "sft", settings, tasks=[], traces=f"{finished_run}:base")
    assert [line for line in told if "equal evaluation problems of 'countdown'" in line]
    losses = [row["loss"] for row in progress(tmp_path / "o")]
    assert len(losses) == 24
    # the few rows come again and again, and are learned by heart
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])
