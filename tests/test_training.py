"""`train`: problems as a run words them, contamination, the plan, the process, its end, and going on."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlvr_demo.countdown import Puzzle, chance
from rlvr_harness.contamination import find_overlap, words_of
from rlvr_harness.errors import HarnessError, TaskError, UsageError
from rlvr_harness.foreign_tasks import LmEvalTask
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample
from rlvr_harness.registry import load_plugins
from rlvr_harness.requests import PromptRequest
from rlvr_harness.rewards.labels import label_of, problem_of
from rlvr_harness.run_reader import read_problems, read_samples, read_verdicts
from rlvr_harness.training import TrainingWish, find_backend, train
from rlvr_harness.training_contracts import TrainingPlan, TrainingRequest
from rlvr_harness.training_problems import TrainingChoice, traced_problems, training_problems
from rlvr_harness.training_process import Follower, count_void, run_process
from rlvr_harness.training_tasks import require_trainable, trainable
from tests.small_runs import finished_run  # noqa: F401

REGISTRY = load_plugins()
FAKE = """
import json, os, sys, time
from pathlib import Path
plan = json.loads(Path(sys.argv[-1]).read_text())["plan"]["config"]
steps = plan["trainer"]["max_steps"]
folder = Path(plan["output"])
folder.mkdir(parents=True, exist_ok=True)
done = [int(path.parent.name.split("-")[1]) for path in folder.glob("checkpoint-*/rlvr_finished.json")]
print("begins after", max(done, default=0), flush=True)
counts = Path(os.environ["RLVR_HARNESS_REWARD_COUNTS"]) / f"{os.getpid()}.json"
counts.write_text(json.dumps({"tasks": {"countdown": {"right": 90, "wrong": 7, "void": VOID}}, "labels": {}}))
for step in range(max(done, default=0) + 1, steps + 1):
    print("rlvr_step " + json.dumps({"step": step, "loss": 0.5, "reward": step / 10}), flush=True)
    place = folder / f"checkpoint-{step}"
    place.mkdir(exist_ok=True)
    if step == BROKEN:
        sys.exit("out of memory")
    (place / "rlvr_finished.json").write_text("{}")
