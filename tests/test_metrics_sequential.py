"""The sequential plan's estimators against counting every sequence, and in exact expectation over all ways to stop."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from rlvr_harness.errors import TooFewSamples
from rlvr_harness.metrics.coverage import coverage
from rlvr_harness.metrics.curve import ProblemCounts, Stopping
from rlvr_harness.metrics.disagreement import PairedCounts, pass_at_k_band
from rlvr_harness.metrics.estimates import accuracy, cover, g_pass, histogram, pass_curve, pass_hat
from rlvr_harness.metrics.intervals import clopper_pearson, sampling_interval
from rlvr_harness.metrics.pass_at_k import fixed_curve, pass_at_k, pass_at_k_variance, pass_hat_k
from rlvr_harness.metrics.reliability import g_pass_at_k
from rlvr_harness.metrics.sequential import full_variances, is_reachable, success_interval

TINY = ((2, 4, 7), 2)
"""Stages and stop_after of a plan small enough to write out its 2^7 sequences."""


def stopped(stages, stop_after, *ends) -> ProblemCounts:
    """Counts of problems that ended after (number of stages, c), by the plan without voids."""
    reached = tuple(tuple(stages[:stage]) for stage, _ in ends)
    n, c = np.array([each[-1] for each in reached]), np.array([right for _, right in ends])
    return ProblemCounts(tuple(map(str, range(len(n)))), n, c, Stopping(tuple(stages), stop_after, reached))


def ending(sequence, stages, stop_after):
    """(number of stages, c) where a sequence of outcomes stops."""
    for stage, end in enumerate(stages, start=1):
        if sum(sequence[:end]) >= stop_after or stage == len(stages):
            return stage, sum(sequence[:end])
    raise AssertionError


def chances_of_ends(stages, stop_after, p) -> dict[tuple[int, int], float]:
    """(number of stages, c) -> chance of stopping there, by convolving binomials stage by stage."""
    alive, ends, seen = {0: 1.0}, {}, 0
    for stage, end in enumerate(stages, start=1):
        block = stats.binom.pmf(np.arange(end - seen + 1), end - seen, p)
        here = defaultdict(float)
        for before, chance in alive.items():
            for more, share in enumerate(block):
                here[before + more] += chance * share
        last = stage == len(stages)
        ends |= {(stage, c): chance for c, chance in here.items() if last or c >= stop_after}
        alive, seen = {c: chance for c, chance in here.items() if c < stop_after}, end
    return ends


@pytest.mark.parametrize("k", range(1, 8))
def test_every_estimate_of_a_tiny_plan_is_a_share_of_its_sequences(k):
    stages, stop_after = TINY
    expected = {}
    for sequence in itertools.product((0, 1), repeat=7):
        stage, c = ending(sequence, stages, stop_after)
        drawn = sequence[: stages[stage - 1]]
        # A stopped problem has a right sample among the first k > n, whatever would have followed.
        missed = not any(drawn[:k]) and (k <= len(drawn) or c < stop_after)
        expected.setdefault((stage, c), set()).add((drawn, missed))
    ends = list(expected)
    values = pass_curve(stopped(stages, stop_after, *ends), [k]).values[:, 0]
    for value, end in zip(values, ends, strict=True):
        misses = [missed for _, missed in expected[end]]
        assert value == pytest.approx(float(1 - Fraction(sum(misses), len(misses))), abs=1e-15)


@pytest.mark.parametrize("stages", [(4, 8, 16), (16, 64, 256), (16, 32, 64, 128, 256, 512, 1024)])
@pytest.mark.parametrize("stop_after", [1, 2, 4, 8])
def test_the_expectation_over_all_ends_is_exactly_pass_at_k(stages, stop_after):
    ks = np.array([k for k in (1, 2, 3, 4, 5, 16, 17, 64, 100, 256, 1024) if k <= stages[-1]])
    for p in (0.0, 0.003, 0.02, 0.1, 0.5, 0.97):
        chances = chances_of_ends(stages, stop_after, p)
        values = pass_curve(stopped(stages, stop_after, *chances), ks, with_variances=False).values
        expected = np.array(list(chances.values())) @ values
        assert np.abs(expected - (1 - (1 - p) ** ks)).max() < 1e-12


def test_voids_that_shorten_stages_leave_the_expectation_exact():
    stages, shortened, stop_after = (16, 32, 64), (13, 30, 57), 3
    for p in (0.01, 0.2):
        chances = chances_of_ends(shortened, stop_after, p)
        counts = stopped(stages, stop_after, *chances)
        reached = tuple(shortened[:stage] for stage, _ in chances)
        shorter = ProblemCounts(
            counts.problem_ids,
            np.array([ends[-1] for ends in reached]),
            counts.c,
            Stopping(stages, stop_after, reached),
        )
        assert shorter.reach.min() == 57
        ks = np.array([1, 13, 14, 57])
        values = pass_curve(shorter, ks).values
        assert np.array(list(chances.values())) @ values == pytest.approx(1 - (1 - p) ** ks, abs=1e-13)


def test_a_stage_of_voids_alone_changes_nothing():
    with_void = ProblemCounts(("a",), np.array([20]), np.array([3]), Stopping((4, 8, 24), 2, ((4, 4, 20),)))
    without = ProblemCounts(("a",), np.array([20]), np.array([3]), Stopping((4, 24), 2, ((4, 20),)))
    ks = [1, 4, 5, 20]
    assert pass_curve(with_void, ks).values.tolist() == pass_curve(without, ks).values.tolist()
    empty_start = ProblemCounts(("a",), np.array([4]), np.array([3]), Stopping((4, 8), 2, ((0, 4),)))
    assert pass_curve(empty_start, [1, 4]).values[0].tolist() == [0.75, 1.0]
    assert empty_start.first.tolist() == [4]


def test_one_stage_is_the_estimator_of_chen_et_al_to_the_last_bit():
    c = np.arange(33)
    counts = stopped((32,), 8, *((1, right) for right in c.tolist()))
    fixed = fixed_curve(ProblemCounts(counts.problem_ids, counts.n, counts.c), range(1, 33))
    found = pass_curve(counts, range(1, 33))
    assert np.array_equal(found.values, fixed.values)
    assert found.variances == pytest.approx(fixed.variances, abs=1e-13)


@pytest.mark.parametrize("stop_after", [17, 5000])
def test_a_limit_above_n_never_stops_and_equals_the_full_n(stop_after):
    counts = stopped((4, 8, 16), stop_after, *((3, c) for c in range(17)))
    fixed = fixed_curve(ProblemCounts(counts.problem_ids, counts.n, counts.c), range(1, 17))
    found = pass_curve(counts, range(1, 17))
    assert found.values == pytest.approx(fixed.values, abs=1e-13)
    assert found.variances == pytest.approx(fixed.variances, abs=1e-12)


def test_problems_all_solved_at_the_first_stage_or_never_solved_have_plain_estimates():
    counts = stopped((4, 8, 16), 2, (1, 2), (1, 4), (3, 0))
    values = pass_curve(counts, [1, 2, 3, 16]).values
    assert values == pytest.approx(np.array([[1 / 2, 5 / 6, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]))
    assert counts.reach.tolist() == [16, 16, 16]


def test_at_k_n_the_variance_is_that_of_all_samples():
    stages, stop_after, k = (16, 64, 256), 4, 256
    never = stopped(stages, stop_after, (3, 0), (3, 3))
    expected = pass_at_k_variance(np.array([256, 256]), np.array([0, 3]), [k])
    assert pass_curve(never, [k]).variances == pytest.approx(expected, rel=1e-9)
    # A stopped problem: the same formula at its own chance of success, (5 + 1/2) / (16 + 1).
    stopped_early = stopped(stages, stop_after, (1, 5))
    missed = (1 - 5.5 / 17) ** k
    assert pass_curve(stopped_early, [k]).variances[0, 0] == pytest.approx(missed * (1 - missed), abs=1e-12)
    assert full_variances(stopped_early, [k])[0, 0] == pytest.approx(missed * (1 - missed), abs=1e-12)


def test_the_variance_is_that_over_all_ends():
    stages, stop_after, ks = (4, 8, 16), 2, [1, 4, 6, 16]
    counts = stopped(stages, stop_after, (2, 3))
    chances = chances_of_ends(stages, stop_after, 3.5 / 9)
    values = pass_curve(stopped(stages, stop_after, *chances), ks).values
    weights = np.array(list(chances.values()))
    expected = weights @ values**2 - (weights @ values) ** 2
    assert pass_curve(counts, ks).variances[0] == pytest.approx(expected, abs=1e-13)


def test_more_than_the_samples_of_an_unsolved_problem_is_refused():
    counts = stopped((4, 8, 16), 2, (1, 2), (2, 1))
    assert counts.reach.tolist() == [16, 8]
    with pytest.raises(TooFewSamples, match="pass@9 needs 9 verified samples of every problem that did not stop"):
        pass_curve(counts, [9])


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_pass_hat_and_g_pass_are_exact_up_to_the_first_stage(p):
    stages, stop_after = (4, 8, 16), 2
    chances = chances_of_ends(stages, stop_after, p)
    counts, weights = stopped(stages, stop_after, *chances), np.array(list(chances.values()))
    assert counts.first.min() == 4
    assert weights @ pass_hat(counts, [1, 2, 4]).values == pytest.approx(p ** np.array([1, 2, 4]), abs=1e-13)
    at_least_two = 1 - (1 - p) ** 4 - 4 * p * (1 - p) ** 3
    assert weights @ g_pass(counts, 4, [Fraction(1, 2)]) == pytest.approx(at_least_two, abs=1e-13)


def test_one_stage_has_the_fixed_pass_hat_and_g_pass():
    counts = stopped((6,), 2, (1, 0), (1, 3), (1, 6))
    assert pass_hat(counts, [2]).values[:, 0] == pytest.approx([pass_hat_k(6, c, 2) for c in (0, 3, 6)])
    fixed = ProblemCounts(counts.problem_ids, counts.n, counts.c)
    assert g_pass(counts, 3, [Fraction(2, 3)]) == pytest.approx(g_pass_at_k(fixed, 3, [Fraction(2, 3)]))


def test_accuracy_is_unbiased_where_the_share_of_right_samples_is_not():
    stages, stop_after, p = (4, 8, 16), 2, 0.2
    chances = chances_of_ends(stages, stop_after, p)
    counts, weights = stopped(stages, stop_after, *chances), np.array(list(chances.values()))
    assert weights @ accuracy(counts) == pytest.approx(p, abs=1e-13)
    assert weights @ (counts.c / counts.n) > p + 0.03


def test_cover_and_histogram_follow_the_unbiased_accuracy():
    # Stages 2, 4, one right stops: at (2, 1) accuracy 1/2; at (4, 2) the first two were wrong, so the estimate is 0.
    counts = stopped((2, 4), 1, (1, 1), (1, 2), (2, 2), (2, 0))
    assert accuracy(counts).tolist() == [0.5, 1.0, 0.0, 0.0]
    assert cover(counts, [Fraction(1, 2), Fraction(1)]).tolist() == [[1, 0], [1, 1], [0, 0], [0, 0]]
    assert histogram(counts) == [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_the_exact_interval_of_one_stage_is_clopper_and_pearsons():
    counts = stopped((20,), 3, *((1, c) for c in range(21)))
    found, expected = success_interval(counts), clopper_pearson(counts.c, counts.n)
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


@pytest.mark.parametrize(("stages", "stop_after"), [((4, 8, 16), 1), ((4, 8, 16), 3), ((16, 64), 8)])
def test_the_exact_interval_covers_in_19_of_20_cases_whatever_the_chance(stages, stop_after):
    ends = list(chances_of_ends(stages, stop_after, 0.5))
    interval = success_interval(stopped(stages, stop_after, *ends))
    for p in np.linspace(0.004, 0.996, 63):
        chances = chances_of_ends(stages, stop_after, p)
        assert list(chances) == ends
        inside = (interval.low <= p) & (p <= interval.high)
        assert np.array(list(chances.values())) @ inside >= 0.95 - 1e-9


def test_a_problem_that_stopped_early_is_surer_than_one_that_stopped_late():
    interval = success_interval(stopped((8, 16, 32), 4, (1, 6), (1, 4), (2, 4), (3, 4), (3, 0)))
    assert (np.diff(interval.low) < 0).all()
    assert (np.diff(interval.high) < 0).all()
    assert (interval.low[-1], interval.high[-1]) == (0.0, pytest.approx(1 - 0.025 ** (1 / 32)))


def test_coverage_counts_a_stopped_problem_as_solved_at_the_full_n():
    base = ProblemCounts(("0", "1", "2"), np.array([1024] * 3), np.array([0, 500, 3]))
    model = stopped((16, 1024), 8, (1, 9), (2, 0), (2, 1))
    found = coverage(base, model)
    assert (found.k, found.both, found.base_only, found.model_only) == (1024, 1, 1, 1)
    # 9 of the first 16 against 0 of 1,024, and 500 of 1,024 against 0: neither pair of intervals overlaps.
    assert found.undecided_ids == ()


def test_estimates_of_a_population_agree_with_all_samples_at_a_fraction_of_them():
    rng = np.random.default_rng(11)
    stages, stop_after, problems, ks = (16, 32, 64, 128, 256), 8, 400, np.array([1, 4, 16, 64, 256])
    p = rng.beta(0.7, 1.0, problems)
    outcomes = rng.random((problems, 256)) < p[:, None]
    counts = stopped(stages, stop_after, *(ending(row.astype(int), stages, stop_after) for row in outcomes))
    plan = pass_curve(counts, ks)
    fixed = fixed_curve(ProblemCounts(counts.problem_ids, np.full(problems, 256), outcomes.sum(axis=1)), ks)
    truth = (1 - (1 - p[:, None]) ** ks).mean(axis=0)
    errors = np.sqrt(plan.variances.sum(axis=0)) / problems
    assert (np.abs(plan.values.mean(axis=0) - truth) < 4 * errors).all()
    ours, theirs = (sampling_interval(each.values.mean(axis=0), each.variances) for each in (plan, fixed))
    assert ((ours.low <= theirs.high) & (theirs.low <= ours.high)).all()
    assert counts.n.sum() < 0.3 * 256 * problems
    assert plan.values[:, -1].tolist() == fixed.values[:, -1].tolist()


def test_a_curve_rises_with_k_and_stays_within_0_and_1():
    stages, stop_after = (4, 8, 16), 3
    ends = list(chances_of_ends(stages, stop_after, 0.5))
    values = pass_curve(stopped(stages, stop_after, *ends), range(1, 17), with_variances=False).values
    assert (np.diff(values) >= -1e-15).all()
    assert (values >= 0).all()
    assert (values <= 1).all()


def test_thousands_of_samples_and_large_limits_do_not_overflow():
    stages = (512, 1024, 4096)
    counts = stopped(stages, 400, (1, 512), (2, 399 + 512), (2, 400), (3, 1), (3, 399 + 3072))
    curve = pass_curve(counts, [1, 600, 4096])
    assert np.isfinite(curve.values).all()
    assert np.isfinite(curve.variances).all()
    # One right of 4,096, which cannot have stopped anything: pass@600 = 600 / 4,096.
    assert curve.values[3] == pytest.approx([1 / 4096, 600 / 4096, 1.0], rel=1e-9)


@pytest.mark.parametrize(
    ("reached", "stop_after", "c", "possible"),
    [((4,), 2, 4, True), ((4, 8), 2, 5, True), ((4, 8), 2, 6, False), ((4, 8), 9, 8, True), ((), 2, 0, False)],
)
def test_what_a_plan_can_end_with(reached, stop_after, c, possible):
    # Through stages 4 and 8 with at most one right of the first 4: at most 1 + 4.
    assert is_reachable(reached, stop_after, c) is possible


def test_the_band_of_two_verifiers_is_exact_above_and_never_too_high_below():
    stages, stop_after, ks = (2, 4, 6), 2, (1, 2, 4, 6)
    chance_of = {"first": 0.15, "both": 0.2, "second": 0.1, "none": 0.55}
    ends = defaultdict(float)
    seen_both = dict.fromkeys(ks, 0.0)
    for sequence in itertools.product(chance_of, repeat=6):
        chance = math.prod(chance_of[outcome] for outcome in sequence)
        stage, c = ending([outcome in ("first", "both") for outcome in sequence], stages, stop_after)
        drawn = sequence[: stages[stage - 1]]
        both = drawn.count("both")
        ends[stages[:stage], c, both + drawn.count("second"), both] += chance
        for k in ks:
            seen_both[k] += chance * ("both" in drawn[:k])
    low, high = dict.fromkeys(ks, 0.0), dict.fromkeys(ks, 0.0)
    for (reached, first, second, both), chance in ends.items():
        counts = PairedCounts(*(np.array([count]) for count in (reached[-1], first, second, both)))
        for k, point in pass_at_k_band(counts, 6, Stopping(stages, stop_after, (reached,))).items():
            low[k] += chance * point.low
            high[k] += chance * point.high
    for k in ks:
        assert high[k] == pytest.approx(1 - 0.55**k, abs=1e-12)
        assert low[k] == pytest.approx(seen_both[k], abs=1e-12)
        assert low[k] <= 1 - 0.8**k + 1e-12
    assert low[2] == pytest.approx(1 - 0.8**2)


def test_one_stage_gives_the_band_of_a_fixed_n():
    counts = PairedCounts(*map(np.array, ([8, 8], [3, 0], [4, 1], [2, 0])))
    fixed, staged = pass_at_k_band(counts, 8), pass_at_k_band(counts, 8, Stopping((8,), 2, ((8,), (8,))))
    for k in (1, 2, 4, 8):
        assert staged[k].low == pytest.approx(fixed[k].low)
        assert staged[k].high == pytest.approx(fixed[k].high)
    assert fixed[1].low == pytest.approx(pass_at_k(8, 2, 1) / 2)
