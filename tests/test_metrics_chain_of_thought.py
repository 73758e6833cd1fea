"""Chains of thought: the share that holds, and pass@k that counts only right answers with right chains."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_harness.metrics.chain_of_thought import ChainMarks, chain_rate, cot_pass_at_k
from rlvr_harness.metrics.curve import ProblemCounts, Stopping
from rlvr_harness.metrics.intervals import problem_interval, problem_weights
from rlvr_harness.metrics.pass_at_k import pass_at_k, pass_at_k_table


def counts_of(n, c) -> ProblemCounts:
    return ProblemCounts(tuple(str(row) for row in range(len(c))), np.full(len(c), n), np.array(c))


def marks_of(marked, right) -> ChainMarks:
    return ChainMarks(np.array(marked, dtype=np.int64), np.array(right, dtype=np.int64))


def points_of(counts, marks, ks, seed=0):
    return cot_pass_at_k(counts, marks, ks, problem_weights(len(counts.n), seed, draws=500))


def test_the_rate_is_the_share_of_marked_chains():
    found = chain_rate(marks_of([4, 0, 6], [2, 0, 5]))
    assert (found.value, found.marked, found.problems) == (0.7, 10, 2)
    assert 0 <= found.low < 0.7 < found.high <= 1


def test_without_marks_there_is_no_rate():
    assert chain_rate(marks_of([0, 0], [0, 0])) is chain_rate(marks_of([], [])) is None


def test_marks_that_all_agree_count_as_one_a_problem():
    # 5 problems of 9 marks each, all right: Clopper-Pearson for 5 of 5, 0.025^(1/5) = 0.478.
    found = chain_rate(marks_of([9] * 5, [9] * 5))
    assert (found.low, found.high) == (pytest.approx(0.025**0.2), 1.0)
    # One problem, 3 of 4: as one mark; half of it right gives no more than [0.0.., 1).
    alone = chain_rate(marks_of([4], [3]))
    assert alone.high - alone.low > 0.9


def test_chains_alike_within_problems_widen_the_interval():
    alike, mixed = chain_rate(marks_of([8] * 20, [8, 0] * 10)), chain_rate(marks_of([8] * 20, [4] * 20))
    assert alike.value == mixed.value == 0.5
    assert alike.high - alike.low > 2 * (mixed.high - mixed.low)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_the_rate_lies_in_its_interval(pairs):
    marked = [max(pair) for pair in pairs]
    found = chain_rate(marks_of(marked, [pair[1] for pair in pairs]))
    assert (found is None) == (sum(marked) == 0)
    assert found is None or 0 <= found.low <= found.value <= found.high <= 1


def test_fully_marked_samples_give_plain_pass_at_k_of_the_right_chains():
    # (8, 4 right answers, 2 right chains) and (8, 3, 0): 1 - C(6,k)/C(8,k) and 0.
    counts, marks = counts_of(8, [4, 3]), marks_of([4, 3], [2, 0])
    found = points_of(counts, marks, (1, 2, 8))
    assert [found[k].value for k in (1, 2, 8)] == pytest.approx([0.125, pass_at_k(8, 2, 2) / 2, 0.5])
    assert {(point.kind, point.at_least) for point in found.values()} == {("exact", False)}
    table = pass_at_k_table(counts.n, marks.right, (1, 2, 8))
    bounds = problem_interval(table, problem_weights(2, 0, draws=500))
    assert [found[k].low for k in (1, 2, 8)] == pytest.approx(bounds.low)


def test_fully_marked_samples_are_unbiased_at_a_fixed_n():
    n, p, q = 5, 0.4, 0.6
    for k in (1, 2, 5):
        mean = 0.0
        for c in range(n + 1):
            for r in range(c + 1):
                chance = math.comb(n, c) * p**c * (1 - p) ** (n - c) * math.comb(c, r) * q**r * (1 - q) ** (c - r)
                mean += chance * points_of(counts_of(n, [c]), marks_of([c], [r]), (k,))[k].value
        assert mean == pytest.approx(1 - (1 - p * q) ** k, abs=1e-12)


def test_a_sequential_plan_is_unbiased_in_its_first_stage_and_a_floor_beyond():
    stages, stop_after, chance_of = (2, 4), 2, {"good": 0.3, "lucky": 0.2, "wrong": 0.5}
    ends = defaultdict(float)
    for sequence in itertools.product(chance_of, repeat=4):
        right = [outcome != "wrong" for outcome in sequence]
        stage = 1 if sum(right[:2]) >= stop_after else 2
        drawn = sequence[: stages[stage - 1]]
        chance = math.prod(chance_of[outcome] for outcome in sequence)
        ends[stage, sum(right[: len(drawn)]), drawn.count("good")] += chance
    mean = dict.fromkeys((1, 2, 3, 4), 0.0)
    for (stage, c, r), chance in ends.items():
        n = stages[stage - 1]
        stopping = Stopping(stages, stop_after, (stages[:stage],))
        counts = ProblemCounts(("0",), np.array([n]), np.array([c]), stopping)
        found = points_of(counts, marks_of([c], [r]), (1, 2, 3, 4))
        assert [found[k].at_least for k in (1, 2, 3, 4)] == [False, False, True, True]
        for k in mean:
            mean[k] += chance * found[k].value
    for k in (1, 2):
        assert mean[k] == pytest.approx(1 - 0.7**k, abs=1e-12)
    for k in (3, 4):
        assert 1 - 0.7**2 < mean[k] <= 1 - 0.7**k


def test_unmarked_samples_are_filled_in_by_marks_of_the_problem_and_the_model():
    # Rate 3/4. Problem 0: both of its right answers marked. Problem 1: 1 of 2 marked, right. The other is right with
    # chance (1 + 3/4) / 2 = 7/8. Problem 2: one right answer, no mark, chance 3/4.
    counts, marks = counts_of(4, [3, 2, 1]), marks_of([3, 1, 0], [2, 1, 0])
    found = points_of(counts, marks, (1, 4))
    assert found[1].value == pytest.approx((2 / 4 + (1 + 7 / 8) / 4 + 3 / 4 / 4) / 3)
    assert found[4].value == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found[4].kind == "estimated"
    assert all(0 <= point.low <= point.value <= point.high <= 1 for point in found.values())


def test_fewer_marks_leave_more_uncertain():
    counts = counts_of(16, [4] * 30)
    widths = []
    for marked in (1, 4):
        rng = np.random.default_rng(0)
        each = rng.binomial(1, 0.6, 30)
        point = points_of(counts, marks_of([marked] * 30, each * marked), (1,))[1]
        widths.append(point.high - point.low)
    assert widths[0] > 0.9 * widths[1] > 0


def test_nothing_marked_and_something_right_says_nothing():
    assert points_of(counts_of(4, [2, 0]), marks_of([0, 0], [0, 0]), (1,)) == {}
    none_right = points_of(counts_of(4, [0, 0]), marks_of([0, 0], [0, 0]), (1, 4))
    assert (none_right[4].value, none_right[4].kind) == (0.0, "exact")


@pytest.mark.parametrize(("marked", "right"), [([3], [1]), ([1], [2]), ([1], [-1])])
def test_impossible_marks_are_a_bug(marked, right):
    with pytest.raises(ValueError, match="marks need"):
        points_of(counts_of(4, [2]), marks_of(marked, right), (1,))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=8))
def test_right_chains_are_never_more_than_right_answers(triples):
    rows = [sorted(triple) for triple in triples]
    counts, marks = (
        counts_of(12, [row[2] for row in rows]),
        marks_of([row[1] for row in rows], [row[0] for row in rows]),
    )
    answers = pass_at_k_table(counts.n, counts.c, (1, 3, 12)).mean(axis=0)
    for above, (_, point) in zip(answers, sorted(points_of(counts, marks, (1, 3, 12)).items()), strict=False):
        assert -1e-12 <= point.low <= point.value <= min(above + 1e-9, point.high + 1e-12)
