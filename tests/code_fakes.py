"""Tiny benchmark files in the real layouts, and what the tests of code tasks share."""

import base64
import gzip
import json
import pickle
import zlib
from pathlib import Path

from rlvr_code.evalplus_tasks import EvalPlusTask
from rlvr_code.livecodebench_task import LiveCodeBenchTask
from rlvr_code.stored_tests import StoredTests
from rlvr_harness import FinishReason, PromptRequest, Sample

ADD = {
    "task_id": "HumanEval/0",
    "prompt": 'def add(a, b):\n    """The sum."""\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "base_input": [[1, 2]],
    "plus_input": [[-1, 5], [0, 0]],
    "atol": 0,
}
MINUS = {**ADD, "task_id": "HumanEval/1", "prompt": 'def minus(a, b):\n    """The difference."""\n'}
MINUS |= {"entry_point": "minus", "canonical_solution": "    return a - b\n"}
PAIRS = {
    "task_id": "Mbpp/2",
    "prompt": '"""\nWrite a function to swap.\nassert swap((1, 2)) == (2, 1)\n"""\n',
    "entry_point": "swap",
    "canonical_solution": "\ndef swap(pair):\n    return pair[::-1]\n",
    "base_input": [[[1, 2]]],
    "plus_input": [[[5, 7]]],
    "atol": 0,
}
HUB_PAIRS = {
    "task_id": 2,
    "code": PAIRS["canonical_solution"],
    "prompt": "Write a function to swap.",
    "test_imports": [],
    "test_list": ["assert swap((1, 2)) == (2, 1)", "assert swap((5, 7)) == (7, 5)"],
    "test": "inputs = [[(1, 2)], [(5, -7.5)], [(inf, 1 - 2j)]]\nresults = [(2, 1), (-7.5, 5), (1 - 2j, inf)]\n"
    "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(swap(*inp), exp, 0.5)\n",
}
DOUBLE = {
    "question_title": "double",
    "question_content": "Print twice the number.",
    "platform": "codeforces",
    "question_id": "1_A",
    "contest_id": "1",
    "contest_date": "2024-08-01T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "2\n", "output": "4\n", "testtype": "stdin"}]),
    "metadata": "{}",
}
TRIPLE = {
    **DOUBLE,
    "question_id": "2_B",
    "contest_date": "2025-01-04T18:30:00",
    "starter_code": "class Solution:\n    def triple(self, x: int) -> int:\n        ",
    "public_test_cases": json.dumps([{"input": "2", "output": "6", "testtype": "functional"}]),
    "metadata": json.dumps({"func_name": "triple"}),
}


def packed(tests):
    """Private tests as the hub packs them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def write_rows(path: Path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def load_evalplus(name, folder, **request):
    """The task of that name, from and with its store below the folder."""
    return EvalPlusTask(name, StoredTests(folder / "store")).load(PromptRequest(data_dir=folder, **request))


def livecodebench(folder):
    return LiveCodeBenchTask(tests=StoredTests(folder / "store"))


def sample_of(problem, text, finish=FinishReason.STOP, index=0):
    return Sample(problem.task, "model", problem.problem_id, index, 0, text, finish, 1)
