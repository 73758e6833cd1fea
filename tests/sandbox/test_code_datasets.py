"""Rows of benchmark files as tasks, and the real files where they lie beside the checkout."""

import base64
import gzip
import json
import pickle
import zlib
from pathlib import Path

import pytest

from rlvr_sandbox.calibrate import calibrate
from rlvr_sandbox.datasets import evalplus_solution, evalplus_task, livecodebench_task
from rlvr_sandbox.datasets.livecodebench import PRELUDE
from rlvr_sandbox.datasets.mbpp_inputs import mbpp_arguments
from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.preparing import prepare
from rlvr_sandbox.records import Exit, Ruling, Style
from rlvr_sandbox.records import TestRun as Run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROW = {
    "task_id": "HumanEval/900",
    "prompt": "def half(x):\n",
    "canonical_solution": "    return x / 2\n",
    "entry_point": "half",
    "base_input": [[1], [4]],
    "plus_input": [[7]],
    "atol": 0,
}
LCB = {
    "question_id": "9",
    "metadata": '{"func_name": "add"}',
    "public_test_cases": json.dumps([{"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}]),
}
STDIN = {
    "question_id": "8",
    "metadata": "{}",
    "public_test_cases": json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}]),
}


def packed(text):
    return base64.b64encode(zlib.compress(pickle.dumps(text))).decode()


def test_an_evalplus_row_is_a_task_without_answers():
    task = evalplus_task(ROW)
    assert (task.name, task.entry, list(task.inputs), list(task.expected)) == (
        "HumanEval/900",
        "half",
        [[1], [4], [7]],
        [],
    )
    assert task.settings == {"dataset": "humaneval", "atol": 0, "starts": [0, 2]}
    assert list(evalplus_task(ROW, plus=False).inputs) == [[1], [4]]


def test_calibration_takes_answers_and_limits_from_the_right_program(fake):
    with Judge(fake(), workers=1) as judge:
        task = calibrate(evalplus_task(ROW), evalplus_solution(ROW), judge)
        assert (task.expected, task.limits_s, task.limits.total_cpu_s) == ([0.5, 2.0, 3.5], [1.0] * 3, 3.0)
        assert judge.judge("def half(x):\n    return x * 0.5\n", task).ruling is Ruling.PASS
        assert judge.judge("def half(x):\n    return x // 2\n", task).ruling is Ruling.FAIL


def test_calibration_of_a_none_or_not_task_keeps_only_that(fake):
    row = {**ROW, "task_id": "Mbpp/737", "entry_point": "check_str", "base_input": [["a"], [""]], "plus_input": {}}
    solution = "def check_str(s):\n    return s or None\n"
    with Judge(fake(), workers=1) as judge:
        assert calibrate(evalplus_task(row), solution, judge).expected == [True, False]


def test_a_solution_that_fails_is_told_with_its_test(fake):
    with (
        Judge(fake(), workers=1) as judge,
        pytest.raises(TaskInvalid, match=r"HumanEval/900.*test 0: raised TypeError"),
    ):
        calibrate(evalplus_task(ROW), "def half(x):\n    return x / None\n", judge)


@pytest.mark.parametrize("row", [{}, {**ROW, "task_id": "Other/1"}, {**ROW, "base_input": None}])
def test_a_row_of_another_layout_is_refused(row):
    with pytest.raises(TaskInvalid, match="layout"):
        evalplus_task(row)


@pytest.mark.parametrize(
    "number, given, wanted",
    [
        (2, [[[1], [2]]], [[(1,), (2,)]]),
        (63, [[[[1, 2], [3]]]], [[[(1, 2), (3,)]]]),
        (75, [[[[1], [2]], 5]], [[[(1,), (2,)], 5]]),
        (106, [[[1], [2]]], [[[1], (2,)]]),
        (115, [[[[1, 1], [], {}]]], [[[{1}, {}, {}]]]),
        (124, [["1.5", "2j"]], [[1.5, 2j]]),
        (252, [["1+2j"]], [[1 + 2j]]),
        (259, [[[[1], [2]], [[3]]]], [[((1,), (2,)), ((3,),)]]),
        (278, [[[1, [2, 3]]]], [[(1, (2, 3))]]),
        (580, [[[1, [2, [3]]]]], [[(1, (2, (3,)))]]),
        (722, [[{"a": [1, 2]}, 1, 2]], [[{"a": (1, 2)}, 1, 2]]),
        (999, [[[1]]], [[[1]]]),
    ],
)
def test_mbpp_arguments_get_the_types_that_json_lacks(number, given, wanted):
    assert repr(mbpp_arguments(number, given)) == repr(wanted)


