"""A sweep samples the base once, and each of its folders is what `run` makes of that checkpoint."""

import json
import shutil
import signal
import struct
import subprocess
import sys
import time
import warnings

import pytest

from rlvr_harness import app
from rlvr_harness.checkpoint_folders import find_checkpoints
from rlvr_harness.errors import HarnessError, UsageError
from rlvr_harness.run_reader import read_json, read_samples, read_verdicts
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.sweep_analyses import Analyses
from rlvr_harness.sweep_work import Following, SweepWish
from rlvr_harness.sweeping import sweep, wish_of

OPTIONS = {"tasks": "countdown", "k": 4, "limit": 3, "threads": 1, "device": "cpu", "gen_kwargs": "max_gen_toks=12"}


@pytest.fixture
def outputs(tmp_path, tiny_model, make_checkpoint):
    """A training's output: checkpoint-10 and checkpoint-20."""
    folder = tmp_path / "grpo"
    shutil.copytree(tiny_model, folder / "checkpoint-10")
    shutil.copytree(make_checkpoint(seed=3), folder / "checkpoint-20")
    return folder


@pytest.fixture
def swept(tiny_base, tmp_path):
    """swept(*sources, **more) -> the lines of a sweep into tmp_path / "sweep"; `more`: options, following, analyses."""

    def run(*sources, following=None, analyses=None, **options):
        given = {**OPTIONS, "base": str(tiny_base), "output_path": str(tmp_path / "sweep"), **options}
        wish = wish_of(given, [str(source) for source in sources])
        parts = {"following": following or Following(), "analyses": analyses or Analyses(), "quiet": True}
        return list(sweep(SweepWish(wish.spec, wish.sources, wish.folder, **parts)))

    return run


def texts(folder, role):
    return {(s.problem_id, s.index): (s.seed, s.text) for s in read_samples(folder, "countdown", role)}


def states(folder):
    return {name: entry["state"] for name, entry in read_json(folder, "sweep.json")["checkpoints"].items()}


@pytest.mark.slow
def test_every_folder_holds_what_a_run_of_its_own_would_and_the_base_is_sampled_once(
    swept, outputs, tiny_base, tmp_path
):
    swept(outputs)
    for name in ("checkpoint-10", "checkpoint-20"):
        alone = tmp_path / f"alone-{name}"
        models = {"model": str(outputs / name), "base": str(tiny_base), "output_path": str(alone)}
        app.run(parse_spec({**OPTIONS, **models}), quiet=True)
        folder = tmp_path / "sweep" / name
        for role in ("base", "model"):
            assert texts(folder, role) == texts(alone, role)
            assert len(texts(folder, role)) == 12
        found, wanted = (read_json(each, "results.json")["tasks"]["countdown"] for each in (folder, alone))
        assert found["comparison"] == wanted["comparison"]
        assert found["models"]["base"] == wanted["models"]["base"]
        assert list(read_json(folder, "run.json")["timings"]["sampling"]) == ["countdown/model"]
    assert list(read_json(tmp_path / "sweep" / "base", "run.json")["timings"]["sampling"]) == ["countdown/model"]


