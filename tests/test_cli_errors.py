"""Each bad input is one line on stderr with the right exit status, before anything is sampled or lost."""

import fcntl
import json
import os
import shutil
import subprocess
import sys

import pytest

from rlvr_harness.cli import main

AIME24 = {"id": 60, "problem": "How many?", "answer": "204"}


@pytest.fixture
def refused(cli):
    """refused(status, *words) -> the one line of stderr; nothing on stdout."""

    def run(status, *words):
        code, out, err = cli(*words)
        assert (code, out) == (status, "")
        assert "Traceback" not in err
        message = err.splitlines()[-1].lower()
        assert message.startswith("error: ")
        assert len([line for line in err.splitlines() if line.lower().startswith("error")]) == 1
        return err.splitlines()[-1]

    return run


@pytest.fixture
def run_words(tiny_model, tmp_path):
    """Words of a run of two problems x two samples; options given later win."""
    words = ["run", "--model", tiny_model, "--tasks", "countdown", "--k", 2, "--limit", 2, "--workers", 1]
    return [*words, "--threads", 1, "--quiet", "-o", tmp_path / "run"]


@pytest.fixture
def data_dir(tmp_path):
    """data_dir(*lines) -> a folder with these lines as the AIME24 data file."""

    def make(*lines):
        (tmp_path / "data/aime24").mkdir(parents=True)
        (tmp_path / "data/aime24/test.jsonl").write_text("\n".join(lines))
        return tmp_path / "data"

    return make


def test_no_command_is_wrong_usage_or_help(cli):
    status, _, err = cli()
    assert status in (0, 2)
    assert "Traceback" not in err


def test_an_unknown_command_is_wrong_usage(refused):
    assert "No such command 'runn'" in refused(2, "runn")


def test_an_unknown_flag_is_wrong_usage(refused):
    assert "No such option" in refused(2, "run", "--modell", "x")


def test_a_model_is_required(refused):
    assert refused(2, "run", "--k", 2) == "error: run: --model is required"


def test_a_flag_of_the_wrong_type_is_wrong_usage(refused):
    assert "--k" in refused(2, "run", "--model", "m", "--k", "many")


def test_an_unknown_task_is_told_with_its_neighbours(refused, run_words):
    message = refused(2, *run_words, "--tasks", "countdwn")
    assert message == "error: no plugin offers a task named 'countdwn'; did you mean countdown?"


def test_an_unknown_sampler_is_told(refused, run_words):
    assert "no plugin offers a sampler named 'vlm'" in refused(2, *run_words, "--sampler", "vlm")


def test_an_unknown_verifier_is_told(refused, run_words):
    message = refused(2, *run_words, "--verifier", "maths")
    assert "task 'countdown' wants verifier 'maths'" in message
    assert "did you mean math" in message


def test_an_unknown_preset_is_told(refused, run_words):
    words = [word for word in run_words if word not in ("--tasks", "countdown")]
    assert "no preset named 'maths'; there are: demo, leash-math, yue-" in refused(2, *words, "--preset", "maths")


def test_an_unknown_demo_model_is_told(refused, run_words):
    assert "no embedded model 'demo/rl'" in refused(2, *run_words, "--model", "demo/rl")


def test_an_unknown_plugin_to_leave_out_is_told(refused, run_words):
    assert "--without names no plugin: maths" in refused(2, *run_words, "--without", "maths")


def test_a_model_folder_that_does_not_exist_is_named(refused, run_words, tmp_path):
    message = refused(1, *run_words, "--model", tmp_path / "nowhere")
    assert message.startswith(f"error: model '{tmp_path / 'nowhere'}': no such folder")


def test_a_model_that_is_a_file_is_named(refused, run_words, tiny_model):
    assert "is a file; give the folder" in refused(1, *run_words, "--model", tiny_model / "config.json")


def test_a_hub_model_is_not_reached_offline_and_the_way_out_is_told(refused, run_words):
    message = refused(1, *run_words, "--model", "somebody/some-model")
    assert "model 'somebody/some-model': " in message
    assert "give a local folder" in message


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json in this folder"),
        ("model.safetensors", "no *.safetensors weights in this folder"),
        ("tokenizer", "no tokenizer in this folder"),
    ],
)
def test_a_model_folder_that_lacks_a_file_is_named(refused, run_words, tiny_model, tmp_path, missing, message):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    for path in folder.glob(f"{missing}*"):
        path.unlink()
    assert f"error: model '{folder}': {message}" in refused(1, *run_words, "--model", folder)


def test_a_broken_config_json_is_named(refused, run_words, tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "config.json").write_text("{")
    assert f"model '{folder}'" in refused(1, *run_words, "--model", folder)


