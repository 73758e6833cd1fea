"""Work in stages: what is asked for depends on the plan and on verdicts of the same window, never on timing."""

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_harness.errors import UsageError
from rlvr_harness.feeding import Feed
from rlvr_harness.planning import FixedPlan, SequentialPlan, doublings, plan_from_data, work_units
from rlvr_harness.records import Outcome, Problem, Tally, Verdict
from rlvr_harness.scheduling import STREAM_BLOCK, Marks, Schedule, window_size


def problems(count, task="t"):
    return [Problem(task, f"p{number}", "", "") for number in range(count)]


def keys(unit):
    return [(cell.problem.problem_id, index) for cell in unit for index in cell.indices]


def verdict(key, outcome):
    return Verdict(*key, outcome, None, "")


def chance_of(problem_id):
    """p0 is never solved, p1 in 1 of 7 samples, ... p7 always."""
    return int(problem_id[1:]) % 8


def truth(key):
    """A fixed outcome for each sample; one in 31 stays void."""
    number = random.Random(f"{key}").randrange(7 * 31)
    if number % 31 == 30:
        return Outcome.VOID
    return Outcome.RIGHT if number % 7 < chance_of(key[0]) else Outcome.WRONG


def wanted_by(plan, problem_id):
    """Brute force: the first stage with enough right samples, else the last."""
    for stage in plan.stages:
        if sum(truth((problem_id, index)) is Outcome.RIGHT for index in range(stage)) >= plan.stop_after:
            return stage
    return plan.n


def drive(schedule, moments, stop_at=None):
    """Samples and judges in a random order until all is done, or until `stop_at` units; the units in their order."""
    units, unjudged = [], [key for p, mark in schedule.marks.items() for key in bits(p, mark.unjudged())]
    while not schedule.is_done:
        unit = schedule.take() if moments.random() < 0.6 else None
        if unit is not None:
            units.append(unit)
            unjudged += schedule.store(keys(unit))
        elif unjudged:
            key = unjudged.pop(moments.randrange(len(unjudged)))
            schedule.settle([verdict(key, truth(key))])
        if stop_at is not None and len(units) >= stop_at:
            break
    return units


def bits(problem_id, number):
    return [(problem_id, index) for index in range(number.bit_length()) if number >> index & 1]


def stored(schedule):
    return {key for problem_id, mark in schedule.marks.items() for key in bits(problem_id, mark.stored)}


PLAN = SequentialPlan((4, 8, 16, 64), 3)


def test_stages_double_up_to_n():
    assert doublings(16, 100) == (16, 32, 64, 100)
    assert doublings(16, 1024) == (16, 32, 64, 128, 256, 512, 1024)
    assert doublings(16, 16) == (16,)
    assert doublings(16, 8) == (8,)


@pytest.mark.parametrize(
    ("tally", "wanted"),
    [
        (None, 4),
        (Tally("p", 0, 0), 4),
        (Tally("p", 3, 3), 4),  # enough are right, but the stage is not over
        (Tally("p", 4, 2), 8),
        (Tally("p", 4, 3), 4),
        (Tally("p", 3, 2, void=1), 8),  # a void sample is judged, and not right
        (Tally("p", 3, 3, void=1), 4),
        (Tally("p", 16, 2), 64),
        (Tally("p", 64, 0), 64),
    ],
)
def test_a_problem_stops_at_the_end_of_a_stage_with_enough_right(tally, wanted):
    assert PLAN.samples_wanted("p", tally) == wanted


def test_a_longer_plan_begins_with_the_old_stages():
    assert SequentialPlan((16, 32, 64), 8).extended(300).stages == (16, 32, 64, 128, 256, 300)
    assert SequentialPlan((16, 100), 8).extended(150).stages == (16, 100, 150)
    assert FixedPlan(64).extended(256).stages == (64, 256)


@pytest.mark.parametrize("plan", [PLAN, FixedPlan(9), FixedPlan(64).extended(256)])
def test_a_plan_survives_the_way_through_json(plan):
    assert plan_from_data(plan.as_data()) == plan


@pytest.mark.parametrize("stages", [(), (0, 4), (4, 4), (8, 4)])
def test_stages_that_do_not_rise_are_wrong_usage(stages):
    with pytest.raises(UsageError, match=r"--stages .*rising"):
        SequentialPlan(stages, 8)


def test_the_plan_of_a_run_is_what_the_data_says():
    assert PLAN.as_data() == {"kind": "sequential", "stages": [4, 8, 16, 64], "stop_after": 3}


