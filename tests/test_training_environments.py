"""What another interpreter is asked before a training starts, and which folders are checkpoints."""

import json
import sys
from pathlib import Path

import pytest

from rlvr_harness import (
    TrainingEnvironment,
    UsageError,
    as_ray_job,
    is_whole_checkpoint,
    lacking_gpus,
    lacking_packages,
    parameter_count,
    read_rows,
    reward_environment,
    reward_fault,
    run_script,
    survey_environment,
)


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import training_fakes

    return training_fakes


def test_an_environment_tells_its_packages_and_gpus(fakes, tmp_path):
    python = fakes.interpreter(tmp_path, tmp_path / "site", ("torch", "vllm"), (81920, 40960))
    found = survey_environment(python, ("vllm", "pytest", "no_such_package"))
    assert set(found.packages) == {"vllm", "pytest"}
    assert found.packages["pytest"] == pytest.__version__
    assert found.gpu_bytes == (80 * 2**30, 40 * 2**30)


def test_an_interpreter_that_is_none_is_a_line_and_no_error(tmp_path):
    found = survey_environment(tmp_path / "python", ("vllm",))
    assert "cannot be run: No such file" in found.fault
    assert [*lacking_packages(found, {"vllm": "vllm"})] == [
        f"the environment of {found.python} cannot be asked: {found.fault}"
    ]
    assert [*lacking_gpus(found, "It", 1, 8)] == []


def test_an_interpreter_that_hangs_is_given_up(tmp_path):
    answer = run_script(Path(sys.executable), "while True: pass", [], "X", timeout_s=0.3)
    assert answer.fault == f"{sys.executable} gave no answer in 0 s"


def test_a_script_that_fails_tells_its_last_line():
    answer = run_script(Path(sys.executable), "raise SystemExit('first\\nlast')", [], "X")
    assert answer.fault.endswith("ended with status 1: last")


def test_what_is_lacking_is_named_with_the_way_out():
    found = TrainingEnvironment(Path("py"), {"ray": "2"}, (1, 1))
    assert [*lacking_packages(found, {"ray": "ray", "vllm": "vllm==1"})] == [
        "vllm is not installed for py: py -m pip install vllm==1"
    ]
    assert [*lacking_gpus(found, "It", 1, 2)] == []
    assert [*lacking_gpus(found, "It", 2, 8)] == []
    assert "8 GPUs are asked for and 2 are seen" in next(lacking_gpus(found, "It", 1, 8))
    assert "no GPU is seen by py" in next(lacking_gpus(TrainingEnvironment(Path("py")), "It", 1, 1))


def test_a_reward_file_is_loaded_where_it_will_be_used(tmp_path):
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("x = 1\n")
    bad.write_text("raise RuntimeError('no sandbox')\n")
    assert reward_fault(Path(sys.executable), good) == ""
    assert "RuntimeError: no sandbox" in reward_fault(Path(sys.executable), bad)


def test_rewards_find_a_folder_for_their_counts(tmp_path):
    environment = reward_environment(tmp_path / "out")
    assert Path(environment["RLVR_HARNESS_REWARD_COUNTS"]) == (tmp_path / "out" / "rewards").resolve()
    assert (tmp_path / "out" / "rewards").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another output folder"):
        reward_environment(tmp_path / "file")


def test_a_ray_job_carries_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    job = as_ray_job(("py", "-m", "x"), {"A": "b"})
    assert job[:6] == ("py", "-m", "ray.scripts.scripts", "job", "submit", "--address=http://head:8265")
    assert json.loads(job[6].partition("=")[2]) == {"env_vars": {"A": "b"}}
    assert job[7:] == ("--", "py", "-m", "x")
    assert "--address=http://other:1" in as_ray_job(("py",), {}, "http://other:1")


def test_parameters_are_counted_in_all_files(fakes, tmp_path):
    fakes.safetensors(tmp_path / "model-1.safetensors", {"a": [4, 5], "b": [7]})
    fakes.safetensors(tmp_path / "model-2.safetensors", {"c": [3]})
    assert parameter_count(str(tmp_path)) == 30
    assert parameter_count("Qwen/Qwen2.5-7B") is None
    (tmp_path / "model-3.safetensors").write_bytes(b"short")
    assert parameter_count(str(tmp_path)) is None


def test_a_folder_counts_only_when_all_of_it_is_there(fakes, tmp_path):
    assert is_whole_checkpoint(fakes.checkpoint(tmp_path / "whole"))
    assert not is_whole_checkpoint(fakes.checkpoint(tmp_path / "short", short_by=1))
    assert not is_whole_checkpoint(fakes.checkpoint(tmp_path / "early", tokenizer=False))
    assert is_whole_checkpoint(tmp_path / "early", tokenizer=False)
    assert is_whole_checkpoint(fakes.adapter(tmp_path / "adapter"))
    assert not is_whole_checkpoint(tmp_path / "nothing")
    (tmp_path / "whole" / "config.json").write_text("{")
    assert not is_whole_checkpoint(tmp_path / "whole")


def test_every_file_of_the_index_must_be_there(fakes, tmp_path):
    folder = fakes.checkpoint(tmp_path)
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    assert not is_whole_checkpoint(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "one.safetensors", "v": "two.safetensors"}}))
    assert not is_whole_checkpoint(folder)
    fakes.safetensors(folder / "two.safetensors", {"v": [1]})
    assert is_whole_checkpoint(folder)
    index.write_text("{}")
    assert not is_whole_checkpoint(folder)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no training problems"),
        ('{"input": "q"}\n', "line 1: a row has"),
        ('{"input": "q", "label": "l"}\n{', "line 2: no JSON"),
        ("[]", "line 1: a row has"),
    ],
)
def test_bad_training_data_is_named_by_line(tmp_path, text, fault):
    (tmp_path / "train.jsonl").write_text(text)
    with pytest.raises(UsageError, match=fault):
        read_rows(tmp_path / "train.jsonl")


def test_rows_keep_line_separators_inside_them(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"input": "a\u2028b\x85c", "label": "l"}\n', encoding="utf-8")
    assert read_rows(tmp_path / "train.jsonl") == [{"input": "a\u2028b\x85c", "label": "l"}]