def test_a_livecodebench_function_problem():
    task = livecodebench_task(LCB)
    assert (task.style, task.entry, task.oracle) == (Style.FUNCTION, "Solution.add", "lcb-compat")
    assert (list(task.inputs), list(task.expected), task.limits.cpu_s) == ([[[1, 2], 3]], [6], 6.0)
    assert task.prelude == PRELUDE


def test_a_livecodebench_stdin_problem_with_private_tests():
    private = [{"input": "5\n", "output": "6\n", "testtype": "stdin"}]
    for text in (packed(json.dumps(private)), json.dumps(private)):
        task = livecodebench_task({**STDIN, "private_test_cases": text})
        assert (task.style, list(task.inputs), list(task.expected)) == (Style.STDIN, ["1\n", "5\n"], ["2\n", "6\n"])


class _Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/rlvr-unpickled"),))


@pytest.mark.parametrize(
    "text", [packed(_Bomb()), packed(7), packed("no json"), "%%%", "AAAA", packed("[]")[:-8], packed('{"a": 1}')]
)
def test_private_tests_hold_text_and_nothing_else(text):
    with pytest.raises(TaskInvalid, match="LiveCodeBench problem 8"):
        livecodebench_task({**STDIN, "private_test_cases": text})
    assert not Path("/tmp/rlvr-unpickled").exists()


def test_the_prelude_runs():
    names = {}
    limit = __import__("sys").getrecursionlimit()
    try:
        exec(PRELUDE, names)
    finally:
        __import__("sys").setrecursionlimit(limit)
    assert {"List", "deque", "heappush", "gcd", "string"} <= set(names)


@pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark files do not lie beside the checkout")
@pytest.mark.parametrize(
    "file, size", [("humanevalplus/HumanEvalPlus.jsonl.gz", 164), ("mbppplus/MbppPlus.jsonl.gz", 378)]
)
def test_every_row_of_the_evalplus_files_is_a_task(file, size):
    rows = [json.loads(line) for line in gzip.decompress((DATA / file).read_bytes()).splitlines()]
    tasks = [evalplus_task(row) for row in rows]
    assert len({task.name for task in tasks if task.inputs}) == size


@pytest.mark.skipif(not DATA.is_dir(), reason="the benchmark files do not lie beside the checkout")
def test_every_row_of_the_livecodebench_file_is_a_task():
    rows = map(json.loads, (DATA / "livecodebench" / "lcb_400_public_tests.jsonl").read_text().splitlines())
    styles = [prepare(livecodebench_task(row)).task.style for row in rows]
    assert (styles.count(Style.FUNCTION), styles.count(Style.STDIN)) == (181, 219)


def test_a_test_whose_right_answer_is_too_large_is_left_out_and_named(fake, here):
    def capped(box, job, accept):
        def pass_on(index, run):
            return accept(index, run if len(run.output) < 1000 else Run(Exit.OUTPUT))

        here(box, job, pass_on)

    row = {**ROW, "base_input": [[1], [5000], [2]], "plus_input": [[9000], [3]]}
    with Judge(fake(capped), workers=1) as judge:
        task = calibrate(evalplus_task(row), "def half(x):\n    return 'x' * x\n", judge)
    assert (list(task.inputs), task.expected) == ([[1], [2], [3]], ["x", "xx", "xxx"])
    assert (task.settings["dropped"], task.settings["starts"]) == ([1, 3], [0, 2])