@pytest.mark.parametrize(
    ("count", "rows", "size"),
    [
        (1000, 8, 8),  # 4 units of 8 samples hold the first 4 samples of 8 problems
        (10, 8, 5),  # fewer problems than that: two windows, so that one works while the other waits
        (2, 8, 2),  # all fit into one unit
        (10, 1, 1),
    ],
)
def test_windows_fill_some_units(count, rows, size):
    assert window_size(count, PLAN, rows) == size


def test_a_fixed_plan_is_one_window_with_the_units_it_always_had():
    some = problems(7)
    schedule = Schedule(some, FixedPlan(10), 16, 5, {})
    units = []
    while (unit := schedule.take()) is not None:
        units.append(unit)
    assert units == list(work_units(some, {p.problem_id: 10 for p in some}, 16, 5, ()))


def test_a_topped_up_fixed_plan_draws_no_sample_again_and_waits_for_no_decision():
    some = problems(3)
    first = Schedule(some, FixedPlan(8), 64, 0, {})
    drive(first, random.Random(0))
    more = drive(Schedule(some, FixedPlan(8).extended(24), 64, 0, first.marks), random.Random(1))
    assert sorted(key for unit in more for key in keys(unit)) == sorted(
        (p.problem_id, index) for p in some for index in range(8, 24)
    )


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 20), rows=st.sampled_from([None, 1, 3, 8, 32, 500]), seed=st.integers(0, 99))
def test_every_problem_gets_the_samples_that_its_verdicts_ask_for_and_no_other(count, rows, seed):
    schedule = Schedule(problems(count), PLAN, rows, 0, {})
    drawn = [key for unit in drive(schedule, random.Random(seed)) for key in keys(unit)]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(p, index) for p in schedule.marks for index in range(wanted_by(PLAN, p))}


@settings(max_examples=60, deadline=None)
@given(rows=st.sampled_from([1, 3, 8, 32]), one=st.integers(0, 99), two=st.integers(100, 199))
def test_timing_never_changes_a_unit(rows, one, two):
    units = [drive(Schedule(problems(24), PLAN, rows, 0, {}), random.Random(seed)) for seed in (one, two)]
    assert sorted(units[0], key=keys) == sorted(units[1], key=keys)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), rows=st.sampled_from([3, 8, 32]), seed=st.integers(0, 99))
def test_a_run_that_goes_on_repeats_whole_units_of_an_undisturbed_one(data, rows, seed):
    whole = drive(Schedule(problems(24), PLAN, rows, 0, {}), random.Random(seed))
    broken = Schedule(problems(24), PLAN, rows, 0, {})
    drive(broken, random.Random(seed + 1), stop_at=data.draw(st.integers(1, len(whole))))
    kept = {}
    for problem_id, mark in broken.marks.items():  # what was finished last is lost, as are some verdicts
        lost = data.draw(st.integers(0, 2**64 - 1)) | data.draw(st.integers(0, 2**64 - 1))
        judged = mark.judged & data.draw(st.integers(0, 2**64 - 1))
        left = mark.stored & lost
        kept[problem_id] = Marks(left, judged & left, mark.right & judged & left)
    rest = drive(Schedule(problems(24), PLAN, rows, 0, kept), random.Random(seed + 2))
    assert all(unit in whole for unit in rest)
    assert stored_after(kept, rest) == {key for unit in whole for key in keys(unit)}


def stored_after(marks, units):
    before = {key for problem_id, mark in marks.items() for key in bits(problem_id, mark.stored)}
    return before | {key for unit in units for key in keys(unit)}


def test_a_streamed_run_asks_for_missing_samples_alone():
    marks = {"p0": Marks(stored=0b101, judged=0b101)}
    unit = Schedule(problems(1), PLAN, None, 0, marks).take()
    assert keys(unit) == [("p0", 1), ("p0", 3)]


def test_a_streamed_problem_goes_on_while_others_wait():
    schedule = Schedule(problems(2), PLAN, None, 0, {})
    first, second = schedule.take(), schedule.take()
    assert [keys(unit)[0][0] for unit in (first, second)] == ["p0", "p1"]
    assert schedule.take() is None
    schedule.store(keys(second))
    schedule.settle(verdict(key, Outcome.WRONG) for key in keys(second))
    assert keys(schedule.take()) == [("p1", index) for index in range(4, 8)]


def test_streamed_requests_are_small():
    schedule = Schedule(problems(1), FixedPlan(40), None, 0, {})
    assert [len(keys(schedule.take())) for _ in range(3)] == [STREAM_BLOCK, STREAM_BLOCK, 40 - 2 * STREAM_BLOCK]


