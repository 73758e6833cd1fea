"""How accuracy moved from base to model, problem by problem."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_harness.metrics.curve import ProblemCounts, Stopping
from rlvr_harness.metrics.estimates import histogram
from rlvr_harness.metrics.shift import shift


def counts_of(n, c) -> ProblemCounts:
    return ProblemCounts(tuple(str(row) for row in range(len(c))), np.full(len(c), n), np.array(c, dtype=np.int64))


def test_rows_are_the_base_and_columns_the_model():
    # 0 -> 10 of 10, 1 -> 3 of 10, 9 -> 0, 5 -> 5.
    moved = shift(counts_of(10, [0, 1, 9, 5]), counts_of(10, [10, 3, 0, 5]))
    table = np.array(moved.bins)
    assert table.shape == (11, 11)
    assert {(int(i), int(j)) for i, j in np.argwhere(table)} == {(0, 10), (1, 3), (9, 0), (5, 5)}
    assert (moved.up, moved.down, moved.same) == (2, 1, 1)
    # Exact intervals: 0 and 10 of 10 are apart, 9 and 0 of 10 too; 1 and 3 are not.
    assert (moved.surely_up, moved.surely_down) == (1, 1)


def test_a_sequential_plan_is_read_by_its_unbiased_accuracy():
    # Stages 2, 4, one right stops: 1 of 2 is 1/2; 2 of 4, both in the second stage, is estimated as 0, yet solved.
    stopping = Stopping((2, 4), 1, ((2,), (2, 4)))
    base = ProblemCounts(("0", "1"), np.array([2, 4]), np.array([1, 2]), stopping)
    table = np.array(shift(base, counts_of(10, [5, 0])).bins)
    assert {(int(i), int(j)) for i, j in np.argwhere(table)} == {(5, 5), (1, 0)}


def test_other_problems_are_refused():
    with pytest.raises(ValueError, match="same problems"):
        shift(counts_of(4, [1]), counts_of(4, [1, 2]))


def test_no_problem_has_an_empty_table():
    moved = shift(counts_of(4, []), counts_of(4, []))
    assert (sum(map(sum, moved.bins)), moved.up, moved.down, moved.same) == (0, 0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 16)), max_size=30))
def test_margins_are_the_two_histograms(pairs):
    base, model = (counts_of(16, [pair[side] for pair in pairs]) for side in (0, 1))
    moved = shift(base, model)
    table = np.array(moved.bins)
    assert table.sum(axis=1).tolist() == histogram(base)
    assert table.sum(axis=0).tolist() == histogram(model)
    assert (moved.up, moved.down) == (int(np.triu(table, 1).sum()), int(np.tril(table, -1).sum()))
    assert moved.up + moved.down + moved.same == len(pairs)
    back = shift(model, base)
    assert (back.surely_up, back.surely_down) == (moved.surely_down, moved.surely_up)