def test_pickled_weights_are_refused(refused, run_words, tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "--allow_pickle" in refused(1, *run_words, "--model", folder)


def test_fewer_samples_than_k_is_wrong_usage(refused, run_words):
    message = refused(2, *run_words, "--k", 8, "--n", 4)
    assert message == "error: run: k = 8 needs at least as many samples, n = 4; raise --n or lower --k"


def test_a_budget_that_no_context_holds_is_refused_with_the_numbers(refused, run_words):
    # Context 64; the longest of the two prompts is <s> Make 43 from 13, 9, 2, 12.\n = 12 tokens; 64 - 12 = 52.
    message = refused(2, *run_words, "--gen_kwargs", "max_gen_toks=53")
    assert "the model model's context of 64 tokens less its longest prompt of 12 leaves 52" in message
    assert "max_gen_toks=53 does not fit" in message


def test_the_largest_budget_that_fits_is_accepted(cli, run_words):
    status, _, err = cli("plan", *run_words[1:-3], "--gen_kwargs", "max_gen_toks=52")
    assert (status, err) == (0, "")


def test_a_prompt_longer_than_the_context_is_refused(refused, run_words, make_checkpoint):
    message = refused(1, *run_words, "--model", make_checkpoint(seed=3, max_position_embeddings=8))
    assert "no completion fits" in message


def test_nothing_is_written_when_a_run_is_refused(refused, run_words, tmp_path):
    refused(2, *run_words, "--gen_kwargs", "max_gen_toks=53")
    assert not (tmp_path / "run").exists()


def test_a_missing_data_file_is_named(refused, run_words, tmp_path):
    message = refused(1, *run_words, "--tasks", "aime24", "--data_dir", tmp_path)
    assert message.startswith(f"error: task 'aime24': {tmp_path / 'aime24/test.jsonl'} does not exist; ")


def test_data_with_other_fields_is_refused_with_what_it_has(refused, run_words, data_dir):
    rows = [json.dumps(AIME24), json.dumps({"id": 61, "problem": "Why?", "solution": "so"})]
    message = refused(1, *run_words, "--tasks", "aime24", "--data_dir", data_dir(*rows))
    assert "task 'aime24': row 1 of its data lacks 'answer'" in message


def test_broken_json_is_named_by_its_line(refused, run_words, data_dir):
    message = refused(1, *run_words, "--tasks", "aime24", "--data_dir", data_dir(json.dumps(AIME24), "", '{"id": 61,'))
    assert "aime24/test.jsonl line 3 is not JSON" in message


def test_an_empty_data_file_is_refused(refused, run_words, data_dir):
    assert "holds no rows" in refused(1, *run_words, "--tasks", "aime24", "--data_dir", data_dir(""))


def test_a_problem_id_that_occurs_twice_is_refused(refused, run_words, data_dir):
    message = refused(1, *run_words, "--tasks", "aime24", "--data_dir", data_dir(*[json.dumps(AIME24)] * 2))
    assert "problem id '60' occurs twice" in message


def test_an_unreachable_hub_is_told_with_the_way_out(refused, run_words):
    message = refused(1, *run_words, "--tasks", "aime24")
    assert message.startswith("error: task 'aime24': its data set cannot be fetched from the hub (")
    assert message.endswith("check the network, or give local copies with --data_dir DIR")


@pytest.fixture(scope="module")
def finished(tiny_model, tmp_path_factory):
    """A folder with a finished run of two problems x two samples."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = [
        "run",
        "--model",
        tiny_model,
        "--tasks",
        "countdown",
        "--k",
        2,
        "--limit",
        2,
        "--workers",
        1,
        "--threads",
        1,
    ]
    statuses = []
    main([*map(str, words), "--quiet", "-o", str(folder)], exit_with=statuses.append)
    assert statuses == [0]
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.mark.parametrize(
    ("option", "value", "names"),
    [("--k", 1, "k"), ("--seed", 1, "seed"), ("--gen_kwargs", "temperature=1", "gen_kwargs"), ("--limit", 1, "limit")],
)
def test_a_folder_of_another_run_is_left_alone(refused, run_words, finished, option, value, names):
    before = content(finished)
    message = refused(1, *run_words, "-o", finished, option, value)
    assert message.startswith(f"error: {finished} holds a run with another {names}; choose another folder with -o, ")
    assert content(finished) == before


def test_a_run_that_ended_before_its_first_sample_does_not_keep_its_folder(cli, refused, run_words, tmp_path):
    folder = tmp_path / "run"
    words = [*run_words, "-o", folder, "--tasks", "countdown"]
    assert "float7" in refused(1, *words, "--also", "other=demo/distilled", "--model_args", "dtype=float7")
    (folder / "problems" / "other_task.parquet").write_bytes(b"")
    status, _, err = cli(*words)
    assert status == 0, err
    assert [path.name for path in (folder / "problems").iterdir()] == ["countdown.parquet"]
    assert not (folder / "samples" / "countdown" / "other").exists()


def test_the_same_run_again_samples_nothing_anew(cli, run_words, finished):
    parts = {path: path.read_bytes() for path in finished.rglob("part-*")}
    status, out, _ = cli(*run_words, "-o", finished)
    assert status == 0
    assert str(finished / "report.html") in out
    assert {path: path.read_bytes() for path in finished.rglob("part-*")} == parts


def test_a_folder_with_other_files_is_left_alone(refused, run_words, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("precious")
    message = refused(1, *run_words)
    assert message == f"error: {tmp_path / 'run'} is not empty and holds no run; choose another folder with -o"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_folder_in_use_is_refused(refused, run_words, finished):
    with (finished / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = refused(1, *run_words, "-o", finished)
    assert message == f"error: {finished} is being written by another process; wait for it or end it"


@pytest.mark.parametrize("command", ["resume", "report"])
def test_a_folder_that_holds_no_run_is_named(refused, tmp_path, command):
    assert f"{tmp_path} holds no r" in refused(1, command, tmp_path)


def test_changed_weights_are_refused_before_a_sample_is_added(cli, refused, run_words, tiny_model, tiny_base, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    assert cli(*run_words, "--model", folder)[0] == 0
    for part in sorted((tmp_path / "run").rglob("part-*")):
        part.unlink()
    shutil.copy(tiny_base / "model.safetensors", folder)
    message = refused(1, "resume", tmp_path / "run", "--quiet")
    assert f"the weights of the model model ({folder}) have changed since the run began" in message
    assert list((tmp_path / "run").rglob("part-*")) == []


def test_resume_sets_a_damaged_part_aside_and_samples_it_again(cli, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    part = next((folder / "samples").rglob("part-*"))
    part.write_bytes(part.read_bytes()[:50])
    status, _, err = cli("resume", folder, "--quiet")
    assert (status, str(part.relative_to(folder)) in err) == (0, True), err
    assert [found.read_bytes()[:50] for found in (folder / "damaged").rglob("part-*")]
    results = [json.loads((each / "results.json").read_text())["tasks"] for each in (folder, finished)]
    assert results[0] == results[1]


def test_resume_completes_a_run_after_the_damaged_part_is_deleted(cli, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    for part in (folder / "samples").rglob("part-*"):
        part.unlink()
    status, _, err = cli("resume", folder, "--quiet")
    assert status == 0, err
    assert content(folder / "samples").keys() == content(finished / "samples").keys()


def test_a_plugin_that_does_not_import_is_named_with_the_way_out(harness, tmp_path, monkeypatch):
    (tmp_path / "broken_plugin-1.0.dist-info").mkdir()
    (tmp_path / "broken_plugin-1.0.dist-info/METADATA").write_text("Name: broken-plugin\nVersion: 1.0\n")
    (tmp_path / "broken_plugin-1.0.dist-info/entry_points.txt").write_text("[rlvr_harness]\nbroken = broken_plugin\n")
    (tmp_path / "broken_plugin.py").write_text("import no_such_module\n")
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    plan = ("plan", "--model", "demo/base", "--k", "2", "--limit", "1")
    done = harness(*plan)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: plugin 'broken' (broken_plugin) does not import: ModuleNotFoundError: "
        "No module named 'no_such_module'; repair it, or leave it out with --without broken (a command without that "
        "option: name the plugins to load in RLVR_HARNESS_PLUGINS)\n"
    )
    assert harness(*plan, "--without", "broken").returncode == 0


def test_a_reader_that_closes_the_pipe_gets_no_traceback():
    command = f"{sys.executable} -c 'from rlvr_harness.cli import main; main()' ls tasks | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_task_with_pictures_is_refused_to_a_sampler_of_text(refused, run_words, tmp_path):
    row = {"id": "1", "question": "q <image1>", "options": [], "answer": "3", "level": 1, "subject": "s", "image": "x"}
    (tmp_path / "mathvision").mkdir()
    (tmp_path / "mathvision" / "testmini.jsonl").write_text(json.dumps(row) + "\n")
    words = [word for word in run_words if word not in ("--tasks", "countdown")]
    message = refused(2, *words, "--tasks", "mathvision", "--data_dir", tmp_path)
    assert "task 'mathvision' shows pictures, and the model model, as this sampler opens it, reads text only" in message