@pytest.mark.slow
def test_the_report_shows_the_steps_and_the_same_command_does_nothing_twice(swept, outputs, tmp_path):
    lines = swept(outputs)
    assert "over training steps" in lines[0]
    assert "step 10" in lines[0]
    page = (tmp_path / "sweep" / "report.html").read_text(encoding="utf-8")
    assert "pass@k over training steps" in page
    assert "Problems kept, lost and gained" in page
    before = (tmp_path / "sweep" / "checkpoint-10" / "run.json").stat().st_mtime_ns
    assert swept(outputs) == lines
    assert (tmp_path / "sweep" / "checkpoint-10" / "run.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_checkpoint_that_came_later_is_added_by_the_same_command(swept, outputs, tiny_model, tmp_path):
    swept(outputs)
    shutil.copytree(tiny_model, outputs / "checkpoint-15")
    assert "step 15" in swept(outputs)[0]
    assert states(tmp_path / "sweep") == dict.fromkeys(["checkpoint-10", "checkpoint-15", "checkpoint-20"], "done")


@pytest.mark.slow
def test_follow_waits_for_what_is_still_written_and_ends_with_the_step_asked_for(swept, outputs, tmp_path, capsys):
    weights = outputs / "checkpoint-20" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    shutil.copytree(outputs / "checkpoint-10", outputs / "checkpoint-30")
    waits = []

    def wait(seconds):
        waits.append((seconds, states(tmp_path / "sweep")))
        weights.write_bytes(whole)

    swept(outputs, following=Following(0.5, until=20, wait=wait))
    assert waits == [(0.5, {"checkpoint-10": "done", "checkpoint-20": "unfinished"})]
    assert states(tmp_path / "sweep") == {"checkpoint-10": "done", "checkpoint-20": "done"}
    assert capsys.readouterr().err.count("checkpoint-20: waited for, model.safetensors is not whole") == 1


def test_an_unfinished_checkpoint_is_skipped_by_name(swept, outputs, tmp_path, capsys):
    (outputs / "checkpoint-20" / "config.json").unlink()
    swept(outputs)
    assert "checkpoint-20: skipped, no config.json" in capsys.readouterr().err
    assert states(tmp_path / "sweep") == {"checkpoint-10": "done", "checkpoint-20": "unfinished"}


def test_nothing_but_unfinished_checkpoints_is_an_error(swept, outputs):
    for name in ("checkpoint-10", "checkpoint-20"):
        (outputs / name / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="no finished checkpoint"):
        swept(outputs)


@pytest.mark.slow
def test_a_copy_of_the_base_that_was_cut_short_is_completed(swept, outputs, tmp_path):
    swept(outputs)
    folder, base = tmp_path / "sweep" / "checkpoint-10", texts(tmp_path / "sweep" / "base", "model")
    kept = list(read_samples(folder, "countdown", "base"))[:5]
    judged = list(read_verdicts(folder, "countdown", "base", "countdown"))[:2]
    before = read_json(folder, "results.json")["tasks"]
    shutil.rmtree(folder)
    with RunStore(folder) as store:
        store.append_samples(kept)
        store.append_verdicts("countdown", "base", "countdown", judged)
    record = read_json(tmp_path / "sweep", "sweep.json")
    record["checkpoints"]["checkpoint-10"]["state"] = "ready"
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(record), encoding="utf-8")
    swept(outputs)
    assert texts(folder, "base") == base
    assert read_json(folder, "results.json")["tasks"] == before


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_as_one_that_was_not(swept, outputs, tiny_base, tmp_path, harness):
    swept(outputs, output_path=str(tmp_path / "whole"))
    words = ["sweep", str(outputs), "--base", str(tiny_base), "-o", str(tmp_path / "killed"), "--quiet"]
    words += [f"--{name}={value}" for name, value in OPTIONS.items()]
    for sign in ("base/run.json", "checkpoint-10/run.json", "checkpoint-20/run.json"):
        program = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", *words]
        with subprocess.Popen(program, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not (tmp_path / "killed" / sign).is_file():
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
    done = harness(*words)
    assert done.returncode == 0, done.stderr
    for name in ("checkpoint-10", "checkpoint-20"):
        for role in ("base", "model"):
            assert texts(tmp_path / "killed" / name, role) == texts(tmp_path / "whole" / name, role)


@pytest.mark.slow
def test_the_base_is_scored_once_and_its_scores_stand_in_every_folder(swept, outputs, tmp_path, capsys):
    swept(outputs, analyses=Analyses(ppl=True, entropy=True, per_problem=1))
    told = capsys.readouterr().err
    assert "texts of base scored" not in told
    first, second = (
        read_json(tmp_path / "sweep" / name, "results.json")["tasks"]["countdown"]["models"]["base"]
        for name in ("checkpoint-10", "checkpoint-20")
    )
    assert first["perplexity"]["of"]["base"] == second["perplexity"]["of"]["base"]
    assert first["perplexity"]["of"]["base"]["value"] > 1
    assert first["entropy"]["token"]["at_1"]["value"] == second["entropy"]["token"]["at_1"]["value"] > 0
    assert first["perplexity"]["of"]["model"]["value"] != second["perplexity"]["of"]["model"]["value"]
    page = (tmp_path / "sweep" / "report.md").read_text(encoding="utf-8")
    assert "Perplexity under the base" in page
    assert "Token entropy." in page


@pytest.mark.slow
def test_analyses_asked_for_later_are_added(swept, outputs, tmp_path):
    swept(outputs)
    swept(outputs, analyses=Analyses(entropy=True, per_problem=1))
    model = read_json(tmp_path / "sweep" / "checkpoint-20", "results.json")["tasks"]["countdown"]["models"]["model"]
    assert model["entropy"]["token"]["texts"] == 3


@pytest.mark.slow
def test_checkpoints_of_two_trainings_are_named_after_them(swept, outputs, tmp_path):
    shutil.copytree(outputs, tmp_path / "dapo" / "checkpoints")
    lines = swept(outputs, tmp_path / "dapo")
    names = {f"{training}-checkpoint-{step}" for training in ("grpo", "dapo") for step in (10, 20)}
    assert set(states(tmp_path / "sweep")) == names
    assert [line.splitlines()[0] for line in lines[:3]] == [
        "countdown: over training steps of grpo",
        "countdown: over training steps of dapo",
        "countdown: models against one base",
    ]
    assert "dapo-checkpoint-20" in lines[2]


@pytest.mark.slow
def test_an_end_token_that_the_base_was_not_stopped_at_is_refused_in_one_line(swept, outputs, tmp_path):
    shutil.move(outputs / "checkpoint-20", tmp_path / "checkpoint-20")
    config = tmp_path / "checkpoint-20" / "generation_config.json"
    config.write_text(json.dumps({"eos_token_id": [1, 7]}), encoding="utf-8")
    swept(outputs)
    shutil.move(tmp_path / "checkpoint-20", outputs / "checkpoint-20")
    with pytest.raises(
        HarnessError, match=r"checkpoint-20: it ends its texts with .*the base was not stopped"
    ) as error:
        swept(outputs)
    assert "\n" not in str(error.value)
    assert states(tmp_path / "sweep") == {"checkpoint-10": "done", "checkpoint-20": "refused"}


@pytest.mark.slow
def test_end_tokens_of_checkpoints_that_are_there_from_the_start_stop_all(swept, outputs, tmp_path):
    config = outputs / "checkpoint-20" / "generation_config.json"
    config.write_text(json.dumps({"eos_token_id": [1, 7]}), encoding="utf-8")
    swept(outputs)
    ends = [
        read_json(tmp_path / "sweep" / name, "run.json")["fairness"]["eos_tokens"]
        for name in ("base", "checkpoint-10", "checkpoint-20")
    ]
    assert ends[0] == ends[1] == ends[2]
    assert len(ends[0]) > 1


def test_a_context_that_leaves_the_base_fewer_tokens_is_refused_before_anything_is_sampled(
    swept, outputs, make_checkpoint, tmp_path
):
    shutil.rmtree(outputs / "checkpoint-10")
    shutil.rmtree(outputs / "checkpoint-20")
    shutil.copytree(make_checkpoint(seed=4, max_position_embeddings=32), outputs / "checkpoint-20")
    with pytest.raises(HarnessError, match=r"--gen_kwargs max_gen_toks=\d+"):
        swept(outputs, gen_kwargs={})
    assert not (tmp_path / "sweep" / "base").exists()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"model": "x"}, "leave out --model"),
        ({"also": ["d=x"]}, "as further checkpoints"),
        ({"budget": "8h"}, "the base could not be sampled once"),
        ({"base": None}, "--base is required"),
    ],
)
def test_options_that_a_sweep_cannot_take_are_refused(swept, outputs, options, fault):
    with pytest.raises(UsageError, match=fault):
        swept(outputs, **options)


