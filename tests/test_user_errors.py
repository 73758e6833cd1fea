"""Every mistake a user can make: exit status, nothing on stdout, and one line on stderr with the fault and the way out.

A row of the tables is one mistake: what is typed, the exit status, and what the line must say. `{...}` in a row is a
path of the test: {tmp} an empty folder, {run} a copy of a finished run, {file} a file, {nowhere} what does not exist.
"""

import shutil
import subprocess
import sys

import datasets
import pytest

from tests.small_runs import finished_run, run_folder  # noqa: F401

RUN = "run --model demo/rlvr --tasks countdown --k 2 --limit 2 --workers 1 --threads 1 --quiet -o {tmp}/out"
TRAIN = "train --backend trl --base demo/base --tasks countdown --algorithm grpo -o {tmp}/out --dry_run"
SWEEP = "sweep demo/rlvr --base demo/base --tasks countdown --k 2 --limit 2 --threads 1 -o {tmp}/out"
IMPORT = "import --task t -o {tmp}/out --model"

COMMAND_LINE = {
    "command with a typo": ("repport {run}", 2, "No such command 'repport'", "'report'"),
    "command that is not there": ("frobnicate", 2, "No such command 'frobnicate'", "see `rlvr-harness --help`"),
    "flag with a typo": (
        f"{RUN} --modell x",
        2,
        "No such option '--modell'",
        "--model",
        "see `rlvr-harness run --help`",
    ),
    "argument missing": ("report", 2, "Missing argument 'FOLDERS...'", "rlvr-harness report --help"),
    "value missing": ("run --model", 2, "'--model' requires an argument"),
    "option missing": ("leaderboard {run}", 2, "Missing option '-o' / '--output_path'"),
    "no number": (f"{RUN} --limit 0.5", 2, "--limit", "not a valid integer"),
    "kind unknown": ("ls taskss", 2, "'taskss' is not one of 'tasks'"),
    "format unknown": ("export {run} --format csvv -o {tmp}/x", 2, "'csvv' is not one of", "'csv'"),
    "port outside": ("view {run} --port 99999", 2, "99999 is not in the range 0<=x<=65535"),
    "date": ("leaderboard {run} -o {tmp}/x --date today", 2, "'today' does not match the format '%Y-%m-%d'"),
    "flags that exclude each other": ("audit {run} --status --queue 3", 2, "leave out --queue and --judge"),
}
FROM_LM_EVAL = {
    "pretrained": (
        "run --tasks countdown --model_args dtype=float32,pretrained=a/b",
        2,
        "--model_args pretrained=a/b: the checkpoint is named by --model a/b, and the engine by --sampler hf",
    ),
    "use_cache": (
        f"{RUN} --use_cache x",
        2,
        "No such option '--use_cache'",
        "`resume` and the same `run -o DIR` go on",
    ),
    "predict_only": (f"{RUN} --predict_only", 2, "every sample is stored, and `verify DIR` judges it again"),
    "dashes": (f"{RUN} --write-out", 2, "prompts stand in problems/"),
    "do_sample": (f"{RUN} --gen_kwargs do_sample=True", 2, "unknown do_sample; temperature=0 is greedy"),
    "until": (f"{RUN} --gen_kwargs until=x", 2, "unknown until; stop strings belong to the task"),
    "max_tokens": (f"{RUN} --gen_kwargs max_tokens=9", 2, "unknown max_tokens; its name is max_gen_toks"),
}
OPTIONS = {
    "k of 0": (f"{RUN} --k 0", 2, "run: --k: Input should be greater than or equal to 1"),
    "k above n": (f"{RUN} --n 1", 2, "k = 2 needs at least as many samples, n = 1; raise --n or lower --k"),
    "limit of 0": (f"{RUN} --limit 0", 2, "run: --limit: Input should be greater than or equal to 1"),
    "seed below 0": (f"{RUN} --seed -1", 2, "run: --seed"),
    "stages of words": (f"{RUN} --k 64 --stages 16,x", 2, "run: --stages: 'x': input should be a valid integer"),
    "stages that fall": (f"{RUN} --k 64 --stages 64,16", 2, "do not rise; give rising numbers"),
    "stages with another end": (f"{RUN} --k 64 --stages 16,32", 2, "end in 32, not in n = 64"),
    "plan": (f"{RUN} --plan both", 2, "--plan: Input should be 'fixed' or 'sequential'"),
    "budget": (f"{RUN} --plan sequential --budget lots", 2, "--budget lots: give tokens as 800k"),
    "temperature": (f"{RUN} --gen_kwargs temperature=hot", 2, "gen_kwargs: temperature=hot is outside 0 to 100"),
    "law with a typo": (f"{RUN} --gen_kwargs temprature=1", 2, "unknown temprature; known are max_gen_toks, min_p"),
    "no pair": (f"{RUN} --gen_kwargs temperature", 2, "'temperature' is not of the form key=value"),
    "a name twice": (f"{RUN} --also model=x", 2, "--also name 'model' must be"),
    "sandbox level": (f"{RUN} --sandbox_level 7", 2, "--sandbox_level: Input should be less than or equal to 3"),
    "completion too long": (
        f"{RUN} --gen_kwargs max_gen_toks=53",
        2,
        "of 64 tokens less its longest prompt",
        "lower it",
    ),
    "chat template": (f"{RUN} --apply_chat_template", 1, "has no chat template; drop --apply_chat_template"),
    "tasks and preset": (f"{RUN} --preset demo", 2, "give --tasks or --preset, not both"),
}
NAMES = {
    "task": (f"{RUN} --tasks countdwn", 2, "no plugin offers a task named 'countdwn'; did you mean countdown?"),
    "task like none": (f"{RUN} --tasks zzzzz", 2, "no plugin offers a task named 'zzzzz'; "),
    "verifier": (f"{RUN} --verifier maths", 2, "wants verifier 'maths'", "did you mean math"),
    "sampler": (f"{RUN} --sampler vlm", 2, "no plugin offers a sampler named 'vlm'; did you mean vllm"),
    "sandbox": (f"{RUN} --sandbox dokker", 2, "no plugin offers a sandbox named 'dokker'; did you mean docker?"),
    "prompt": (f"{RUN} --prompt nope", 2, "no prompt profile named 'nope'; there are: boxed"),
    "executor": (f"{RUN} --executor slurm", 2, "slurm", "ray"),
    "plugin": (f"{RUN} --without maths", 2, "--without names no plugin: maths; there are: code"),
    "preset": ("run --model demo/rlvr --preset maths", 2, "no preset named 'maths'; there are: demo"),
    "device": (f"{RUN} --device quantum", 1, "--device quantum: torch knows no device 'quantum'; give cpu, cuda"),
    "backend": (TRAIN.replace("trl", "trll", 1), 2, "no plugin offers a trainer named 'trll'; did you mean trl?"),
    "algorithm": (TRAIN.replace("grpo", "grppo"), 2, "backend 'trl' has no algorithm 'grppo'; there are: grpo"),
    "importer": (
        f"{IMPORT} {{file}} --format cnts",
        2,
        "no plugin offers an importer named 'cnts'; did you mean counts?",
    ),
    "reward format": ("reward export --tasks countdown --format x -o {tmp}/r.py", 2, "there are: openrlhf, trl, verl"),
    "reward task": ("reward serve --tasks cuntdown", 2, "did you mean countdown?"),
    "second verifier": ("verify {run} --verifier nope", 2, "no plugin offers a verifier named 'nope'; there are: code"),
    "model of the run": ("ppl {run} --models nope", 2, "--models 'nope': the run has the models base, model"),
    "judge": ("audit {run} --judge openai", 2, "--judge openai: give SAMPLER:MODEL, as openai:my-judge"),
    "task to validate": ("validate countdwn", 2, "did you mean countdown?"),
}
PLACES = {
    "model": (f"{RUN} --model {{nowhere}}", 1, "{nowhere}': no such folder; give a local folder, or a Hub id"),
    "model offline": (f"{RUN} --model some/model", 1, "model 'some/model': ", "give a local folder"),
    "model that is a file": (f"{RUN} --model {{file}}", 1, "is a file; give the folder"),
    "data folder": (f"{RUN} --tasks aime24 --data_dir {{nowhere}}", 1, "does not exist; put aime24/test.jsonl there"),
    "hub data offline": (f"{RUN} --tasks aime24", 1, "cannot be fetched from the hub", "--data_dir DIR"),
    "tasks of one's own": (
        f"{RUN} --tasks mine --include_path {{nowhere}}",
        2,
        "--include_path {nowhere}: no such folder",
    ),
    "config": ("run --config {nowhere}", 2, "--config {nowhere}: No such file or directory"),
    "config that is a folder": ("run --config {tmp}", 2, "--config {tmp}: Is a directory"),
    "output that is a file": (
        RUN.replace("{tmp}/out", "{file}"),
        1,
        "{file} is or lies in a file; choose another with -o",
    ),
    "output below a file": (RUN.replace("{tmp}/out", "{file}/x"), 1, "is or lies in a file; choose another with -o"),
    "report": ("report {nowhere}", 1, "{nowhere} holds no results.json; is it a run folder"),
    "report elsewhere": ("report {run} -o {file}", 1, "{file}"),
    "resume": ("resume {nowhere}", 1, "{nowhere} holds no run.json; is it a run folder"),
    "resume a file": ("resume {file}", 1, "{file} is a file; give the folder that `rlvr-harness run -o` wrote"),
    "topup": ("topup {nowhere} --n 9", 1, "{nowhere} holds no run.json"),
    "topup with less": (
        "topup {run} --n 1",
        2,
        "--n 1: the run has 12 samples per problem already; give a larger number",
    ),
    "verify": ("verify {nowhere}", 1, "{nowhere} holds no run.json"),
    "ppl": ("ppl {nowhere}", 1, "{nowhere} holds no run.json"),
    "ppl of a text": ("ppl {run} --text {nowhere}", 2, "--text {nowhere} cannot be read"),
    "entropy": ("entropy {nowhere}", 1, "{nowhere} holds no run.json"),
    "audit": ("audit {nowhere}", 1, "{nowhere} holds no run.json"),
    "view": ("view {nowhere}", 1, "{nowhere} is no folder; give the folder that `rlvr-harness run -o` wrote"),
    "view elsewhere": ("view {run} --host 300.1.1.1 --no_browser", 2, "cannot listen at 300.1.1.1"),
    "leaderboard": ("leaderboard {nowhere} -o {tmp}/site", 1, "{nowhere} holds no results.json"),
    "leaderboard in a file": ("leaderboard {run} -o {file}", 1, "{file} is a file; name a folder for the site with -o"),
    "export": ("export {nowhere} -o {tmp}/x", 1, "{nowhere} holds no results.json"),
    "export to a file": ("export {run} -o {file}", 2, "{file} cannot be a folder: File exists; choose another with -o"),
    "export without a data set": ("export {run} --format hub -o {tmp}/x", 2, "add --dataset countdown=OWNER/NAME"),
    "import": (f"{IMPORT} {{nowhere}}", 1, "{nowhere}: no such file or folder"),
    "import over a run": (
        "import --task t --model {file} -o {run}",
        1,
        "{run} already holds a run; choose another",
    ),
    "sweep": (SWEEP.replace("demo/rlvr", "{nowhere}"), 2, "checkpoints '{nowhere}': no such folder"),
    "sweep of nothing": (SWEEP.replace("demo/rlvr", "{tmp}"), 2, "no finished checkpoint in {tmp}"),
    "sweep without base": ("sweep demo/rlvr --tasks countdown", 2, "sweep: --base is required"),
    "sweep in a file": (SWEEP.replace("{tmp}/out", "{file}"), 1, "{file} is or lies in a file"),
    "train": (TRAIN.replace("demo/base", "{nowhere}"), 1, "{nowhere}': no such folder"),
    "train on an evaluation": (
        TRAIN.replace("countdown", "math500"),
        2,
        "'math500' has no training split",
        "countdown",
    ),
    "train on nothing": (TRAIN.replace("--tasks countdown", ""), 2, "name at least one task with --tasks"),
    "train with no pair": (f"{TRAIN} --train_args x", 2, "--train_args: 'x' is not of the form key=value"),
    "serve for all": ("reward serve --tasks countdown --host 0.0.0.0", 2, "set a token in RLVR_HARNESS_REWARD_TOKEN"),
    "serve for a model": (
        "reward serve --tasks countdown --port 0 --base {nowhere}",
        1,
        "{nowhere}: its tokenizer cannot",
    ),
    "check-verifier": ("check-verifier {nowhere}", 1, "{nowhere} cannot be read"),
    "demo": ("demo --k 2 --limit 1 --quiet -o {file}", 1, "is or lies in a file; choose another with -o"),
}
PUBLISHED = "report {run} --published"
CONTENT = {
    "config that is no YAML": ("run --config", "a: 1\nb: [1\nc: }\n", 2, "line 3 is not YAML"),
    "config of bytes": ("run --config", b"\xff\xfe", 2, "is not YAML: 'utf-8' codec can't decode"),
    "config of a list": ("run --config", "- a\n", 2, "holds no options (expected lines like `model: path`)"),
    "config that is empty": ("run --config", "", 2, "holds no options"),
    "config with a typo": ("run --config", "model: m\ntassk: x\n", 2, "unknown option 'tassk'; did you mean tasks?"),
    "config of a wrong type": ("run --config", "model: m\nk: [1]\n", 2, "run: --k: Input should be a valid integer"),
    "more right than samples": (IMPORT, "problem_id,n,c\na,4,9\n", 1, "line 2: n = 4, c = 9; needs n >= 1"),
    "counts of words": (IMPORT, "problem_id,n,c\na,x,1\n", 1, "line 2: n = 'x' is not a number"),
    "counts of nothing": (IMPORT, "problem_id,n,c\n", 1, "holds no counts; expected problem_id, n, c"),
    "counts without c": (IMPORT, "problem_id,n\na,4\n", 2, "name it with --format (`rlvr-harness ls importers`"),
    "k above the counts": (f"{IMPORT[:-8]} --k 9 --model", "problem_id,n,c\na,4,1\n", 2, "pass@9 needs 9; lower --k"),
    "samples of bytes": (IMPORT, b"\xff\x00\xfe", 2, "name it with --format"),
    "sample without text": (IMPORT, '{"problem_id": "a", "text": "x", "right": 1}\n{"problem_id": 3}\n', 1, "line 2: "),
    "sample cut short": (IMPORT, '{"problem_id": "a", "text": "x", "right": 1}\n{"prob', 1, "line 2 is not JSON"),
    "labelled row of nothing": ("check-verifier", '{"text": "x"}\n', 2, "row 1 has no gold, and give --task"),
    "labelled row cut short": ("check-verifier", '{"te', 1, "line 1 is not JSON"),
    "labelled text of a number": ("check-verifier", '{"gold": 1, "text": 3}\n', 1, "line 1: expected an object with"),
    "published numbers of no day": (PUBLISHED, "rows: [{where: 2026-13-45}]\n", 2, "is not YAML: month must be in"),
    "published tower": (PUBLISHED, "[" * 100_000, 2, "is not YAML: maximum recursion depth"),
    "no labelled rows": ("check-verifier", "", 1, "holds no rows"),
}
HALF = '{"schema": "rlvr-harness/results/1", "run": {}, "tasks": {"countdown": {"models": {"base": {}}}}}'
DAMAGE = {
    "resume": ("resume {run}", "run.json", "{", 1, "run.json cannot be read: Expecting"),
    "resume without spec": ("resume {run}", "run.json", "{}", 1, "run.json is damaged: it holds no 'spec'"),
    "resume a list": ("resume {run}", "run.json", "[]", 1, "run.json is damaged: not a JSON object"),
    "resume a number": ("resume {run}", "run.json", '{"spec": 3}', 1, "run.json is damaged: its 'spec' is not a JSON"),
    "resume the future": ("resume {run}", "run.json", '{"schema": "rlvr-harness/run/9"}', 1, "install a newer"),
    "verify": ("verify {run}", "run.json", '{"spec": {}, "tasks": []}', 1, "its 'tasks' is not a JSON object"),
    "verify bytes": ("verify {run}", "run.json", b"\xff", 1, "run.json cannot be read"),
    "ppl": ("ppl {run}", "run.json", '{"spec": 3, "models": 7}', 1, "its 'spec' is not a JSON object"),
    "entropy": ("entropy {run}", "run.json", '{"spec": {}, "models": 7}', 1, "its 'models' is not a JSON object"),
    "audit": ("audit {run}", "run.json", "{}", 1, "holds no samples of models, which this command needs"),
    "view": ("view {run} --no_browser", "run.json", "{", 1, "run.json cannot be read"),
    "report": ("report {run}", "results.json", '{"x": 3', 1, "results.json cannot be read: Expecting"),
    "report a list": ("report {run}", "results.json", "[]", 1, "results.json is damaged: not a JSON object"),
    "report a number": (
        "report {run}",
        "results.json",
        HALF.partition('{"countdown')[0] + "3}",
        1,
        "tasks: Input should be a valid dictionary, not 3; ",
    ),
    "report nothing": ("report {run}", "results.json", "{}", 1, "'schema' is missing (and 1 more); `rlvr-harness res"),
    "resume a tower": ("resume {run}", "run.json", "[" * 100_000, 1, "run.json cannot be read: maximum recursion"),
    "resume a long number": ("resume {run}", "run.json", '{"a": ' + "9" * 5000, 1, "run.json cannot be read: Exceeds"),
    "ppl of no results": ("ppl {run}", "results.json", "{}", 1, "results.json is damaged: 'schema' is missing"),
    "export": ("export {run} -o {tmp}/x", "results.json", HALF, 1, "'tasks.countdown.problems' is missing"),
    "export csv": ("export {run} --format csv -o {tmp}/x", "results.json", '{"tasks": {}}', 1, "'schema' is missing"),
    "leaderboard": ("leaderboard {run} -o {tmp}/x", "results.json", "{", 1, "results.json is damaged"),
    "leaderboard foreign": ("leaderboard {run} -o {tmp}/x", "results.json", '{"tasks": {}}', 1, "has no schema"),
}
TYPED = {**COMMAND_LINE, **FROM_LM_EVAL, **OPTIONS, **NAMES, **PLACES}


