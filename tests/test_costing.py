import pytest

from rlvr_harness.costing import expected_samples, half_width_of_difference, problems_needed, width_at_1
from rlvr_harness.planning import FixedPlan, SequentialPlan


def test_a_fixed_plan_costs_n():
    assert expected_samples(FixedPlan(128)) == 128


def test_a_plan_in_stages_costs_what_a_simulation_of_even_chances_costs():
    # 4 + 4 * P(fewer than 2 of 4) + 8 * P(fewer than 2 of 8) = 4 + 4 * 2/5 + 8 * 2/9
    assert expected_samples(SequentialPlan((4, 8, 16), 2)) == pytest.approx(4 + 8 / 5 + 16 / 9)


def test_a_plan_whose_first_stage_cannot_stop_goes_on_for_sure():
    assert expected_samples(SequentialPlan((4, 8), 8)) == 8


def test_the_default_plan_at_1024_costs_six_percent_of_the_fixed_one():
    plan = SequentialPlan((16, 32, 64, 128, 256, 512, 1024), 8)
    assert expected_samples(plan) / 1024 == pytest.approx(0.0615, abs=5e-4)


def test_the_width_at_1_shrinks_with_samples_to_that_of_the_problems_alone():
    # 2 * 1.96 * sqrt((1/12 + 1/96) / 100) = 0.12002 and 2 * 1.96 * sqrt(1/12 / 100) = 0.11316
    assert width_at_1(100, 16) == pytest.approx(0.12002, abs=1e-5)
    assert width_at_1(100, 10**9) == pytest.approx(0.11316, abs=1e-5)
    assert width_at_1(1, 1) == 1.0


def test_thirty_problems_do_not_show_five_points():
    # 1.96 * sqrt(0.1 / 30) = 0.1132; 0.1 * (1.96 / 0.05)^2 = 153.7
    assert half_width_of_difference(30) == pytest.approx(0.1132, abs=1e-4)
    assert problems_needed() == 154
    assert half_width_of_difference(154) < 0.05 < half_width_of_difference(153)