"""


@pytest.fixture
def fake_python(tmp_path):
    """fake_python(broken, void): an interpreter whose TRL trains by writing down what a runner would."""

    def make(broken=0, void=0):
        program = tmp_path / "trains.py"
        program.write_text(FAKE.replace("BROKEN", str(broken)).replace("VOID", str(void)))
        versions = json.dumps(
            {"trl": "1.16.0", "peft": "1", "transformers": "5", "torch": "2", "rlvr_harness": True, "rlvr_trl": True}
        )
        script = tmp_path / "python"
        script.write_text(
            f'#!/bin/sh\nif [ "$1" = -c ]; then echo \'{versions}\'; else exec {sys.executable} {program} "$@"; fi\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return script

    return make


def wish(output, python=None, algorithm="grpo", steps=3, options=None, **choice):
    given = {"base": "demo/base", "tasks": ["countdown"], "problems": 20, "seed": 1, **choice}
    return TrainingWish(
        backend="trl",
        algorithm=algorithm,
        choice=TrainingChoice(**given),
        output=output,
        settings={"steps": steps, "prompts_per_step": 4, "samples_per_prompt": 4, "python": python},
        options=options or {},
        judging={"sandbox": "local", "sandbox_level": 3, "workers": 1},
    )


def done(wanted, dry_run=False):
    """(lines printed, lines told) of a training."""
    told = []
    return list(train(wanted, dry_run, True, told.append)), told


def problem(problem_id, prompt, task="t"):
    return Problem(task, problem_id, prompt, "")


# Problems


def test_countdown_trains_on_other_numbers_than_it_evaluates_with():
    task = REGISTRY.get("task", "countdown")
    test = {tuple(sorted(p.metadata["numbers"])) for p in task.load(PromptRequest()).problems}
    train_split = task.load_training(TrainingRequest(PromptRequest(), 300, 5)).problems
    assert len(train_split) == 300
    assert not test & {tuple(sorted(p.metadata["numbers"])) for p in train_split}


def test_a_training_puzzle_has_the_chance_of_a_random_solver():
    for one in REGISTRY.get("task", "countdown").load_training(TrainingRequest(PromptRequest(), 3, 5)).problems:
        puzzle = Puzzle(tuple(one.metadata["numbers"]), one.metadata["target"])
        assert one.metadata["chance"] == pytest.approx(chance(puzzle))


def test_countdown_draws_the_same_problems_for_a_seed_and_others_for_another():
    task = REGISTRY.get("task", "countdown")
    first, again, other = (
        [p.prompt for p in task.load_training(TrainingRequest(PromptRequest(), 20, seed)).problems]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_rows_are_worded_and_labelled_as_a_run_would(tmp_path):
    found = training_problems(TrainingChoice("demo/base", ["countdown"], problems=7), REGISTRY)
    own = REGISTRY.get("task", "countdown").load_training(TrainingRequest(PromptRequest(), 7, 0)).problems
    assert [row["input"] for row in found.rows] == [p.prompt for p in own]
    judge = REGISTRY.get("verifier", "countdown")
    assert [judge.gold_texts(problem_of(row["label"])) for row in found.rows] == [judge.gold_texts(p) for p in own]
    assert (found.longest_prompt, found.max_gen_toks) == (12, 24)


def gsm8k(folder, train_rows, test_rows):
    for split, rows in (("train", train_rows), ("test", test_rows)):
        path = folder / "gsm8k" / f"{split}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps({"question": q, "answer": f"so\n#### {a}"}) + "\n" for q, a in rows))
    return folder


def test_a_yaml_task_trains_on_its_training_split_with_the_words_of_its_evaluation(tmp_path):
    data = gsm8k(tmp_path, [("Train one?", 1), ("Train two?", 2)], [("Test?", 3)])
    found = trainable(REGISTRY.get("task", "gsm8k")).load_training(TrainingRequest(PromptRequest(data_dir=data)))
    assert [(p.problem_id, p.reference) for p in found.problems] == [("train/0", "1"), ("train/1", "2")]
    tested = REGISTRY.get("task", "gsm8k").load(PromptRequest(data_dir=data)).problems[0]
    assert found.problems[0].prompt == tested.prompt.replace("Test?", "Train one?")


OWN = """task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{train: {folder}/train.jsonl, test: {folder}/test.jsonl}}}}
output_type: generate_until
{splits}
doc_to_text: "Q: {{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 7}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""


def own_task(folder, splits):
    for split, question in (("train", "1+1"), ("test", "2+2")):
        (folder / f"{split}.jsonl").write_text(json.dumps({"question": question, "answer": f"{split}ed"}) + "\n")
    (folder / "sums.yaml").write_text(OWN.format(folder=folder, splits=splits))
    return LmEvalTask("lm_eval:sums", folder)


def test_a_task_file_of_ones_own_trains_on_the_training_split_that_it_names(tmp_path):
    task = own_task(tmp_path, "training_split: train\ntest_split: test")
    loaded = trainable(task).load_training(TrainingRequest(PromptRequest()))
    assert [(p.problem_id, p.prompt, p.reference) for p in loaded.problems] == [("train/0", "Q: 1+1", "trained")]
    labelled = problem_of(label_of(loaded.problems[0]))
    right, wrong = (
        Sample("lm_eval:sums", "m", "train/0", 0, 0, text, FinishReason.STOP, 1) for text in ("trained", "x")
    )
    judge = task.load(PromptRequest()).verifier
    assert [judge.verify(labelled, one).outcome for one in (right, wrong)] == [Outcome.RIGHT, Outcome.WRONG]
    assert task.load(PromptRequest()).problems[0].prompt == "Q: 2+2"


@pytest.mark.parametrize("splits", ["test_split: test", "training_split: test\ntest_split: test"], ids=["none", "same"])
def test_a_task_file_without_a_training_split_of_its_own_has_nothing_to_train_on(tmp_path, splits):
    assert trainable(own_task(tmp_path, splits)) is None


def test_a_training_file_that_is_not_there_is_named(tmp_path):
    data = gsm8k(tmp_path, [], [("Test?", 3)])
    (data / "gsm8k" / "train.jsonl").unlink()
    with pytest.raises(TaskError, match=r"gsm8k/train\.jsonl does not exist"):
        trainable(REGISTRY.get("task", "gsm8k")).load_training(TrainingRequest(PromptRequest(data_dir=data)))


