"""Both intervals: worked values, edges, and their coverage in seeded simulations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_harness.metrics.curve import Curve, ProblemCounts
from rlvr_harness.metrics.intervals import (
    bootstrap_weights,
    clopper_pearson,
    measure_curve,
    problem_interval,
    problem_weights,
    sampling_interval,
    subtract,
)
from rlvr_harness.metrics.pass_at_k import fixed_curve


def curve_of(n: int, c, ks) -> Curve:
    counts = ProblemCounts(tuple(str(row) for row in range(len(c))), np.full(len(c), n), np.asarray(c))
    return fixed_curve(counts, ks)


def test_clopper_pearson_matches_its_closed_forms_and_a_table():
    bounds = clopper_pearson(np.array([0, 10, 5, 0]), np.array([10, 10, 10, 0]))
    assert bounds.low == pytest.approx([0, 0.025**0.1, 0.187086, 0], abs=1e-6)
    assert bounds.high == pytest.approx([1 - 0.025**0.1, 1, 0.812914, 1], abs=1e-6)


def test_weights_of_a_resample_add_up_to_one_and_follow_the_seed():
    weights = bootstrap_weights(7, seed=3, draws=20)
    assert weights.sum(axis=1) == pytest.approx(np.ones(20))
    assert np.array_equal(weights, bootstrap_weights(7, seed=3, draws=20))
    assert not np.array_equal(weights, bootstrap_weights(7, seed=4, draws=20))


@pytest.mark.parametrize("agreed", [0.0, 1.0])
def test_agreement_of_all_problems_is_not_certainty(agreed):
    # 10 of 10 problems at 0: Clopper-Pearson bounds the rest by 1 - 0.025^(1/10) = 0.3085.
    bounds = problem_interval(np.full((10, 1), agreed), problem_weights(10, seed=0))
    expected = [(0.0, 0.3085)] if agreed == 0 else [(0.6915, 1.0)]
    assert list(zip(bounds.low, bounds.high, strict=True)) == [pytest.approx(pair, abs=1e-4) for pair in expected]


def test_equal_models_on_ten_problems_may_differ_on_others():
    same = curve_of(8, [8] * 10, [1])
    point = measure_curve(subtract(same, same), problem_weights(10, seed=0), floor=-1.0)[0]
    assert (point.value, point.low, point.high) == pytest.approx((0.0, -0.3085, 0.3085), abs=1e-4)


def test_values_that_differ_by_a_hair_are_treated_as_equal():
    nearly = 1 - np.linspace(0, 1e-6, 20)[:, None]
    assert problem_interval(nearly, problem_weights(20, seed=0)).low[0] < 0.9


def test_one_problem_says_next_to_nothing():
    bounds = problem_interval(np.array([[0.5]]), problem_weights(1, seed=0))
    assert (bounds.low[0], bounds.high[0]) == pytest.approx((0.0125, 0.9875))


def test_differences_are_paired():
    # The model is exactly 1/8 better on each problem: unpaired resampling would add the spread between problems.
    base, model = curve_of(8, [0, 1, 2, 3, 4, 5, 6, 7] * 8, [1]), curve_of(8, [1, 2, 3, 4, 5, 6, 7, 8] * 8, [1])
    weights = bootstrap_weights(64, seed=1)
    difference = weights @ subtract(model, base).values
    assert difference == pytest.approx(np.full((2000, 1), 0.125))
    assert weights @ model.values - weights @ base.values == pytest.approx(difference)


def test_sampling_interval_is_clipped_and_keeps_the_value():
    bounds = sampling_interval(np.array([0.0, 1.0, 0.5]), np.full((4, 3), 0.04))
    # SE of the mean of 4: sqrt(4 * 0.04) / 4 = 0.1
    assert bounds.low == pytest.approx([0.0, 0.804, 0.304])
    assert bounds.high == pytest.approx([0.196, 1.0, 0.696])


def test_difference_adds_the_sampling_variances():
    base, model = curve_of(8, [2, 4], [1]), curve_of(8, [6, 4], [1])
    both = subtract(model, base)
    assert both.values[:, 0].tolist() == [0.5, 0.0]
    assert np.array_equal(both.variances, base.variances + model.variances)


def test_difference_of_other_problems_is_refused():
    base, model = curve_of(8, [2, 4], [1]), curve_of(8, [2, 4, 5], [1])
    with pytest.raises(ValueError, match="same problems"):
        subtract(model, base)


def test_curve_without_problems_has_no_measurements():
    assert measure_curve(curve_of(4, np.array([], dtype=int), []), np.empty((0, 0))) == []


def test_problem_interval_holds_the_truth_19_times_in_20():
    # p ~ Beta(1/2, 1): mean pass@1 1/3, and pass@4 = 1 - prod_{i<4} (1+i)/(1.5+i) = 1 - 24/59.0625.
    rng, truth, hits = np.random.default_rng(5), np.array([1 / 3, 1 - 24 / 59.0625]), np.zeros(2)
    for _ in range(300):
        curve = curve_of(32, rng.binomial(32, rng.beta(0.5, 1.0, size=60)), [1, 4])
        bounds = problem_interval(curve.values, problem_weights(60, int(rng.integers(1 << 30)), draws=400))
        hits += (bounds.low <= truth) & (truth <= bounds.high)
    assert ((hits / 300 > 0.91) & (hits / 300 < 0.985)).all(), hits / 300


def test_sampling_interval_holds_the_truth_19_times_in_20():
    rng, hits = np.random.default_rng(6), np.zeros(3)
    p = rng.beta(0.5, 1.0, size=50)
    truth = np.array([np.mean(1 - (1 - p) ** k) for k in (1, 8, 32)])
    for _ in range(400):
        curve = curve_of(32, rng.binomial(32, p), [1, 8, 32])
        bounds = sampling_interval(curve.values.mean(axis=0), curve.variances)
        hits += (bounds.low <= truth) & (truth <= bounds.high)
    assert (hits / 400 > 0.92).all(), hits / 400


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 16), min_size=1, max_size=12))
def test_intervals_contain_their_value(c):
    for point in measure_curve(curve_of(16, c, [1, 5, 16]), problem_weights(len(c), seed=0, draws=50)):
        assert 0 <= point.low <= point.value <= point.high <= 1
        assert 0 <= point.sampling_low <= point.value <= point.sampling_high <= 1
