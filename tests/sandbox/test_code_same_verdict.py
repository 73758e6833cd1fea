"""The judge, the command line and the plugin's verifier say the same of a program."""

import gzip
import json
from itertools import islice
from pathlib import Path

import pytest

from rlvr_code.bench import Place
from rlvr_code.evalplus_tasks import EvalPlusTask
from rlvr_code.livecodebench_task import LiveCodeBenchTask
from rlvr_code.sandboxes import NamedSandbox
from rlvr_code.stored_tests import StoredTests
from rlvr_code.verifier import CodeVerifier
from rlvr_harness import FinishReason, PromptRequest, Sample
from rlvr_sandbox.__main__ import main
from rlvr_sandbox.calibrate import calibrate
from rlvr_sandbox.datasets import evalplus_solution, evalplus_task, livecodebench_task
from rlvr_sandbox.judge import Judge

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data"
LEVEL = NamedSandbox("local").isolation().level
EACH = 14
LIMITS = (EACH, EACH, None)
ENDLESS = "no end"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark files do not lie beside the checkout"),
    pytest.mark.skipif(LEVEL == 0, reason="no local sandbox on this system"),
]


def evalplus_rows(folder, stem):
    with gzip.open(DATA / folder / f"{stem}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in islice(lines, EACH)]


def labelled(name):
    path = DATA / "verifier" / f"evalplus_qwen2.5-coder-7b-base_{name}_eval_results.json"
    return {task_id: found[0]["solution"] for task_id, found in json.loads(path.read_text())["eval"].items()}


def evalplus_cases(judge):
    """(problem id, program, calibrated task): a model's programs, right and wrong ones."""
    for folder, stem, name in (
        ("humanevalplus", "HumanEvalPlus", "humaneval"),
        ("mbppplus", "MbppPlus", "mbpp"),
    ):
        programs = labelled(name)
        for row in evalplus_rows(folder, stem):
            yield row["task_id"], programs[row["task_id"]], calibrate(evalplus_task(row), evalplus_solution(row), judge)


def livecodebench_cases():
    """The same of LiveCodeBench, a right and a wrong program of each problem."""
    lines = (DATA / "livecodebench" / "lcb_400_public_tests.jsonl").read_text().splitlines()
    rows = {row["question_id"]: row for row in map(json.loads, lines)}
    for path in list((HERE / "lcb_programs").glob("*.txt"))[:EACH]:
        for part in path.read_text().split("--- ")[1:3]:
            head, _, program = part.partition("\n")
            if ENDLESS not in head:
                yield path.stem, program, livecodebench_task(rows[path.stem])


def as_written(task):
    """The task as tasks.json holds it; None where JSON cannot."""
    if json.loads(json.dumps([task.inputs, task.expected])) != [list(task.inputs), list(task.expected)]:
        return None
    written = {"style": task.style.value, "entry": task.entry, "oracle": task.oracle, "prelude": task.prelude}
    written |= {"inputs": list(task.inputs), "expected": list(task.expected), "time_limit_s": max(task.limits_s or [6])}
    return written | dict(task.settings)


def by_command_line(folder, capsys, program, written):
    (folder / "program.py").write_text(program)
    (folder / "tasks.json").write_text(json.dumps({"tasks": {"t": written}}))
    arguments = [str(folder / "program.py"), "--task", "t", "--tasks", str(folder / "tasks.json")]
    assert main(["check", *arguments, "--level", str(LEVEL)]) == 0
    said = json.loads(capsys.readouterr().out)
    return said["verdict"], said["reason"]


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """The plugin's problems by their ids, and its verifier."""
    tests = StoredTests(tmp_path_factory.mktemp("store"))
    tasks = [EvalPlusTask("humanevalplus", tests), EvalPlusTask("mbppplus", tests), LiveCodeBenchTask(tests=tests)]
    loaded = [task.load(PromptRequest(data_dir=DATA, limit=limit)) for task, limit in zip(tasks, LIMITS, strict=True)]
    verifier = CodeVerifier(place=Place(NamedSandbox("local"), "local", LEVEL, tests))
    return {problem.problem_id: problem for one in loaded for problem in one.problems}, verifier


def by_plugin(problems, problem_id, program):
    known, verifier = problems
    problem = known[problem_id]
    text = f"```python\n{program}\n```\n"
    verdict = verifier.verify(problem, Sample(problem.task, "m", problem_id, 0, 0, text, FinishReason.STOP, 1))
    return {"right": "pass", "wrong": "fail"}[verdict.outcome.value], verdict.reason


def test_three_ways_to_a_verdict_give_one(problems, tmp_path, capsys):
    checked = {"pass": 0, "fail": 0}
    with Judge("local", level=LEVEL) as judge:
        for problem_id, program, task in [*evalplus_cases(judge), *livecodebench_cases()]:
            judgement = judge.judge(program, task)
            ruling = judgement.ruling.value
            written = as_written(task)
            if written is not None:
                assert (problem_id, *by_command_line(tmp_path, capsys, program, written)) == (
                    problem_id,
                    ruling,
                    judgement.reason,
                )
            assert (problem_id, by_plugin(problems, problem_id, program)[0]) == (problem_id, ruling)
            checked[ruling] += written is not None
    assert checked["pass"] + checked["fail"] >= 50
    assert min(checked.values()) >= 10
