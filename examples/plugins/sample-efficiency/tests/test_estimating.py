from itertools import permutations

import pytest

from rlvr_sample_efficiency.estimating import exact_interval, expected_at, expected_samples, mean_interval


def by_enumeration(n, c, budget):
    """Mean place of the first right one over all orders of n samples, at most the budget."""
    orders = list(permutations([1] * c + [0] * (n - c)))
    places = [order.index(1) + 1 if 1 in order else n + 1 for order in orders]
    return sum(min(place, budget) for place in places) / len(places)


def test_one_right_of_four_costs_ten_quarters():
    assert expected_samples(4, 1, 4) == pytest.approx((1 + 2 + 3 + 4) / 4)


def test_one_right_of_four_with_a_budget_of_two():
    assert expected_samples(4, 1, 2) == pytest.approx(1 + 3 / 4)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_estimate_is_the_mean_over_all_orders(n):
    for c in range(n + 1):
        for budget in range(1, n + 1):
            assert expected_samples(n, c, budget) == pytest.approx(by_enumeration(n, c, budget))


def test_no_right_sample_costs_the_budget_and_only_right_ones_cost_one():
    assert expected_samples(8, 0, 8) == 8
    assert expected_samples(8, 8, 8) == 1


@pytest.mark.parametrize("budget", [0, 9])
def test_a_budget_beyond_the_samples_is_refused(budget):
    with pytest.raises(ValueError, match="needs at least as many samples, there are 8"):
        expected_samples(8, 1, budget)


def test_the_estimator_is_unbiased():
    n, p, budget = 6, 0.3, 4
    from math import comb

    mean = sum(comb(n, c) * p**c * (1 - p) ** (n - c) * expected_samples(n, c, budget) for c in range(n + 1))
    assert mean == pytest.approx(expected_at(p, budget))
    assert expected_at(p, budget) == pytest.approx(sum((1 - p) ** j for j in range(budget)))


def test_the_interval_of_a_problem_holds_its_estimate_and_ends_at_the_edges():
    low, high = exact_interval(8, 2, 8)
    assert low < expected_samples(8, 2, 8) < high
    assert exact_interval(8, 0, 8)[1] == 8
    assert exact_interval(8, 8, 8)[0] == 1


def test_equal_problems_leave_no_doubt_about_their_mean():
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
    assert mean_interval([1.0, 5.0, 8.0]) == mean_interval([1.0, 5.0, 8.0])
