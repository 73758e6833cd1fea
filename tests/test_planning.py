import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_harness import UsageError
from rlvr_harness.planning import FixedPlan, estimate_cost, sample_seed, work_units
from rlvr_harness.presets import tasks_of
from rlvr_harness.records import Problem, Tally
from rlvr_harness.run_spec import parse_spec


def problems(count):
    return [Problem("t", f"p{number}", "", "") for number in range(count)]


def units(count, n, rows, done=()):
    """Units for `count` problems of n samples each; n may be a list, one number per problem."""
    some = problems(count)
    each = n if isinstance(n, list) else [n] * count
    wanted = {problem.problem_id: number for problem, number in zip(some, each, strict=True)}
    return list(work_units(some, wanted, rows, run_seed=0, done=done))


def cells(work):
    return [cell for unit in work for cell in unit]


def keys(unit):
    return [(cell.problem.problem_id, index) for cell in unit for index in cell.indices]


def test_a_seed_depends_on_run_task_problem_and_index():
    seeds = {
        sample_seed(0, "t", "p", 0),
        sample_seed(1, "t", "p", 0),
        sample_seed(0, "u", "p", 0),
        sample_seed(0, "t", "q", 0),
        sample_seed(0, "t", "p", 1),
    }
    assert len(seeds) == 5


def test_a_seed_is_the_same_in_every_process():
    # printf '0\x1ft\x1fp\x1f0' | sha256sum begins with f5d87d45014bcf10; half of it has 63 bits
    assert sample_seed(0, "t", "p", 0) == 0xF5D87D45014BCF10 // 2


def test_parts_of_a_seed_do_not_run_into_each_other():
    assert sample_seed(0, "t", "p1", 1) != sample_seed(0, "t", "p", 11)
    assert sample_seed(1, "1t", "p", 0) != sample_seed(11, "t", "p", 0)


def test_a_hundred_thousand_seeds_are_distinct_and_fit_63_bits():
    seeds = {sample_seed(0, "t", f"p{problem}", index) for problem in range(100) for index in range(1000)}
    assert len(seeds) == 100_000
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    assert max(seeds) >= 2**62  # all 63 bits are used


def test_problems_of_equal_prompt_get_different_seeds():
    first, second = cells(units(2, n=4, rows=4))
    assert not set(first.seeds) & set(second.seeds)


def test_seeds_in_units_belong_to_their_indices():
    for cell in cells(units(3, n=10, rows=4)):
        assert cell.seeds == tuple(sample_seed(0, "t", cell.problem.problem_id, index) for index in cell.indices)


def test_one_problem_larger_than_a_unit_is_cut_into_blocks():
    assert [cell.indices for cell in cells(units(1, n=5, rows=2))] == [(0, 1), (2, 3), (4,)]


def test_small_problems_share_a_unit():
    assert [[cell.problem.problem_id for cell in unit] for unit in units(5, n=2, rows=4)] == [
        ["p0", "p1"],
        ["p2", "p3"],
        ["p4"],
    ]


def test_a_unit_never_exceeds_its_rows():
    assert all(len(keys(unit)) <= 7 for unit in units(9, n=[1, 3, 20, 7, 8, 2, 2, 2, 5], rows=7))


def test_a_finished_unit_is_left_out_and_the_others_are_unchanged():
    whole = units(6, n=4, rows=8)
    assert units(6, n=4, rows=8, done=set(keys(whole[1]))) == [whole[0], whole[2]]


def test_a_unit_that_lacks_one_sample_is_repeated_whole():
    whole = units(6, n=4, rows=8)
    done = {key for unit in whole for key in keys(unit)} - {("p3", 2)}
    assert units(6, n=4, rows=8, done=done) == [whole[1]]


def test_nothing_is_left_to_do_when_all_is_done():
    assert units(3, n=4, rows=8, done={key for unit in units(3, n=4, rows=8) for key in keys(unit)}) == []


