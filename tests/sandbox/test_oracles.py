"""Each oracle takes its own expected answer, refuses near misses, and keeps its documented rules. Cases by hand."""

from decimal import Decimal

import numpy
import pytest

from rlvr_sandbox import oracles
from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.jail.tagged import Opaque
from rlvr_sandbox.oracles.evalplus import WEAK_TASKS
from rlvr_sandbox.records import CodeTask, Style

NAN, INF = float("nan"), float("inf")


def accepts(oracle, output, expected, entry="f", inputs=(), **settings):
    task = CodeTask("t", Style.FUNCTION, [list(inputs)], [expected], entry, oracle, settings)
    return oracles.prepare(task)(0, output)


def accepts_text(oracle, output, expected):
    task = CodeTask("t", Style.STDIN, [""], [expected], oracle=oracle)
    return oracles.prepare(task)(0, output)


@pytest.mark.parametrize(
    "output, expected",
    [
        (3, 3),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([(1, 2)], [[1, 2]]),  # a tuple is a list, as in JSON
        ((1,), [1]),
        ({"a": [1, None]}, {"a": [1, None]}),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
        ({1, 2}, {2, 1}),
        (frozenset({1}), {1}),
        (INF, INF),
        ([numpy.int64(3)], [3]),
        (numpy.bool_(True), True),
        ([], []),
        ("", ""),
    ],
)
def test_exact_takes_the_same_value(output, expected):
    assert accepts("exact", output, expected)
    assert accepts("equal", output, expected)


@pytest.mark.parametrize(
    "output, expected",
    [
        (True, 1),
        (1, True),
        (1.0, 1),
        (1, 1.0),
        ("1", 1),
        (None, 0),
        ([1, 2], [2, 1]),
        ([1], [1, 2]),
        ([1, 2, 3], [1, 2]),
        ([], {}),
        ({}, []),
        ([], None),
        (None, []),
        ([], ""),
        ("ab", ["a", "b"]),
        (b"a", "a"),
        ({"a": 1}, {"a": True}),
        ({1: "x"}, {True: "x"}),
        ({"a": 1}, {"b": 1}),
        ({1, 2}, [1, 2]),
        ({True}, {1}),
        (NAN, NAN),
        (numpy.array([1, 2]), [1, 2]),
        (numpy.array([]), []),
        (numpy.bool_(True), 1),
        (Decimal(1), 1),
        (1 + 0j, 1),
        (Opaque("f"), None),
        ([Opaque("f")], [1]),
    ],
)
def test_exact_refuses_another_value_or_kind(output, expected):
    assert not accepts("exact", output, expected)


def test_exact_compares_structures_of_any_depth():
    deep, other = 1, 1
    for _ in range(5000):
        deep, other = [deep], [other]
    assert accepts("exact", deep, other)


@pytest.mark.parametrize(
    "output, expected, settings",
    [
        (0.1 + 0.2, 0.3, {}),
        (2, 2.0, {}),
        ([1.0, {"a": 2.0000005}], [1.0, {"a": 2.0}], {}),
        (1.25, 1.0, {"atol": 0.25}),
        (110.0, 100.0, {"atol": 0, "rtol": 0.1}),
        (INF, INF, {}),
        ("a", "a", {}),
        (7, 7, {}),
        (7.0, 7, {}),
        (8, 7, {"atol": 1}),
        (10**400, 10**400, {}),
        (numpy.float32(0.5), 0.5, {}),
    ],
)
def test_close_takes_floats_within_the_tolerance(output, expected, settings):
    assert accepts("close", output, expected, **settings)
    assert accepts("float", output, expected, **settings)


@pytest.mark.parametrize(
    "output, expected, settings",
    [
        (1.0000021, 1.0, {}),
        (1.2500001, 1.0, {"atol": 0.25}),
        (True, 1.0, {}),
        (NAN, 1.0, {}),
        (NAN, NAN, {}),
        (INF, 1.0, {}),
        (INF, 1e308, {"atol": 1e308}),
        (-INF, INF, {}),
        (1.0, INF, {}),
        (10**400, 1.0, {}),
        (1 + 0j, 1.0, {}),
        (Decimal(1), 1.0, {}),
        ("1.0", 1.0, {}),
        ([1.0], 1.0, {}),
        (1.0, [1.0], {}),
        (numpy.array([1.0]), 1.0, {}),
        ([], [1.0], {}),
        (8, 7, {}),
        (True, 1, {}),
        (1, True, {"atol": 2}),
        (10**400 + 10**399, 10**400, {"rtol": 0.01}),
        (1e308, -1e308, {"rtol": 1.5}),  # so far apart that the distance is no float
    ],
)
def test_close_refuses_what_is_off_or_no_number(output, expected, settings):
    assert not accepts("close", output, expected, **settings)


@pytest.mark.parametrize("oracle", ["lines", "lcb-compat"])
@pytest.mark.parametrize("output", [b"1\n2 3", b"1\n2 3\n\n", b"  1  \n2 3 \n", b"\n1\r\n2 3\r\n"])
def test_text_is_compared_line_by_line_without_blanks_around(oracle, output):
    assert accepts_text(oracle, output, "1\n2 3\n")


@pytest.mark.parametrize("oracle", ["lines", "lcb-compat"])
@pytest.mark.parametrize(
    "output", [b"", b"1", b"1\n2 3\n4", b"1\n\n2 3", b"1 2 3", b"1\n2  3 x", b"1\n3 2", b"\xff\n2 3"]
)
def test_other_lines_are_refused(oracle, output):
    assert not accepts_text(oracle, output, "1\n2 3\n")


