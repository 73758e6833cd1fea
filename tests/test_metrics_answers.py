"""Votes, guess floors, verifier error and diversity, from answer counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_harness.errors import TooFewSamples
from rlvr_harness.metrics.disagreement import pass_at_k_floor
from rlvr_harness.metrics.diversity import answer_entropy, duplicate_share, mean_distinct_answers, truncation_share
from rlvr_harness.metrics.guessing import (
    ForeignMatches,
    empirical_floor,
    match_foreign_golds,
    uniform_floor,
)
from rlvr_harness.metrics.majority import maj_at_k_table, vote_draws

MIXED = {"4": (3, 3), "5": (2, 0), "6": (1, 0), None: (2, 0)}
"""Eight samples: three right, three wrong of two kinds, two without an answer."""


def exact_vote(answers, k: int) -> float:
    """maj@k by enumerating every draw of k samples."""
    samples = [answer for answer, (count, _) in answers.items() for _ in range(count)]
    right = {answer for answer, (_, right) in answers.items() if right}
    total = 0.0
    draws = list(itertools.combinations(samples, k))
    for draw in draws:
        votes = [draw.count(answer) for answer in answers if answer is not None]
        tied = [a for a in answers if a is not None and draw.count(a) == max(votes) > 0]
        total += len(right & set(tied)) / len(tied) if tied else 0.0
    return total / len(draws)


def test_votes_agree_with_enumeration():
    ks = [1, 2, 3, 5, 8]
    votes = maj_at_k_table([MIXED], ks, draws=4000, seed=0)[0]
    assert votes == pytest.approx([exact_vote(MIXED, k) for k in ks], abs=0.02)


def test_votes_are_exact_at_1_and_at_n():
    votes = maj_at_k_table([MIXED, {"a": (2, 2), "b": (2, 0)}], [1, 4], draws=3, seed=0)
    assert votes[:, 0].tolist() == [3 / 8, 0.5]
    assert votes[1, 1] == 0.5


def test_samples_without_an_answer_never_win():
    assert maj_at_k_table([{None: (9, 0), "4": (1, 1)}], [10], draws=5, seed=0)[0, 0] == 1.0
    assert maj_at_k_table([{None: (3, 0)}], [1, 2], draws=5, seed=0).tolist() == [[0.0, 0.0]]
    assert maj_at_k_table([{"4": (2, 2), "four": (1, 1)}], [1, 2], draws=5, seed=0).tolist() == [[1.0, 1.0]]


def test_votes_need_as_many_samples_as_voters():
    with pytest.raises(TooFewSamples, match="maj@9 needs 9"):
        maj_at_k_table([MIXED], [9], draws=2, seed=0)


def test_votes_of_a_problem_follow_the_seed():
    first = maj_at_k_table([MIXED], [3], draws=50, seed=1)
    assert np.array_equal(first, maj_at_k_table([MIXED], [3], draws=50, seed=1))


def test_fewer_samples_get_more_draws():
    assert (vote_draws(0), vote_draws(100 * 1024), vote_draws(10_000_000)) == (1000, 78, 32)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=4))
def test_votes_are_chances(kinds):
    answers = {str(row): (count, count * right) for row, (count, right) in enumerate(kinds)}
    n = sum(count for count, _ in kinds)
    votes = maj_at_k_table([answers], range(1, n + 1), draws=20, seed=0)
    assert ((votes >= 0) & (votes <= 1)).all()


def test_guessing_among_1000_answers_gives_12_percent_at_128_and_64_at_1024():
    assert uniform_floor([1 / 1000], [128])[0] == pytest.approx(0.120, abs=5e-4)
    assert uniform_floor([1 / 1000], [1024])[0] == pytest.approx(0.641, abs=5e-4)


def test_uniform_floor_is_the_mean_over_problems():
    # p = 0: 0; p = 1/2 at k = 2: 3/4; p = 1: 1.
    assert uniform_floor([0.0, 0.5, 1.0], [1, 2]) == pytest.approx([0.5, 1.75 / 3])
    with pytest.raises(ValueError, match="between 0 and 1"):
        uniform_floor([1.5], [1])


def test_foreign_golds_are_matched_by_the_samples_of_other_problems():
    golds = {"a": "1", "b": "2", "c": "3"}
    answers = {"a": {"1": (2, 2), "2": (2, 0)}, "b": {"2": (3, 3), None: (1, 0)}, "c": {"1": (4, 0)}}
    pairs = match_foreign_golds(answers, lambda answer, problem_id: answer == golds[problem_id], seed=0)
    # a on b: 2 of 4; a on c: 0; b on a, c: 0; c on a: 4 of 4; c on b: 0.
    assert pairs.n.tolist() == [4] * 6
    assert pairs.c.tolist() == [2, 0, 0, 0, 4, 0]
    assert empirical_floor(pairs, [1, 4]) == pytest.approx([1.5 / 6, 2 / 6])


def test_foreign_problems_are_capped_and_never_the_own():
    asked: list[tuple[str, str]] = []
    answers = {str(row): {str(row): (1, 1)} for row in range(20)}
    pairs = match_foreign_golds(answers, lambda a, p: bool(asked.append((a, p))), seed=0, foreign=5)
    assert len(pairs.n) == len(asked) == 100
    assert all(answer != problem_id for answer, problem_id in asked)
    assert len(set(asked)) == 100


def test_no_other_problem_gives_no_empirical_floor():
    pairs = match_foreign_golds({"a": {"1": (2, 2)}}, lambda a, p: True, seed=0)
    assert empirical_floor(pairs, [1]) is None
    nobody = ForeignMatches(np.array([], dtype=int), np.array([], dtype=int))
    assert empirical_floor(match_foreign_golds({}, lambda a, p: True, seed=0), [1]) is empirical_floor(nobody, [1])


def test_one_false_positive_in_1000_gives_64_percent_at_1024():
    assert pass_at_k_floor(0.001, 1024) == pytest.approx(0.64, abs=2e-3)
    assert (pass_at_k_floor(0.0, 9), pass_at_k_floor(1.0, 9)) == (0.0, 1.0)


@given(st.floats(0, 1), st.integers(1, 2000))
def test_floor_of_a_verifier_lies_between_its_rate_and_k_times_it(rate, k):
    assert rate * (1 - 1e-9) <= pass_at_k_floor(rate, k) <= min(1.0, k * rate * (1 + 1e-9))


def test_entropy_counts_silence_as_one_answer():
    # (1/2, 1/2) gives ln 2, a single answer 0: the mean is ln 2 / 2.
    problems = [{"1": (2, 2), None: (2, 0)}, {"7": (4, 0)}]
    assert answer_entropy(problems) == pytest.approx(math.log(2) / 2)
    assert mean_distinct_answers(problems) == 1.0
    assert answer_entropy([]) is mean_distinct_answers([]) is None


def test_shares_of_samples():
    assert duplicate_share(samples=10, distinct_texts=7) == 0.3
    assert truncation_share(samples=8, truncated=2) == 0.25
    assert duplicate_share(0, 0) is truncation_share(0, 0) is None