def test_a_task_without_training_split_is_refused_and_those_with_one_are_named():
    with pytest.raises(UsageError, match=r"'aime24' has no training split.*: countdown, gsm8k, omni_math_train$"):
        require_trainable(REGISTRY.get("task", "aime24"), REGISTRY.all("task"))


def test_traces_are_the_right_samples_of_a_model_with_the_prompts_it_was_given(finished_run):  # noqa: F811
    choice = TrainingChoice("demo/base", [], traces=f"{finished_run}:base")
    found = traced_problems(choice, REGISTRY)
    problems = {p.problem_id: p for p in read_problems(finished_run, "countdown", "base")}
    verdicts = read_verdicts(finished_run, "countdown", "base", "countdown")
    right = {(v.problem_id, v.index) for v in verdicts if v.outcome is Outcome.RIGHT}
    samples = read_samples(finished_run, "countdown", "base")
    wanted = [(problems[s.problem_id].prompt, s.text) for s in samples if (s.problem_id, s.index) in right]
    assert [(row["input"], row["completion"]) for row in found.rows] == wanted
    assert wanted
    # the traces are answers to the task's own evaluation problems, all of them
    assert [(one.evaluation, one.equal) for one in found.overlaps] == [("countdown", len({p for p, _ in wanted}))]


def test_traces_of_a_model_that_the_run_has_not_are_refused(finished_run):  # noqa: F811
    with pytest.raises(UsageError, match=r"has no model 'other'; it has base, model"):
        traced_problems(TrainingChoice("demo/base", [], traces=f"{finished_run}:other"), REGISTRY)


# Contamination

LONG = "a farmer has seven cows and nine goats and sells three of them every week until"


def test_an_equal_problem_is_found_whatever_its_case_and_spaces():
    ours = [problem("1", "Solve: What is  2+2?\nGo."), problem("2", "Solve: other?\nGo.")]
    theirs = [problem("x", "What is 2 + 2?", "u"), problem("y", "Who?", "u")]
    found = find_overlap(ours, theirs)
    assert (found.equal, found.sharing, found.examples) == (1, 0, (("1", "x"),))
    assert "of 2 training problems of 't', 1 equal evaluation problems of 'u'" in found.line()


def test_thirteen_words_in_a_row_are_found_and_twelve_are_not():
    words = LONG.split()
    theirs = [problem("x", LONG, "u"), problem("y", "nothing", "u")]
    ours = [problem("1", " ".join(words[:13])), problem("2", " ".join(words[:12])), problem("3", "z")]
    found = find_overlap(ours, theirs)
    assert (found.equal, found.sharing, found.examples) == (0, 1, (("1", "x"),))


def test_the_wording_around_all_problems_is_no_contamination():
    ours = [problem(str(n), f"{LONG} {n} {LONG}") for n in range(3)]
    theirs = [problem(str(n), f"{LONG} {n + 10} {LONG}", "u") for n in range(3)]
    assert find_overlap(ours, theirs) is None


def test_another_sign_is_another_problem():
    assert words_of("Is 2+2 = 4?") == ("is", "2", "+", "2", "=", "4")
    assert find_overlap([problem("1", "3 + 4"), problem("2", "b")], [problem("x", "3 - 4"), problem("y", "c")]) is None


def test_training_on_evaluation_problems_is_told_by_name(tmp_path, fake_python):
    data = gsm8k(tmp_path, [("Is it A?", 1), ("Is it B?", 2), ("C?", 3), ("D?", 4)], [("is it a", 1), ("Test?", 3)])
    _, told = done(wish(tmp_path / "o", fake_python(), tasks=["gsm8k"], data_dir=data, max_gen_toks=1), dry_run=True)
    assert [line for line in told if "1 equal evaluation problems of 'gsm8k'" in line and "train/0 is 0" in line]


# The process