@settings(max_examples=60, deadline=None)
@given(
    n=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    rows=st.integers(1, 16),
    done=st.sets(st.tuples(st.sampled_from([f"p{number}" for number in range(6)]), st.integers(0, 30))),
)
def test_what_is_done_never_changes_a_unit(n, rows, done):
    whole = units(len(n), n=n, rows=rows)
    assert units(len(n), n=n, rows=rows, done=done) == [unit for unit in whole if not done.issuperset(keys(unit))]


@settings(max_examples=60, deadline=None)
@given(n=st.lists(st.integers(0, 30), min_size=1, max_size=6), rows=st.integers(1, 16))
def test_every_wanted_sample_is_in_exactly_one_unit(n, rows):
    found = [key for unit in units(len(n), n=n, rows=rows) for key in keys(unit)]
    assert sorted(found) == sorted((f"p{number}", index) for number, each in enumerate(n) for index in range(each))


@pytest.mark.parametrize("rows", [1, 2, 4, 8, 16, 32, 64])
def test_the_units_of_one_problem_at_64_begin_those_at_256(rows):
    small, large = units(1, n=64, rows=rows), units(1, n=256, rows=rows)
    assert small == large[: len(small)]


@pytest.mark.parametrize("rows", [1, 2, 4, 8, 16, 32, 64])
def test_topping_up_from_64_to_256_leaves_whole_cells_as_they_were(rows):
    small, large = cells(units(3, n=64, rows=rows)), cells(units(3, n=256, rows=rows))
    assert [cell for cell in large if cell.indices[0] < 64] == small


def test_topping_up_asks_for_no_sample_twice():
    done = {key for unit in units(3, n=64, rows=32) for key in keys(unit)}
    added = [key for unit in units(3, n=128, rows=32, done=done) for key in keys(unit)]
    assert sorted(added) == sorted((f"p{number}", index) for number in range(3) for index in range(64, 128))


def test_a_fixed_plan_wants_n_whatever_was_found():
    plan = FixedPlan(16)
    assert plan.samples_wanted("p", None) == plan.samples_wanted("p", Tally("p", 8, 8)) == 16


def test_cost_of_a_run():
    # 30 problems x 2 models x 1,024 = 61,440 samples; x 1,000 = 61.44 M tokens; x 1.5 bytes = 92.16 MB;
    # / 10,000 per s = 6,144 s = 1.7067 h; widths 2 * 1.96 * sqrt(1/12/30) = 0.2066 and 2 * 1.96 * sqrt(1/4/30) = 0.3578
    cost = estimate_cost(problems=30, models=2, n=1024, max_gen_toks=1000, tokens_per_s=10_000)
    assert (cost.samples, cost.tokens) == (61_440, 61_440_000)
    assert cost.disk_mb == pytest.approx(92.16)
    assert cost.hours == pytest.approx(1.7067, abs=1e-4)
    assert cost.interval_width_at_k == pytest.approx(0.3578, abs=1e-4)


def test_an_interval_is_never_expected_wider_than_one():
    cost = estimate_cost(problems=1, models=1, n=1, max_gen_toks=1, tokens_per_s=None)
    assert cost.interval_width_at_k == 1.0  # 1.96 by the formula


def test_hours_are_unknown_without_a_speed():
    assert estimate_cost(1, 1, 1, 1, tokens_per_s=None).hours is None


def test_a_task_may_have_a_number_of_samples_of_its_own():
    spec = parse_spec({"model": "m", "tasks": "gsm8k:128,aime24,reasoning_gym:chain_sum", "k": 8})
    assert tasks_of(spec) == {"gsm8k": 128, "aime24": None, "reasoning_gym:chain_sum": None}


def test_a_task_with_no_samples_is_wrong_usage():
    with pytest.raises(UsageError, match="'gsm8k:0' asks for no samples"):
        tasks_of(parse_spec({"model": "m", "tasks": "gsm8k:0"}))


def test_the_study_samples_aime_more_than_gsm8k():
    assert tasks_of(parse_spec({"model": "m", "preset": "yue-math"}))["aime24"] == 1024
    assert tasks_of(parse_spec({"model": "m"}))["gsm8k"] == 128