@pytest.fixture
def refused(cli):
    """refused(status, *words) -> the one line of stderr, after the checks that hold for every mistake."""

    def run(status, *words):
        code, out, err = cli(*words)
        assert (code, out) == (status, ""), err
        assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1, err
        return err.strip()

    return run


@pytest.fixture
def place(tmp_path, finished_run, request):  # noqa: F811
    """place(text) -> the text with the paths of the test in it; a run is copied only for what names one."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("not a run\n")
    paths = {"tmp": tmp_path / "empty", "file": tmp_path / "notes.txt", "nowhere": tmp_path / "nowhere"}

    def fill(text):
        if "{run}" in text and "run" not in paths:
            paths["run"] = request.getfixturevalue("run_folder")
        for name, path in paths.items():
            text = text.replace(f"{{{name}}}", str(path))
        return text

    return fill


def check(refused, place, typed, status, *wanted):
    line = refused(status, *place(typed).split())
    assert [text for text in wanted if place(text) not in line] == [], line


@pytest.mark.parametrize("mistake", TYPED)
def test_what_is_typed_wrong_is_one_line(refused, place, mistake):
    check(refused, place, *TYPED[mistake])


def test_no_mistake_stands_in_two_tables():
    assert len(TYPED) == sum(map(len, (COMMAND_LINE, FROM_LM_EVAL, OPTIONS, NAMES, PLACES)))


@pytest.mark.parametrize("mistake", CONTENT)
def test_a_file_with_bad_content_is_one_line(refused, place, tmp_path, mistake):
    typed, content, status, *wanted = CONTENT[mistake]
    path = tmp_path / ("given.csv" if "problem_id," in str(content) else "given.jsonl")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check(refused, place, f"{typed} {path}", status, *wanted)


@pytest.mark.parametrize("mistake", DAMAGE)
def test_a_damaged_run_folder_is_one_line(refused, place, mistake):
    from pathlib import Path

    typed, name, content, status, *wanted = DAMAGE[mistake]
    Path(place("{run}"), name).write_bytes(content if isinstance(content, bytes) else content.encode())
    check(refused, place, typed, status, *wanted)


@pytest.mark.parametrize("kind", ["samples", "verdicts", "problems"])
def test_a_cut_part_is_one_line_that_says_how_to_mend_it(refused, run_folder, tmp_path, kind):  # noqa: F811
    part = next((run_folder / kind).rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:60])
    line = refused(1, "export", run_folder, "-o", tmp_path / "out")
    assert f"{part} is damaged" in line
    assert f"`rlvr-harness resume {run_folder}`" in line


def test_a_gated_data_set_is_told_with_the_way_out(refused, place, monkeypatch):
    def gated(*_, **__):
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'x/y' is a gated dataset on the Hub. Log in.\nMore.")

    monkeypatch.setattr(datasets, "load_dataset", gated)
    line = refused(1, *place(f"{RUN} --tasks aime24").split())
    assert "task 'aime24': its data set cannot be fetched from the hub (" in line
    assert "is a gated dataset on the Hub" in line
    assert "--data_dir DIR" in line


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("size=64k", "/mnt/run: the disk is full; free some space, then `rlvr-harness resume /mnt/run` goes on"),
        ("ro", "/mnt/run cannot be written: the file system is read-only; mount it writable, then `rlvr-harness"),
    ],
)
def test_a_disk_that_takes_no_more_is_one_line(option, message):
    """On a small file system, mounted for this process alone."""
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
        pytest.skip("needs root to mount a small file system")
    program = f"mount -t tmpfs -o {option} none /mnt && exec {sys.executable} -c "
    program += (
        "'from rlvr_harness.cli import main; main()' run --model demo/rlvr --tasks countdown --k 512 --plan fixed "
    )
    program += "--limit 4 --workers 1 --threads 1 --quiet -o /mnt/run"
    done = subprocess.run(["unshare", "-m", "sh", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_unequal_tokenizers_are_refused_before_sampling(refused, place, tiny_model, tmp_path):
    other = shutil.copytree(tiny_model, tmp_path / "other")
    for path in other.glob("*token*.json"):
        path.write_text(path.read_text().replace("</s>", "<|end|>"))
    line = refused(2, *place(f"{RUN} --base {other}").split())
    assert "which not every tokenizer has" in line
    assert "--allow_unfair" in line
    assert not (tmp_path / "empty/out").exists()