def test_a_training_leaves_data_reward_record_progress_and_checkpoints(tmp_path, fake_python):
    lines, told = done(wish(tmp_path / "o", fake_python()))
    folder = tmp_path / "o"
    assert [line.split("\t")[:2] for line in lines[-3:]] == [["checkpoint", str(n)] for n in (1, 2, 3)]
    record = json.loads((folder / "train.json").read_text())
    digest = hashlib.sha256((folder / "data" / "train.jsonl").read_bytes()).hexdigest()
    assert (record["data"]["sha256"], record["data"]["rows"]) == (digest, 20)
    assert (record["spec"]["steps"], record["plan"]["config"]["trainer"]["num_generations"]) == (3, 4)
    progress = [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]
    assert [(row["step"], row["reward"]) for row in progress] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert "begins after 0" in (folder / "train.log").read_text()
    assert "rlvr_reward = trl_function(SPEC)" in (folder / "reward.py").read_text()
    assert told == []


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, fake_python):
    lines, _ = done(wish(tmp_path / "o", fake_python()), dry_run=True)
    assert lines[0].startswith("grpo with trl: 3 steps on 16 rollouts each, from ")
    assert not (tmp_path / "o").exists()


def test_the_same_options_go_on_after_a_failure_and_then_have_nothing_to_do(tmp_path, fake_python):
    with pytest.raises(HarnessError, match=r"ended with status 1: out of memory \(all of it in .*train\.log\)"):
        done(wish(tmp_path / "o", fake_python(broken=3)))
    lines, told = done(wish(tmp_path / "o", fake_python()))
    assert told == ["going on from step 2"]
    assert "begins after 2" in (tmp_path / "o" / "train.log").read_text()
    again, told = done(wish(tmp_path / "o", fake_python()))
    assert again == lines
    assert "is trained already, to step 3" in told[0]


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"steps": 4}, "steps=3, and 4 is asked for"),
        ({"algorithm": "rloo"}, "algorithm=grpo, and rloo is asked for"),
        ({"seed": 2}, "seed=1, and 2 is asked for"),
        ({"options": {"num_iterations": 2}}, "options="),
    ],
    ids=["steps", "algorithm", "seed", "options"],
)
def test_other_options_are_refused_in_the_same_folder(tmp_path, fake_python, other, fault):
    done(wish(tmp_path / "o", fake_python()))
    with pytest.raises(UsageError, match=fault):
        done(wish(tmp_path / "o", fake_python(), **other))


def test_more_than_one_percent_without_verdict_is_told_loudly(tmp_path, fake_python):
    _, told = done(wish(tmp_path / "o", fake_python(void=3)))
    assert [line for line in told if "3 of 100 completions (3.0%) got NO VERDICT" in line]


def test_void_counts_of_all_processes_are_summed(tmp_path):
    (tmp_path / "rewards").mkdir()
    for number, counts in enumerate([{"right": 1, "wrong": 2, "void": 3}, {"right": 4, "wrong": 0, "void": 0}]):
        held = {"tasks": {"t": counts}, "labels": {"no label": number}}
        (tmp_path / "rewards" / f"{number}.json").write_text(json.dumps(held))
    (tmp_path / "rewards" / "9.json").write_text("{half")
    assert count_void(tmp_path) == (4, 11)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a zombie that nobody has waited for is dead, too
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_ctrl_c_ends_the_training_and_all_that_it_started(tmp_path):
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, flush=True)\nchild.wait()"
    )
    pids = []

    def read(line):
        pids.append(int(line.split()[1]))
        raise KeyboardInterrupt

    plan = TrainingPlan((sys.executable, "-c", program))
    with pytest.raises(KeyboardInterrupt):
        run_process(plan, tmp_path, Follower(tmp_path, 1, None), read)
    until = time.monotonic() + 30
    while alive(pids[0]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pids[0])


