"""The whole way of an answer, encoded, decoded and compared, gives what evalplus's rules give, value by value.

The table is worked out by hand. Where RLVR_EVALPLUS_PYTHON names a Python that has evalplus, evalplus itself is asked.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr_sandbox.jail import tagged
from rlvr_sandbox.preparing import prepare
from rlvr_sandbox.records import CodeTask, Exit, Style
from rlvr_sandbox.records import TestRun as Run

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from evalplus_cases import CASES, DIFFERENT, NAMES, RUNS, parts  # noqa: E402  (beside this file, in no package)

PYTHON = os.environ.get("RLVR_EVALPLUS_PYTHON")
THEIRS = """
import json, sys
from evalplus.eval import untrusted_check
from evalplus_cases import NAMES, parts
for entry, expected, returned, atol in json.load(sys.stdin):
    dataset, name, arguments = parts(entry)
    names = {}
    exec(NAMES, names)
    wanted = [eval(text, names) for text in expected]
    given = [eval(arguments)] * len(wanted)
    code = f"{NAMES}\\nvalues = iter([{', '.join('lambda: ' + text for text in returned)}])\\n"
    code += f"def {name}(*_):\\n    return next(values)()\\n"
    said, looked_at = untrusted_check(dataset, code, given, name, wanted, atol, [1.0] * len(given))
    print(json.dumps([bool(one) for one in looked_at] + [False] * (len(given) - len(looked_at))))
"""


@pytest.fixture(scope="module")
def names():
    found = {}
    exec(NAMES, found)
    return found


def ours(names, entry, expected, returned, atol):
    """Whether each returned value passes its test."""
    dataset, name, arguments = parts(entry)
    wanted = [eval(text, names) for text in expected]
    settings = {"dataset": dataset, "atol": atol, "starts": [0]}
    given = [eval(arguments)] * len(wanted)
    prepared = prepare(CodeTask("t", Style.FUNCTION, given, wanted, name, "evalplus", settings))
    frames = [tagged.encode(eval(text, names), 1 << 20) for text in returned]
    return [prepared.fault(index, Run(Exit.RETURNED, frame)) is None for index, frame in enumerate(frames)]


@pytest.mark.parametrize("case", [*CASES, *DIFFERENT], ids=lambda case: f"{case[0]} {case[1]}: {case[2]} +-{case[3]}")
def test_a_value_is_accepted_as_the_table_says(names, case):
    entry, expected, returned, atol, accepted = case
    assert ours(names, entry, [expected], [returned], atol) == [accepted]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run[0]}: {run[1]}")
def test_the_tolerance_of_a_float_stays_for_the_rest_of_the_run(names, run):
    expected, returned, atol, accepted = run
    assert ours(names, "f", expected, returned, atol) == accepted


def test_the_table_names_every_kind_of_rule_both_ways():
    special = {parts(entry)[1] for entry, *_ in CASES} - {"f"}
    assert special >= {"are_equivalent", "sum_div", "surface_Area", "digit_distance_nums", "Diff", "check_str"}
    for name in ("sum_div", "surface_Area", "digit_distance_nums", "Diff", "check_str", "f"):
        assert {accepted for entry, *_, accepted in CASES if parts(entry)[1] == name} == {True, False}


@pytest.mark.skipif(not PYTHON, reason="RLVR_EVALPLUS_PYTHON names no Python that has evalplus")
def test_evalplus_itself_says_what_the_table_says():
    asked = [(entry, [expected], [returned], atol) for entry, expected, returned, atol, _ in [*CASES, *DIFFERENT]]
    asked += [("f", expected, returned, atol) for expected, returned, atol, _ in RUNS]
    wanted = [[accepted] for *_, accepted in CASES] + [[not accepted] for *_, accepted in DIFFERENT]
    wanted += [accepted for *_, accepted in RUNS]
    done = subprocess.run(
        [PYTHON, "-c", THEIRS],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore"},
    )
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [(*case, one) for case, one, want in zip(asked, said, wanted, strict=True) if one != want] == []
