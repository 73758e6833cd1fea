"""Programs for LiveCodeBench's public tests get the verdicts that its rules give.

`lcb_programs/ID.txt` holds programs for problem ID, each below a line `--- pass | why` or `--- fail | why`. Where the
why goes on with `theirs: fails`, LiveCodeBench's own runner refuses a right program for its stand-ins of standard input
(benchmarks/livecodebench_parity.py).
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from rlvr_sandbox.datasets import livecodebench_task
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.records import Limits, Ruling, Style

HERE = Path(__file__).resolve().parent
FILE = HERE.parents[2] / "shared/data/livecodebench/lcb_400_public_tests.jsonl"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the benchmark files do not lie beside the checkout")
LIMITS = Limits(cpu_s=1.0, wall_factor=3.0)


@cache
def rows():
    return {row["question_id"]: row for row in map(json.loads, FILE.read_text().splitlines())}


def programs():
    """(problem id, wanted verdict, why, program) of every program."""
    for path in sorted((HERE / "lcb_programs").glob("*.txt")):
        for part in path.read_text().split("--- ")[1:]:
            head, _, program = part.partition("\n")
            verdict, _, why = head.partition(" | ")
            yield path.stem, verdict, why, program


def followed_rules(cases):
    """For each (problem, program) the verdict of LiveCodeBench's rules, the programs run without a sandbox."""
    asked = []
    for problem, program in cases:
        row = rows()[problem]
        function, tests = json.loads(row["metadata"]).get("func_name"), json.loads(row["public_test_cases"])
        asked.append({"program": program, "function": function, "tests": tests})
    done = subprocess.run(
        [sys.executable, str(HERE / "lcb_rules.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    return ["pass" if right else "fail" for right in json.loads(done.stdout)]


def test_there_are_right_and_wrong_programs_of_both_styles_for_at_least_thirty_problems():
    found = {}
    for problem, verdict, _, _ in programs():
        found.setdefault(problem, set()).add(verdict)
    styles = [livecodebench_task(rows()[problem]).style for problem in found]
    assert all(verdicts == {"pass", "fail"} for verdicts in found.values())
    assert min(styles.count(Style.FUNCTION), styles.count(Style.STDIN)) >= 15


def test_every_program_gets_the_verdict_that_the_rules_give(local_judge):
    cases = list(programs())
    tasks = {problem: livecodebench_task(rows()[problem], limits=LIMITS) for problem, *_ in cases}
    judgements = local_judge.judge_all((program, tasks[problem]) for problem, _, _, program in cases)
    off = [
        (problem, why, verdict, judgement.reason)
        for (problem, verdict, why, _), judgement in zip(cases, judgements, strict=True)
        if judgement.ruling is not Ruling(verdict)
    ]
    assert off == []


def test_every_program_is_labelled_by_the_rules():
    cases = list(programs())
    found = followed_rules([(problem, program) for problem, _, _, program in cases])
    assert [case[:3] for case, verdict in zip(cases, found, strict=True) if verdict != case[1]] == []


@pytest.fixture(scope="module")
def local_judge():
    from rlvr_sandbox.backends import open_backend

    level = open_backend("local").isolation().level
    if level == 0:
        pytest.skip("no local sandbox on this system")
    with Judge("local", level=level) as judge:
        yield judge