def test_a_killed_train_takes_its_training_with_it(tmp_path):
    child = "import os, time; print('child', os.getpid(), flush=True); time.sleep(600)"
    silent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from rlvr_harness.training_contracts import TrainingPlan\n"
        "from rlvr_harness.training_process import Follower, run_process\n"
        f"plan = TrainingPlan((sys.executable, '-c', {silent!r}))\n"
        "folder = Path(sys.argv[1])\nrun_process(plan, folder, Follower(folder, 1, None), print)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as started:
        pid = int(started.stdout.readline().split()[1])
        assert alive(pid)
        started.kill()
        started.wait()
    until = time.monotonic() + 60
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (("/nowhere/python",), "status 127: /nowhere/python: No such file or directory"),
        ((sys.executable, "-c", "import sys; sys.exit('no memory')"), "status 1: no memory"),
        ((sys.executable, "-c", "import os; print('here', flush=True); os.kill(os.getpid(), 15)"), "signal 15: here"),
        ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "signal 9: it said nothing"),
    ],
    ids=["absent", "status", "terminated", "killed"],
)
def test_how_a_training_failed_is_told(tmp_path, command, fault):
    with pytest.raises(HarnessError, match=fault):
        run_process(TrainingPlan(command), tmp_path, Follower(tmp_path, 1, None), lambda line: None)


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    with pytest.raises(HarnessError, match=r"cannot start here: .*nowhere does not run; name the interpreter"):
        done(wish(tmp_path / "o", Path("/nowhere")))


# What is refused


def test_a_trainer_of_its_own_models_is_no_backend():
    with pytest.raises(UsageError, match=r"trainer 'demo' trains its own models only; backends of `train` are: .*trl"):
        find_backend(REGISTRY, "demo")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"algorithm": "ppo"}, "has no algorithm 'ppo'; there are: grpo, dr_grpo, dapo"),
        ({"algorithm": "sft"}, "sft learns from --traces"),
        ({"traces": "runs/x"}, "sft learns from --traces"),
        ({"tasks": []}, "name at least one task"),
        ({"problems": 3}, "3 training problems, fewer than the 4 of a step"),
        ({"options": {"learning_rate": 1}}, "--train_args learning_rate: the options of `train` decide it"),
        ({"max_gen_toks": 60}, "does not fit"),
        ({"prompt": "dapo"}, "cannot take --prompt dapo"),
    ],
    ids=["algorithm", "no_traces", "traces", "no_task", "few", "taken", "long", "prompt"],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, fake_python, given, fault):
    with pytest.raises(HarnessError, match=fault):
        done(wish(tmp_path / "o", fake_python(), **given), dry_run=True)


def test_the_command_line_trains_from_its_options(tmp_path, fake_python):
    command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", "train", "--backend", "trl"]
    command += ["--base", "demo/base", "--tasks", "countdown", "--algorithm", "dapo", "--steps", "2", "--problems", "9"]
    command += ["--prompts_per_step", "2", "--samples_per_prompt", "4", "--python", str(fake_python())]
    ended = subprocess.run([*command, "-o", str(tmp_path / "o")], capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout.splitlines()[-1].split("\t")[1]) == (0, "2"), ended.stderr
    assert "step 2 of 2, reward 0.2" in ended.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="no signals here")
def test_ctrl_c_on_the_command_line_gives_130(tmp_path, fake_python):
    python = fake_python()
    program = Path(tmp_path / "trains.py")
    program.write_text("import time\nprint('works', flush=True)\ntime.sleep(600)\n")
    command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", "train", "--backend", "trl"]
    command += ["--base", "demo/base", "--tasks", "countdown", "--algorithm", "grpo", "--problems", "200", "--quiet"]
    command += ["--python", str(python), "-o", str(tmp_path / "o")]
    log = tmp_path / "o" / "train.log"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as started:
        until = time.monotonic() + 200
        while not (log.exists() and "works" in log.read_text()) and time.monotonic() < until:
            assert started.poll() is None, started.stdout.read()
            time.sleep(0.1)
        started.send_signal(signal.SIGINT)
        assert started.wait(60) == 130


@pytest.mark.parametrize("backend", ["openrlhf", "verl"])
def test_a_backend_whose_framework_is_not_here_is_planned_and_refused_without_a_trace(cli, tmp_path, backend):
    small = ("--steps", 4, "--prompts_per_step", 4, "--samples_per_prompt", 2, "--save_steps", 2)
    words = ("--backend", backend, "--base", "demo/base", "--tasks", "countdown", "--algorithm", "grpo", *small)
    status, out, err = cli("train", *words, "-o", tmp_path / "run")
    assert status == 1
    assert f"missing: {backend} is not installed" in out
    assert f"{tmp_path / 'run' / 'data'}/{'openrlhf.jsonl' if backend == 'openrlhf' else 'verl.parquet'}" in out
    assert f"training with {backend} cannot start here" in err
    assert not (tmp_path / "run").exists()