@pytest.mark.slow
def test_a_folder_that_is_not_there_or_another_sweep_is_refused(swept, outputs, tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        swept(tmp_path / "nowhere")
    swept(outputs)
    with pytest.raises(HarnessError, match="holds a sweep with another limit, seed"):
        swept(outputs, seed=1, limit=2)
    with pytest.raises(HarnessError, match="not empty and holds no sweep"):
        swept(outputs, output_path=str(outputs))


@pytest.mark.slow
def test_an_adapter_is_opened_on_the_base_and_keeps_its_name_and_step(swept, tiny_base, tmp_path):
    peft = pytest.importorskip("peft", reason="adapters are read by peft")
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for what it is about to drop
        model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base), config)
    model.save_pretrained(tmp_path / "lora" / "checkpoint-7")
    swept(tmp_path / "lora")
    folder = tmp_path / "sweep" / "checkpoint-7"
    assert texts(folder, "base") != texts(folder, "model")
    results = read_json(folder, "results.json")
    assert results["tasks"]["countdown"]["models"]["model"]["name"] == "checkpoint-7"
    assert results["run"]["models"]["model"]["step"] == 7
    assert read_json(folder, "run.json")["spec"]["model_args"] == {"peft": str(tmp_path / "lora" / "checkpoint-7")}


