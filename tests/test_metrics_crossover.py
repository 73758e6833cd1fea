"""Where two curves cross: the estimate, its interval, the three verdicts and the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_harness.metrics.crossover import crossover
from rlvr_harness.metrics.curve import ProblemCounts
from rlvr_harness.metrics.intervals import problem_weights
from rlvr_harness.metrics.pass_at_k import fixed_curve


def crossing(base, model, n: int = 16):
    curves = []
    for c in (base, model):
        counts = ProblemCounts(tuple(str(row) for row in range(len(c))), np.full(len(c), n), np.array(c))
        curves.append(fixed_curve(counts, range(1, n + 1), with_variances=False))
    return crossover(*curves, problem_weights(len(base), seed=0, draws=400))


def test_clear_crossing_is_found_at_its_k():
    # Of 40 problems the model always solves half, the base has 4 of 16 on all: base 1 - C(12,k)/C(16,k) against 1/2.
    # k = 2: 1 - 66/120 = 0.45; k = 3: 1 - 220/560 = 0.607.
    found = crossing([4] * 40, [16, 0] * 20)
    assert (found.verdict, found.k) == ("crossed", 3)
    assert 1 < found.low <= 3 <= found.high < 16
    assert found.draws_crossed == 1.0


def test_model_ahead_everywhere_has_not_crossed():
    found = crossing([1] * 40, [4] * 40)
    assert (found.verdict, found.k, found.low, found.high, found.draws_crossed) == ("not_crossed", None, None, None, 0)


def test_base_ahead_from_the_start_crosses_at_1():
    found = crossing([4] * 40, [1] * 40)
    assert (found.verdict, found.k, found.low, found.high) == ("crossed", 1, 1, 1)


@pytest.mark.parametrize("c", [0, 7, 16])
def test_equal_curves_do_not_cross(c):
    found = crossing([c] * 40, [c] * 40)
    assert (found.verdict, found.k) == ("not_crossed", None)


def test_equal_curves_of_shuffled_problems_do_not_cross():
    found = crossing([3, 7, 11, 1, 2, 9], [9, 3, 2, 7, 11, 1])
    assert found.k is None


def test_saturating_together_is_not_a_crossing():
    # Both reach pass@16 = 1 at k = n, the model leads before.
    found = crossing([2] * 40, [8] * 40)
    assert (found.verdict, found.k) == ("not_crossed", None)


def test_split_evidence_is_undecided():
    # 39 problems are the model's by a hair at small k; one alone is the base's: a third of the resamples miss it.
    found = crossing([15] * 39 + [1], [16] * 39 + [0])
    assert (found.verdict, found.k is None) == ("undecided", False)
    assert 0.05 < found.draws_crossed < 0.95
    assert found.high is None


def test_few_problems_decide_nothing():
    assert crossing([4] * 4, [1] * 4).verdict == "undecided"
    assert crossing([1] * 4, [4] * 4).verdict == "undecided"


def test_no_problem_is_undecided():
    empty = fixed_curve(ProblemCounts((), np.array([], dtype=int), np.array([], dtype=int)), [])
    found = crossover(empty, empty, np.empty((0, 0)))
    assert (found.verdict, found.k, found.draws_crossed) == ("undecided", None, None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 16)), min_size=1, max_size=10))
def test_bounds_enclose_k_and_verdicts_agree_with_it(pairs):
    base, model = zip(*pairs, strict=True)
    found = crossing(base, model)
    if found.k is not None:
        assert found.low <= found.k <= (found.high or 16)
        assert found.verdict != "not_crossed"
    else:
        assert found.verdict != "crossed"
