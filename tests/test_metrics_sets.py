"""Coverage quadrants, support metrics, delta_SE and the histogram, on the published figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from rlvr_harness.metrics.coverage import coverage, mcnemar_p
from rlvr_harness.metrics.curve import Curve, ProblemCounts
from rlvr_harness.metrics.histogram import accuracy_histogram
from rlvr_harness.metrics.support import delta_se, delta_se_k, miss_bound, support, support_intervals

AIME24_BASE = {0, 1, 4, 6, 7, 8, 9, 11, 12, *range(14, 20), *range(22, 30)}
AIME24_LOST = {4, 11, 17, 19}


def counts_of(n, c) -> ProblemCounts:
    return ProblemCounts(tuple(str(row) for row in range(len(c))), np.broadcast_to(n, len(c)), np.array(c))


def test_aime24_quadrants_of_the_paper():
    base = counts_of(1024, [3 * (row in AIME24_BASE) for row in range(30)])
    model = counts_of(1024, [400 * (row in AIME24_BASE - AIME24_LOST) for row in range(30)])
    found = coverage(base, model)
    assert (found.k, found.both, found.base_only, found.model_only, found.neither) == (1024, 19, 4, 0, 7)
    assert found.base_only_ids == ("4", "11", "17", "19")
    assert found.model_only_ids == ()
    assert found.mcnemar_p == 0.125
    # 3 of 1024: [0.0006, 0.0085]; 0 of 1024: [0, 0.0036].
    assert found.undecided_ids == ("4", "11", "17", "19")


def test_math500_quadrants_of_the_paper():
    base = counts_of(128, [64] * 462 + [64] * 18 + [0] * 5 + [0] * 15)
    model = counts_of(128, [64] * 462 + [0] * 18 + [64] * 5 + [0] * 15)
    found = coverage(base, model)
    assert (found.both, found.base_only, found.model_only, found.neither) == (462, 18, 5, 15)
    assert found.mcnemar_p == pytest.approx(0.0106, abs=5e-5)
    assert found.undecided_ids == ()


def test_unequal_n_is_allowed_and_k_is_the_larger():
    found = coverage(counts_of([4, 8], [1, 0]), counts_of([4, 4], [0, 0]))
    assert (found.k, found.base_only_ids, found.neither) == (8, ("0",), 1)


def test_mcnemar_without_discordant_problems_is_1():
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(3, 3) == 1.0
    assert mcnemar_p(5, 0) == mcnemar_p(0, 5) == 2 / 2**5


def test_coverage_of_other_problems_is_refused():
    with pytest.raises(ValueError, match="same problems"):
        coverage(counts_of(4, [1]), counts_of(4, [1, 2]))


@pytest.mark.parametrize(
    ("both", "model_only", "base_only", "srr", "ndr", "sds", "nscr"),
    [
        (19, 0, 4, 0.826, 0, 0, -0.174),
        (462, 5, 18, 0.9625, 0.0107, 0.0212, -0.0268),
        (2400, 36, 163, 0.936, 0.0148, 0.0291, -0.049),
        (2418, 8, 23, 0.991, 0.0033, 0.0066, -0.0061),
        (761, 83, 104, 0.880, 0.098, 0.177, -0.022),
        (25, 0, 3, 0.893, 0, 0, -0.107),
        (10, 2, 2, 0.833, 0.167, 0.278, 0),
        (503, 49, 25, 0.953, 0.089, 0.162, 0.042),
    ],
)
def test_support_rows_of_the_papers(both, model_only, base_only, srr, ndr, sds, nscr):
    found = support(both, model_only, base_only)
    for value, printed in zip((found.srr, found.ndr, found.sds, found.nscr), (srr, ndr, sds, nscr), strict=True):
        assert value == pytest.approx(printed, abs=6e-4)


def test_empty_denominators_give_none():
    nothing = support(both=0, model_only=0, base_only=0)
    assert (nothing.srr, nothing.ndr, nothing.sds, nothing.nscr) == (None, None, None, None)
    lost = support(both=0, model_only=0, base_only=2)
    assert (lost.srr, lost.ndr, lost.sds, lost.nscr) == (0.0, None, None, -1.0)
    swapped = support(both=0, model_only=1, base_only=1)
    assert (swapped.srr, swapped.ndr, swapped.sds, swapped.nscr) == (0.0, 1.0, 0.0, 0.0)


def test_support_intervals_of_plain_rates_are_jeffreys_and_exact_at_the_ends():
    found = support_intervals(both=20, model_only=3, base_only=5, neither=2, seed=0)
    # Jeffreys: Beta(20.5, 5.5) and Beta(3.5, 20.5).
    for name, (won, lost) in {"srr": (20.5, 5.5), "ndr": (3.5, 20.5)}.items():
        ends = [float(special.betaincinv(won, lost, tail)) for tail in (0.025, 0.975)]
        assert [found[name]["low"], found[name]["high"]] == pytest.approx(ends, abs=0.005)
    at_the_ends = support_intervals(both=10, model_only=0, base_only=0, neither=0, seed=0)
    # Clopper-Pearson for 10 of 10 and 0 of 10, here with 10.5: 0.025^(1/10.5) = 0.704.
    assert at_the_ends["srr"] == pytest.approx({"low": 0.025 ** (1 / 10.5), "high": 1.0}, abs=0.01)
    assert at_the_ends["ndr"] == pytest.approx({"low": 0.0, "high": 1 - 0.025 ** (1 / 10.5)}, abs=0.01)
    assert support_intervals(both=0, model_only=0, base_only=1, neither=0, seed=0)["ndr"] is None


def test_support_intervals_follow_the_seed_and_all_four_are_given():
    first, other = (support_intervals(19, 0, 4, 7, seed) for seed in (1, 2))
    assert first == support_intervals(19, 0, 4, 7, 1) != other
    assert list(first) == ["srr", "ndr", "sds", "nscr"]
    # AIME24: the base alone solves 4, the model none alone; that the support shrank is all but sure.
    assert first["nscr"]["high"] < 0.05
    assert first["sds"]["low"] == 0.0
    assert set(support_intervals(0, 0, 0, 5, 0).values()) == {None}


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(0, 40)] * 4), st.integers(0, 9))
def test_support_intervals_hold_their_value_within_its_range(kinds, seed):
    values, found = support(*kinds[:3]), support_intervals(*kinds, seed)
    for name, lowest in (("srr", 0), ("ndr", 0), ("sds", 0), ("nscr", -1)):
        value = getattr(values, name)
        assert (value is None) == (found[name] is None)
        assert value is None or lowest <= found[name]["low"] <= value <= found[name]["high"] <= 1


def test_1024_misses_bound_the_chance_by_3_in_1000():
    assert miss_bound(1024, 0.05) == pytest.approx(2.9e-3, abs=5e-5)
    assert miss_bound(1, 0.05) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("base_at_256", "model_at_1", "gap"), [(0.672, 0.314, 0.358), (0.691, 0.281, 0.410), (0.962, 0.756, 0.206)]
)
def test_delta_se_figures_of_the_paper(base_at_256, model_at_1, gap):
    ks = np.array([1, 256, 1024])
    base = Curve(("a",), ks, np.array([[0.1, base_at_256, 0.99]]))
    model = Curve(("a",), ks, np.array([[model_at_1, 0.65, 0.66]]))
    found = delta_se(base, model)
    assert found.ks.tolist() == [256]
    assert found.values[0, 0] == pytest.approx(gap)


ALGORITHMS = {
    # pass@1 and pass@256 in percent on Omni-MATH train, test and MATH500: arXiv:2504.13837, tables 3 and 4.
    "Qwen2.5-7B": ((9.9, 67.2), (10.2, 69.1), (34.5, 96.2)),
    "GRPO": ((26.1, 66.3), (25.1, 68.3), (74.4, 97.2)),
    "PPO": ((27.2, 65.8), (26.8, 69.2), (75.2, 97.2)),
    "ReMax": ((24.4, 65.5), (23.8, 67.5), (73.5, 96.6)),
    "RLOO": ((28.6, 66.4), (28.1, 69.2), (75.0, 97.4)),
    "Reinforce++": ((28.2, 67.7), (28.0, 69.7), (75.4, 96.8)),
    "DAPO": ((31.4, 66.1), (26.5, 67.0), (75.6, 96.4)),
    "GRPO, step 300": ((33.6, 65.3), (27.1, 66.6), (75.4, 96.0)),
    "GRPO, step 450": ((42.5, 64.3), (28.3, 63.9), (76.3, 95.4)),
}
GAPS = {
    # Base pass@256 less the model's pass@1: 67.2 - 26.1 = 41.1, 69.1 - 25.1 = 44.0, 96.2 - 74.4 = 21.8, and so on.
    "GRPO": (41.1, 44.0, 21.8),
    "PPO": (40.0, 42.3, 21.0),
    "ReMax": (42.8, 45.3, 22.7),
    "RLOO": (38.6, 41.0, 21.2),
    "Reinforce++": (39.0, 41.1, 20.8),
    "DAPO": (35.8, 42.6, 20.6),
    "GRPO, step 300": (33.6, 42.0, 20.8),
    "GRPO, step 450": (24.7, 40.8, 19.9),
}


@pytest.mark.parametrize("algorithm", GAPS)
@pytest.mark.parametrize("column", range(3))
def test_delta_se_of_every_algorithm_of_the_paper(algorithm, column):
    curves = [
        Curve(("a",), np.array([1, 256]), np.array([ALGORITHMS[name][column]]) / 100)
        for name in ("Qwen2.5-7B", algorithm)
    ]
    assert 100 * delta_se(*curves).values[0, 0] == pytest.approx(GAPS[algorithm][column])


def test_delta_se_uses_256_or_the_largest_k():
    assert (delta_se_k(1024), delta_se_k(256), delta_se_k(64)) == (256, 256, 64)


def test_bins_are_closed_on_the_right():
    # 0 | 1/10 | 3/10 (0.3 * 10 < 3 in no float) | 7/10 | 9/10 | 10/10, and 1/1000 just above 0; n = 0 is left out.
    n, c = np.array([10, 10, 10, 10, 10, 10, 1000, 0]), np.array([0, 1, 3, 7, 9, 10, 1, 0])
    assert accuracy_histogram(n, c) == [1, 2, 0, 1, 0, 0, 0, 1, 0, 1, 1]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=20))
def test_each_sampled_problem_is_in_one_bin(pairs):
    n = np.array([max(pair) for pair in pairs], dtype=np.int64)
    c = np.array([pair[1] for pair in pairs], dtype=np.int64)
    bins = accuracy_histogram(n, c)
    assert (len(bins), sum(bins), bins[0]) == (11, len(pairs), int((c == 0).sum()))
