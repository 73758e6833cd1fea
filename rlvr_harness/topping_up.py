"""`topup`: what a run's spec and record become when it is to have more samples per problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvr_harness.errors import UsageError
from rlvr_harness.planning import FixedPlan, Plan, SequentialPlan, plan_from_data
from rlvr_harness.presets import tasks_of
from rlvr_harness.run_spec import RunSpec, parse_spec

Raised = tuple[RunSpec, dict[str, Any]]
"""The new spec, and the new content of run.json."""


def raised(spec: RunSpec, record: Mapping[str, Any], n: int, k: int | None) -> Raised:
    """The run with `n` samples per problem; tasks that had more keep them. `k`: the largest k from now on.

    Plans are raised in the record, which is what a run that goes on obeys. Raises UsageError where nothing would be
    added.
    """
    plans = {task: _plan_of(task, facts, spec) for task, facts in record["tasks"].items()}
    if all(plan.n >= n for plan in plans.values()):
        most = max(plan.n for plan in plans.values())
        raise UsageError(f"--n {n}: the run has {most} samples per problem already; give a larger number")
    grown = {task: plan if plan.n >= n else plan.extended(n) for task, plan in plans.items()}
    own = tasks_of(spec)
    changes: dict[str, Any] = {"n": n, "k": k or spec.k, "preset": None}
    changes["tasks"] = [name if number is None else f"{name}:{max(n, number)}" for name, number in own.items()]
    if spec.stages:
        first = SequentialPlan(tuple(spec.stages), spec.stop_after)
        changes["stages"] = list(first.extended(n).stages) if first.n < n else spec.stages
    new = parse_spec(spec.as_data() | changes, "topup")
    tasks = {task: {**facts, "plan": grown[task].as_data()} for task, facts in record["tasks"].items()}
    return new, {**record, "tasks": tasks}


def _plan_of(task: str, facts: Mapping[str, Any], spec: RunSpec) -> Plan:
    """The recorded plan; runs of earlier versions recorded none, theirs was fixed."""
    if "plan" in facts:
        return plan_from_data(facts["plan"])
    return FixedPlan(tasks_of(spec).get(task) or spec.samples_per_problem)
