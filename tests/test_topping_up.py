import pytest

from rlvr_harness.errors import UsageError
from rlvr_harness.planning import FixedPlan, SequentialPlan, plan_from_data
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.topping_up import raised


def record(**plans):
    return {"tasks": {task: {"plan": plan.as_data(), "problems": 2} for task, plan in plans.items()}, "threads": 1}


def plans(found):
    return {task: plan_from_data(facts["plan"]) for task, facts in found["tasks"].items()}


def test_the_old_stages_are_the_beginning_of_the_new_ones():
    spec = parse_spec({"model": "m", "tasks": "a", "k": 64})
    new, after = raised(spec, record(a=SequentialPlan((16, 32, 64), 8)), 200, None)
    assert plans(after) == {"a": SequentialPlan((16, 32, 64, 128, 200), 8)}
    assert (new.n, new.k, new.plan, new.tasks) == (200, 64, "sequential", ["a"])
    assert after["threads"] == 1


def test_stages_that_were_given_grow_too():
    spec = parse_spec({"model": "m", "tasks": "a", "k": 64, "stages": "10,64"})
    new, _ = raised(spec, record(a=SequentialPlan((10, 64), 8)), 100, 100)
    assert (new.stages, new.k) == ([10, 64, 100], 100)


def test_a_fixed_plan_stays_fixed_even_where_it_becomes_large():
    spec = parse_spec({"model": "m", "tasks": "a", "k": 8})
    new, after = raised(spec, record(a=FixedPlan(8)), 128, 128)
    assert (new.plan, plans(after)) == ("fixed", {"a": FixedPlan(128, (8,))})


def test_tasks_that_have_as_many_keep_theirs():
    spec = parse_spec({"model": "m", "tasks": "a:16,b:300", "k": 8})
    new, after = raised(spec, record(a=FixedPlan(16), b=FixedPlan(300)), 128, None)
    assert plans(after) == {"a": FixedPlan(128, (16,)), "b": FixedPlan(300)}
    assert new.tasks == ["a:128", "b:300"]


def test_a_run_of_an_earlier_version_had_a_fixed_plan():
    spec = parse_spec({"model": "m", "tasks": "a:16,b", "k": 8, "plan": "fixed"})
    _, after = raised(spec, {"tasks": {"a": {}, "b": {}}}, 128, None)
    assert plans(after) == {"a": FixedPlan(128, (16,)), "b": FixedPlan(128, (8,))}


def test_fewer_samples_than_there_are_is_wrong_usage():
    spec = parse_spec({"model": "m", "tasks": "a", "k": 64})
    with pytest.raises(UsageError, match="--n 64: the run has 64 samples per problem already; give a larger number"):
        raised(spec, record(a=FixedPlan(64)), 64, None)


def test_a_k_above_the_new_n_is_wrong_usage():
    spec = parse_spec({"model": "m", "tasks": "a", "k": 8})
    with pytest.raises(UsageError, match="k = 256 needs at least as many samples, n = 128"):
        raised(spec, record(a=FixedPlan(8)), 128, 256)