def safetensors(path, size=4):
    """A whole file of one tensor."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))


def hf_folder(path, **files):
    """The files of a checkpoint, weights of four bytes."""
    path.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        (path / name).write_text('{"a": 1}', encoding="utf-8")
    safetensors(path / "model.safetensors")
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return path


def found(*folders):
    return [(one.name, one.step, one.lacks) for one in find_checkpoints(folders)]


def test_layouts_of_trainers_are_found_by_step(tmp_path):
    hf_folder(tmp_path / "trl" / "checkpoint-100")
    hf_folder(tmp_path / "trl" / "checkpoint-20")
    (tmp_path / "trl" / "runs").mkdir()
    assert found(tmp_path / "trl") == [("checkpoint-20", 20, ""), ("checkpoint-100", 100, "")]
    hf_folder(tmp_path / "openrlhf" / "global_step5_hf")
    (tmp_path / "openrlhf" / "global_step5").mkdir()
    assert found(tmp_path / "openrlhf") == [("global_step5_hf", 5, "")]
    hf_folder(tmp_path / "verl" / "global_step_8" / "actor" / "huggingface")
    assert found(tmp_path / "verl") == [("global_step_8", 8, "")]
    hf_folder(tmp_path / "ours" / "checkpoints" / "step-3")
    assert found(tmp_path / "ours") == [("step-3", 3, "")]


def test_shards_of_verl_that_were_not_merged_are_told(tmp_path):
    folder = hf_folder(tmp_path / "global_step_8" / "actor" / "huggingface")
    (folder / "model.safetensors").unlink()
    (folder.parent / "model_world_size_2_rank_0.pt").write_bytes(b"x")
    assert found(tmp_path) == [
        ("global_step_8", 8, "no weights here; merge the shards beside it with verl's model merger")
    ]


def test_a_folder_without_a_number_takes_the_step_of_its_trainer_state_else_the_order_of_the_arguments(tmp_path):
    late = hf_folder(tmp_path / "late", trainer_state={"global_step": 9})
    assert found(late) == [("late", 9, "")]
    second, first = hf_folder(tmp_path / "a"), hf_folder(tmp_path / "b")
    assert found(first, second) == [("b", None, ""), ("a", None, "")]


def test_the_last_model_beside_its_checkpoints_is_left_out_unless_it_is_of_a_later_step(tmp_path):
    folder = hf_folder(tmp_path / "out")
    hf_folder(folder / "checkpoint-10")
    assert found(folder) == [("checkpoint-10", 10, "")]
    (folder / "trainer_state.json").write_text('{"global_step": 12}', encoding="utf-8")
    assert found(folder) == [("checkpoint-10", 10, ""), ("out", 12, "")]


def test_equal_names_in_two_folders_are_told_apart(tmp_path):
    places = [hf_folder(tmp_path / training / "out" / "model") for training in ("a", "b")]
    assert [name for name, _, _ in found(*places)] == ["a-out-model", "b-out-model"]


@pytest.mark.parametrize(
    ("change", "lack"),
    [
        (lambda f: (f / "config.json").write_text("{", encoding="utf-8"), "config.json is not whole"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("{", encoding="utf-8"), "tokenizer.json is not whole"),
        (lambda f: (f / "model.safetensors").write_bytes(b"1234"), "model.safetensors is not whole"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights here"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model.safetensors", "b": "second.safetensors"}}', encoding="utf-8"
            ),
            "1 of 2 weight files are missing (second.safetensors)",
        ),
    ],
)
def test_what_an_unfinished_checkpoint_lacks_is_said(tmp_path, change, lack):
    change(hf_folder(tmp_path / "checkpoint-1"))
    assert found(tmp_path) == [("checkpoint-1", 1, lack)]
