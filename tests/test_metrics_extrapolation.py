"""pass@k beyond the samples: the law, its likelihood under every plan, its uncertainty and its edges."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, special

from rlvr_harness.metrics import inflated_beta
from rlvr_harness.metrics.curve import ProblemCounts, Stopping
from rlvr_harness.metrics.estimates import pass_curve
from rlvr_harness.metrics.extrapolation import extrapolate
from rlvr_harness.metrics.inflated_beta import Laws, fit
from rlvr_harness.metrics.pass_at_k import curve_ks
from rlvr_harness.metrics.sequential import walk

A, B, NEVER = 0.5, 1.5, 0.2


def law(a, b, never=0.0, always=0.0) -> Laws:
    between = 1 - never - always
    with np.errstate(divide="ignore"):
        odds = np.log(np.array([never, always]) / between)
    return Laws(np.array([[np.log(a), np.log(b), *odds]]), np.zeros(1))


def counts_of(n, c) -> ProblemCounts:
    return ProblemCounts(tuple(str(row) for row in range(len(c))), np.broadcast_to(n, len(c)), np.asarray(c))


def drawn(rng, problems, n, a=A, b=B, never=NEVER):
    p = np.where(rng.random(problems) < never, 0.0, rng.beta(a, b, problems))
    return counts_of(n, rng.binomial(n, p))


def staged(rng, problems, stages, stop_after) -> ProblemCounts:
    p = np.where(rng.random(problems) < NEVER, 0.0, rng.beta(A, B, problems))
    c, stage = np.zeros(problems, dtype=int), np.zeros(problems, dtype=int)
    for place, size in enumerate(np.diff(stages, prepend=0)):
        going = (c < stop_after) | (place == 0)
        c, stage = c + np.where(going, rng.binomial(size, p), 0), np.where(going, place, stage)
    reached = tuple(stages[: place + 1] for place in stage)
    ids = tuple(str(row) for row in range(problems))
    return ProblemCounts(ids, np.array(stages)[stage], c, Stopping(stages, stop_after, reached))


def beyond(counts, k_max, seed=0):
    return extrapolate(counts, pass_curve(counts, curve_ks(k_max), with_variances=False), seed)


@pytest.mark.parametrize(("a", "b", "k"), [(0.5, 1.5, 2048), (2.0, 3.0, 7), (0.05, 0.4, 100)])
def test_pass_at_k_of_the_law_is_the_mean_over_the_beta(a, b, k):
    # E (1-p)^k = integral of x^k over Beta(b, a) in x = 1 - p, by the weight of QUADPACK's algebraic ends.
    moment, _ = integrate.quad(lambda x: x**k, 0, 1, weight="alg", wvar=(b - 1, a - 1))
    expected = 0.1 + 0.7 * (1 - moment / special.beta(a, b))
    assert law(a, b, never=0.2, always=0.1).pass_at_k(np.array([k]))[0, 0] == pytest.approx(expected, abs=1e-9)


def test_pass_at_k_stays_exact_at_tiny_parameters_and_a_million_samples():
    # B(a, b+k)/B(a, b) with a = 1: b/(b+k).
    assert law(1.0, 2.0).pass_at_k(np.array([1, 10**6]))[0] == pytest.approx([1 / 3, 10**6 / (10**6 + 2)])
    assert law(1e-3, 1e-3).pass_at_k(np.array([1]))[0, 0] == pytest.approx(0.5)
    assert np.isfinite(law(1e-3, 1e5).pass_at_k(np.array([1, 2**24]))).all()


@pytest.mark.parametrize(("a", "b", "never", "always"), [(0.5, 1.5, 0.2, 0.0), (3.0, 0.4, 0.05, 0.3)])
def test_chances_of_all_ends_of_a_plan_add_up_to_one(a, b, never, always):
    # The likelihood of a stopped problem is the beta-binomial's, up to the number of orders that lead there.
    stages, stop_after = (3, 6, 12), 2
    parameters = law(a, b, never, always).parameters
    total = 0.0
    for stage in range(1, 4):
        path = walk(stages[:stage], stop_after)
        ends = np.arange(stop_after if stage < 3 else 0, stages[stage - 1] + 1)
        reachable = np.isfinite(path.log_orders(stage, ends))
        n, c = np.full((1, 1), stages[stage - 1]), ends[reachable]
        logs = [inflated_beta._likelihood(n, np.array([[right]]), parameters)[0][0] for right in c]
        total += float(np.exp(path.log_orders(stage, c) + logs).sum())
    assert total == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=2, max_size=6),
    st.tuples(*[st.floats(-3, 3)] * 4),
)
def test_scores_are_the_slopes_of_the_likelihood(pairs, parameters):
    n = np.array([[max(pair) for pair in pairs]])
    c = np.array([[pair[1] for pair in pairs]])
    at = np.array([parameters])
    _, scores = inflated_beta._likelihood(n, c, at)
    for place in range(4):
        step = np.zeros((1, 4))
        step[0, place] = 1e-5
        sides = [inflated_beta._likelihood(n, c, at + sign * step)[0][0] for sign in (1, -1)]
        assert scores[0, :, place].sum() == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-4)


def test_the_fit_finds_what_a_general_optimiser_finds():
    counts = drawn(np.random.default_rng(3), 120, 64)
    start = np.array([[0.0, 0.0, -1.0, -np.inf]])
    found = fit(counts.n[None], counts.c[None], start)

    def loss(free):
        at = np.array([[*free, -np.inf]])
        return -float(inflated_beta._likelihood(counts.n[None], counts.c[None], at)[0][0])

    best = optimize.minimize(loss, [0.0, 0.0, -1.0], method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-9})
    assert found.log_likelihood[0] == pytest.approx(-best.fun, abs=1e-4)
    assert found.parameters[0, :2] == pytest.approx(best.x[:2], abs=0.02)


@pytest.mark.parametrize("plan", ["fixed", "sequential"])
def test_a_large_sample_gives_back_the_law_it_came_from(plan):
    rng = np.random.default_rng(5)
    counts = drawn(rng, 3000, 256) if plan == "fixed" else staged(rng, 3000, (16, 64, 256), 8)
    found = beyond(counts, 256)
    assert (found.a, found.b) == pytest.approx((A, B), rel=0.15)
    assert found.zero_share == pytest.approx(NEVER, abs=0.04)
    assert (found.one_share, found.from_n, found.warning) == (0.0, 256, None)
    truth = law(A, B, NEVER).pass_at_k(np.array([512, 1024, 2048, 4096]))[0]
    assert list(found.pass_at_k) == ["512", "1024", "2048", "4096"]
    for point, true in zip(found.pass_at_k.values(), truth, strict=True):
        assert point.low <= true <= point.high
        assert point.value == pytest.approx(true, abs=0.02)


def test_a_share_always_solved_is_added_where_the_data_ask_for_it():
    rng = np.random.default_rng(2)
    p = np.where(rng.random(400) < 0.3, 1.0, rng.beta(1.0, 3.0, 400))
    found = beyond(counts_of(64, rng.binomial(64, p)), 64)
    assert found.law == "zero- and one-inflated beta-binomial"
    assert found.one_share == pytest.approx(0.3, abs=0.06)
    plain = beyond(drawn(rng, 200, 64), 64)
    assert (plain.law, plain.one_share) == ("zero-inflated beta-binomial", 0.0)


def test_a_law_that_misses_the_curve_is_warned_of():
    # Half the problems at 1/2, half at 1/200: no Beta with a share of zeros has such a bend.
    rng = np.random.default_rng(4)
    found = beyond(counts_of(256, rng.binomial(256, np.repeat([0.5, 0.005], 150))), 256)
    assert found.fit_p < 0.05
    assert found.warning == (
        f"the fitted law does not follow the measured pass@k (p = {found.fit_p:.3f}): take what lies beyond as a sketch"
    )


@pytest.mark.parametrize(
    ("n", "c"),
    [
        (64, [3] * 9),
        (64, [0] * 50),
        (64, [64] * 50),
        (64, [0, 64] * 20),
        (64, [0] * 40 + [1, 2]),
        (4, [0, 1, 2, 3, 4] * 10),
    ],
)
def test_no_law_is_fitted_where_the_counts_cannot_tell(n, c):
    assert beyond(counts_of(n, c), n) is None


def test_no_problem_gives_no_law():
    nothing = counts_of(1, np.array([], dtype=int))
    assert extrapolate(nothing, pass_curve(nothing, (), with_variances=False), 0) is None


@pytest.mark.parametrize("c", [[3] * 40, [1] * 3 + [0] * 60, [511] * 20 + [512] * 20, [0, 0, 1, 511, 512] * 6])
def test_odd_counts_stay_finite_and_rise(c):
    found = beyond(counts_of(512, c), 512)
    numbers = [part for point in found.pass_at_k.values() for part in dataclasses.astuple(point)]
    assert all(math.isfinite(number) and 0 <= number <= 1 + 1e-12 for number in [*numbers, found.fit_p])
    values = [point.value for point in found.pass_at_k.values()]
    assert values == sorted(values)
    assert all(point.low <= point.value <= point.high for point in found.pass_at_k.values())
    assert 0 < found.fit_p <= 1


def test_equal_input_gives_equal_output_and_a_seed_moves_only_the_uncertainty():
    counts = drawn(np.random.default_rng(1), 60, 32)
    first, other = beyond(counts, 32, seed=1), beyond(counts, 32, seed=2)
    assert first == beyond(counts, 32, seed=1)
    assert (first.a, first.b, first.zero_share) == (other.a, other.b, other.zero_share)
    assert first.pass_at_k["64"].value == other.pass_at_k["64"].value
    assert first.pass_at_k["64"] != other.pass_at_k["64"]


def test_ks_are_the_powers_of_two_past_the_largest_measured():
    counts = drawn(np.random.default_rng(1), 40, 100)
    assert list(beyond(counts, 100).pass_at_k) == ["128", "256", "512", "1024"]
    assert list(beyond(counts, 64).pass_at_k) == ["128", "256", "512", "1024"]


def test_unequal_n_is_fitted_problem_by_problem():
    rng = np.random.default_rng(8)
    n = rng.integers(50, 200, 800)
    p = np.where(rng.random(800) < NEVER, 0.0, rng.beta(A, B, 800))
    found = beyond(counts_of(n, rng.binomial(n, p)), 50)
    assert (found.a, found.b, found.zero_share) == pytest.approx((A, B, NEVER), rel=0.35)
