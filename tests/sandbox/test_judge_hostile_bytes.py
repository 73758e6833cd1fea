"""Whatever bytes come back, and however many, no program passes by them and the judge goes on."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlvr_sandbox.cache import Cache
from rlvr_sandbox.jail import tagged
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.records import CodeTask, Exit, Ruling, Style
from rlvr_sandbox.records import TestRun as Run

ANSWER = [{"key": 0.25, "other": (1, "a")}, 7]
ENCODED = tagged.encode(ANSWER, 1 << 10)
TASKS = {
    "exact": CodeTask("t", Style.FUNCTION, [[1]], [ANSWER], "f", "exact"),
    "close": CodeTask("t", Style.FUNCTION, [[1]], [ANSWER], "f", "close"),
    "lcb-compat": CodeTask("t", Style.FUNCTION, [[1]], [ANSWER], "f", "lcb-compat"),
    "evalplus": CodeTask("t", Style.FUNCTION, [[1]], [ANSWER], "f", "evalplus", {"dataset": "mbpp", "atol": 1e-4}),
    "evalplus sets": CodeTask("t", Style.FUNCTION, [[1]], [[1, 2]], "Diff", "evalplus", {"dataset": "mbpp", "atol": 0}),
    "evalplus root": CodeTask(
        "t", Style.FUNCTION, [[[1, 2]]], [-0.5], "find_zero", "evalplus", {"dataset": "humaneval", "atol": 1e-4}
    ),
    "lines": CodeTask("t", Style.STDIN, ["1"], ["yes 1"], oracle="lines"),
    "stdin lcb": CodeTask("t", Style.STDIN, ["1"], ["yes 1"], oracle="lcb-compat"),
}


@st.composite
def _bent(draw):
    """The right answer with some bytes changed, cut or put in: mostly well formed, and wrong."""
    data = bytearray(ENCODED)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data) - 1))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=5))
        if not data:
            return b""
    return bytes(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
).map(lambda value: tagged.encode(value, 1 << 20))
runs = st.builds(Run, st.sampled_from(Exit), st.binary(max_size=200) | _bent() | values, st.text(max_size=20))


@pytest.fixture(scope="module")
def answers():
    """What the box tells next."""
    return []


@pytest.fixture(scope="module", params=TASKS)
def case(request, answers):
    """A judge over a box that tells `answers` of every program, and a task."""

    class Box:
        level, alive = 3, True

        def run(self, job, accept):
            for index, run in enumerate(answers):
                accept(index, run)

        def close(self): ...

    class Backend:
        name = description = "hostile"

        def isolation(self):
            from rlvr_sandbox.box import Isolation

            return Isolation(3)

        def open(self):
            return Box()

    with Judge(Backend(), workers=1, cache=Cache(0), canary_every=1 << 60) as judge:
        yield judge, TASKS[request.param]


def _is_the_answer(task, run):
    if run.exit is not Exit.RETURNED:
        return False
    if task.style is Style.STDIN:
        return run.output.decode("utf-8", "replace").split() == ["yes", "1"]
    try:
        value = tagged.decode(run.output, tagged.Caps(1 << 20))
    except tagged.Malformed:
        return False
    if task.entry == "find_zero":
        return isinstance(value, (int, float)) and abs(1 + 2 * value) <= 1e-4
    if task.entry == "Diff":
        return set(value) == {1, 2}
    return repr(value) == repr(task.expected[0]) or value == task.expected[0]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=st.lists(runs, max_size=3))
def test_arbitrary_results_never_pass_and_never_kill_the_judge(case, answers, told):
    judge, task = case
    answers[:] = told
    ruling = judge.judge("program", task).ruling
    if ruling is Ruling.PASS:
        assert len(told) == 1
        assert _is_the_answer(task, told[0])


def test_the_right_bytes_do_pass(case, answers):
    judge, task = case
    right = task.expected[0].encode() if task.style is Style.STDIN else tagged.encode(task.expected[0], 1 << 10)
    answers[:] = [Run(Exit.RETURNED, right)]
    assert judge.judge("program", task).ruling is Ruling.PASS