@pytest.mark.parametrize(
    "output, expected, same",
    [
        (b"1.50 2", "1.5 2.0", True),
        (b"1e2", "100", True),
        (b"50000000000000001", "50000000000000000", False),
        (b"1.5", "1.5 2", False),
        (b"nan", "nan", True),  # equal as text
        (b"NaN", "nan", False),
        (b"sNaN", "1", False),
        (b"yes", "YES", False),
        (b"0.30000000000000004", "0.3", False),
    ],
)
def test_lcb_compares_lines_as_text_or_as_decimal_numbers(output, expected, same):
    assert accepts_text("lcb-compat", output, expected) is same


def test_lines_knows_no_numbers():
    assert not accepts_text("lines", b"1.50", "1.5")


@pytest.mark.parametrize(
    "output, expected, same",
    [
        ((1, 2), [1, 2], True),
        ([(1, 2)], [[1, 2]], False),  # only the outer tuple
        (True, 1, True),
        (1.0, 1, True),
        (0.1 + 0.2, 0.3, False),
        (NAN, NAN, False),
        (None, [], False),
    ],
)
def test_lcb_compares_values_as_python_does(output, expected, same):
    assert accepts("lcb-compat", output, expected) is same


@pytest.mark.parametrize(
    "output, expected, atol, same",
    [
        (True, 1, 0, True),
        (1.0, 1, 0, True),
        ((1, 2), [1, 2], 0, False),
        (NAN, NAN, 0, False),
        (2.0000005, 2.0, 0, True),  # a float's tolerance is never 0
        (2.00001, 2.0, 0, False),
        (2.00001, 2.0, 1e-4, True),
        ([1.0, 2.0000005], [1.0, 2.0], 0, True),
        ((1.0, 2.0), [1.0, 2.0], 1e-4, False),  # another type
        ([1.0], [1.0, 1.0], 1e-4, False),  # another length
        (2, 2.0, 0, True),  # equal
        (3, 2.9999999, 1e-4, False),  # close, but another type
    ],
)
def test_evalplus_equality_then_closeness_within_one_type(output, expected, atol, same):
    assert accepts("evalplus", output, expected, dataset="humaneval", atol=atol) is same


def test_evalplus_keeps_the_tolerance_of_a_float_for_the_rest_of_a_run_and_no_longer():
    # numbers this large are within the relative 1e-7, which counts only where there is an absolute tolerance
    expected = [10**9, 1.0, 10**9, 10**9]
    task = CodeTask(
        "t", Style.FUNCTION, [[]] * 4, expected, "f", "evalplus", {"dataset": "mbpp", "atol": 0, "starts": [0, 3]}
    )
    check = oracles.prepare(task)
    assert [check(index, 10**9 + 1) for index in (0, 2, 3)] == [False, True, False]


@pytest.mark.parametrize(
    "entry, inputs, output, expected, same",
    [
        ("are_equivalent", [1, 2], "anything", False, True),
        ("sum_div", [8], 7, 7, True),
        ("sum_div", [8], 0, 7, True),
        ("sum_div", [8], 6, 7, False),
        ("surface_Area", [3, 4], 33, 33, True),
        # base 3, upright height 4: 9 + 6 sqrt(1.5^2 + 16) = 34.63, rounded 35
        ("surface_Area", [3, 4], 35, 33, True),
        ("surface_Area", [3, 4], 34, 33, False),
        # 12345 and 00009: 1 + 2 + 3 + 4 + 4
        ("digit_distance_nums", [12345, 9], 14, 8, True),
        ("digit_distance_nums", [12345, 9], 13, 8, False),
        ("Diff", [], [3, 1, 1], [1, 3], True),
        ("Diff", [], (1,), [1, 3], False),
        ("Diff", [], [1, 3, 5], [1, 3], False),
        ("check_str", [], "match", True, True),
        ("check_str", [], Opaque("Match"), True, True),
        ("check_str", [], None, False, True),
        ("check_str", [], None, True, False),
        ("check_str", [], False, False, True),
        ("check_str", [], True, False, False),
    ],
)
def test_evalplus_special_rules_of_mbpp(entry, inputs, output, expected, same):
    assert accepts("evalplus", output, expected, entry, inputs, dataset="mbpp", atol=0) is same


def test_the_special_rules_are_those_of_one_data_set():
    assert not accepts("evalplus", 0, 7, "sum_div", [8], dataset="humaneval", atol=0)
    assert not accepts("evalplus", 2.0, 1.0, "find_zero", [[-2, 1]], dataset="mbpp", atol=0)


def test_a_root_counts_by_the_polynomial_not_by_the_expected_root():
    # (x - 1)(x - 2) = 2 - 3x + x^2
    for root, right in ((1.0, True), (2.0, True), (2.00005, True), (1.5, False), (NAN, False)):
        assert accepts("evalplus", root, 1.0, "find_zero", [[2, -3, 1]], dataset="humaneval", atol=1e-4) is right


def test_weak_tasks_are_listed_with_their_reason():
    assert set(WEAK_TASKS) == {"Mbpp/164", "Mbpp/295", "Mbpp/737", "Mbpp/787", "Mbpp/794"}
    assert all(WEAK_TASKS.values())


def test_many_equal_hashes_do_not_hold_up_a_comparison_as_sets():
    # all of one hash: a set of them would take time with their number squared
    colliding = [number * (2**61 - 1) for number in range(1, 40_000)]
    assert not accepts("evalplus", colliding, [1, 2], "Diff", dataset="mbpp", atol=0)


@pytest.mark.parametrize("starts", [[], [1], [0, 3, 2], [0, 9], 5, "0", [0, "1"], [False], [0, 1.5]])
def test_evalplus_refuses_starts_that_are_no_ascending_test_numbers(starts):
    with pytest.raises(TaskInvalid, match="starts must begin with 0"):
        accepts("evalplus", 1, 1, dataset="mbpp", starts=starts)