def test_nothing_is_decided_before_the_whole_stage_is_judged():
    schedule = Schedule(problems(1), PLAN, None, 0, {})
    unit = schedule.take()
    schedule.store(keys(unit))
    schedule.settle(verdict(key, Outcome.RIGHT) for key in keys(unit)[:3])
    assert not schedule.is_done
    schedule.settle([verdict(keys(unit)[3], Outcome.WRONG)])
    assert schedule.is_done


def test_a_stored_void_verdict_is_not_final_and_a_new_one_is():
    mark = Marks(stored=1)
    mark.note(verdict(("p", 0), Outcome.VOID), final=False)
    assert mark.unjudged() == 1
    mark.note(verdict(("p", 0), Outcome.VOID), final=True)
    assert (mark.unjudged(), mark.tally("p", 1)) == (0, Tally("p", 1, 0))


def test_what_remains_is_exact_under_a_fixed_plan_and_estimated_by_what_went_on_before():
    fixed = Schedule(problems(3), FixedPlan(8), 64, 0, {"p1": Marks(stored=0b11)})
    assert (fixed.standing().remaining, fixed.standing().exact) == (3 * 8 - 2, True)
    # one half is taken to go on at each stage: 4 + (4 + (8 + 48 / 2) / 2) / 2 = 14
    assert Schedule(problems(1), PLAN, None, 0, {}).standing().remaining == 14.0


def test_the_standing_counts_pass_at_1_over_first_stages_and_solved_problems():
    marks = {"p0": Marks(0xFF, 0xFF, 0b10010001), "p1": Marks(0xF, 0xF, 0), "p2": Marks()}
    standing = Schedule(problems(3), PLAN, None, 0, marks).standing()
    assert (standing.first_right, standing.first_judged) == (1, 8)
    assert (standing.solved, standing.touched, standing.stored) == (1, 2, 12)


def feed_of(**counts):
    """A feed of one-stage schedules: task -> number of problems with one sample each."""
    return Feed({task: Schedule(problems(count, task), FixedPlan(1), None, 0, {}) for task, count in counts.items()})


def test_the_next_task_is_fed_while_the_last_samples_of_one_are_under_way():
    feed = feed_of(a=1, b=1, c=1)
    taken = [feed.take_unit(wait=False) for _ in range(3)]
    assert [unit and unit[0].problem.task for unit in taken] == ["a", "b", None]
    feed.settle("a", [verdict(("p0", 0), Outcome.WRONG)])
    assert feed.take_unit(wait=False)[0].problem.task == "c"


def test_a_law_of_its_own_keeps_a_task_apart():
    feed = feed_of(a=1, b=1)
    assert feed.take_unit(False, ["a"])[0].problem.task == "a"
    assert feed.take_unit(False, ["a"]) is None
    feed.settle("a", [verdict(("p0", 0), Outcome.WRONG)])
    assert feed.take_unit(True, ["a"]) is None
    assert feed.take_unit(True, ["b"])[0].problem.task == "b"


def test_waiting_ends_with_the_verdict_that_settles_more_work():
    feed = Feed({"t": Schedule(problems(1), SequentialPlan((1, 2), 1), None, 0, {})})
    assert keys(feed.take_unit(wait=True)) == [("p0", 0)]
    late = threading.Timer(0.05, feed.settle, ["t", [verdict(("p0", 0), Outcome.WRONG)]])
    late.start()
    assert keys(feed.take_unit(wait=True)) == [("p0", 1)]
    feed.settle("t", [verdict(("p0", 1), Outcome.WRONG)])
    assert feed.take_unit(wait=True) is None
    late.join()


def test_waiting_ends_with_a_failure_elsewhere():
    feed = feed_of(a=1)
    feed.take_unit(wait=True)
    late = threading.Timer(0.05, feed.end, [OSError("disk")])
    late.start()
    assert feed.take_unit(wait=True) is None
    assert str(feed.failure) == "disk"
    late.join()


def test_work_that_was_looked_for_is_not_lost():
    feed = feed_of(a=2)
    assert feed.wait_for_work()
    assert feed.wait_for_work()
    assert [keys(feed.take_unit(wait=False)) for _ in range(2)] == [[("p0", 0)], [("p1", 0)]]


def test_many_threads_never_get_the_same_work():
    feed = Feed({"t": Schedule(problems(40), PLAN, None, 0, {})})
    taken = []

    def work():
        while (unit := feed.take_unit(wait=True)) is not None:
            taken.extend(keys(unit))
            feed.store("t", keys(unit))
            feed.settle("t", [verdict(key, truth(key)) for key in keys(unit)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    assert set(taken) == {(f"p{p}", index) for p in range(40) for index in range(wanted_by(PLAN, f"p{p}"))}
