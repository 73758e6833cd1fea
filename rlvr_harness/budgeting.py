"""A run within a budget: all models go on together, a stage at a time, where a stage still fits.

All tasks begin with the first stage of their sequential plans. Then, of the tasks whose next stage is expected to fit
into what is left, the one goes on that leaves the most problems open per token: those with no right sample are what the
paired difference at the largest k is uncertain about. What a stage costs is told from completed stages alone: the
samples that it draws, at the mean length of each problem's samples so far. A stage is drawn for all models or for none,
and never in part, so that given the last stage every estimate is unbiased; the largest k is lowered to that stage. The
last stage itself follows from what the whole run has cost, which no single problem decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from rlvr_harness.planning import Budget, Plan, SequentialPlan
from rlvr_harness.preparing import PreparedRun, PreparedTask
from rlvr_harness.records import Outcome
from rlvr_harness.run_reader import count_verdicts, token_sums
from rlvr_harness.run_store import RunStore


@dataclass(frozen=True)
class Share:
    """One problem under one model so far: samples drawn, their tokens, and how many are right."""

    samples: int
    tokens: int
    right: int


Shares = Mapping[str, Mapping[str, Share]]
"""Role -> problem_id -> share, of one task."""


@dataclass(frozen=True)
class NextStage:
    """What the next stage of a task would cost in completion tokens, and how many problems it may settle."""

    stage: int
    tokens: float
    unsolved: int


def without_budget(prepared: PreparedRun) -> PreparedRun:
    """The run as it would be if every stage of its plans were drawn; the same run where it has no budget."""
    k = prepared.spec.k
    tasks = [within(task, task.whole.stages, k) if task.whole else task for task in prepared.tasks]
    return dataclasses.replace(prepared, tasks=tasks)


def within(task: PreparedTask, stages: Sequence[int], k: int) -> PreparedTask:
    """The task with these stages of its plan alone, and the largest k that they allow."""
    plan = dataclasses.replace(_sequential(task.plan), stages=tuple(stages))
    return dataclasses.replace(task, plan=plan, k=min(k, plan.n))


def next_stage(shares: Shares, plan: SequentialPlan, whole: SequentialPlan) -> NextStage | None:
    """The stage after those of `plan`; None where `whole` has none left. All samples of `plan` are drawn and judged."""
    later = [stage for stage in whole.stages if stage > plan.n]
    if not later:
        return None
    added = later[0] - plan.n
    going_on = [
        share
        for by_problem in shares.values()
        for share in by_problem.values()
        if share.right < plan.stop_after and share.samples
    ]
    unsolved = sum(share.right == 0 for share in going_on)
    return NextStage(later[0], sum(added * share.tokens / share.samples for share in going_on), unsolved)


def chosen(offers: Mapping[str, NextStage], left_tokens: float) -> dict[str, int]:
    """Task -> the stage it goes on to: the most unsolved problems per token first, as long as all of it fits."""

    def worth(task: str) -> float:
        return offers[task].unsolved / offers[task].tokens if offers[task].tokens else inf

    found: dict[str, int] = {}
    for task in sorted(offers, key=lambda name: (-worth(name), name)):
        if offers[task].tokens <= left_tokens:
            left_tokens -= offers[task].tokens
            found[task] = offers[task].stage
    return found


def advanced(prepared: PreparedRun, store: RunStore, record: Mapping[str, Any]) -> PreparedRun | None:
    """The run with the next stages that the budget allows; None when nothing is left, of stages or of the budget."""
    shares = {task.name: _shares(prepared, task, store) for task in prepared.tasks}
    spent = sum(one.tokens for by_role in shares.values() for each in by_role.values() for one in each.values())
    offers = {}
    for task in prepared.tasks:
        offer = next_stage(shares[task.name], _sequential(task.plan), _sequential(task.whole))
        if offer is not None:
            offers[task.name] = offer
    stages = chosen(offers, _tokens_left(prepared.spec.allowance, spent, record))
    if not stages:
        return None
    return dataclasses.replace(prepared, tasks=[_raised(task, stages, prepared.spec.k) for task in prepared.tasks])


def _raised(task: PreparedTask, stages: Mapping[str, int], k: int) -> PreparedTask:
    return within(task, (*task.plan.stages, stages[task.name]), k) if task.name in stages else task


def ends(prepared: PreparedRun) -> list[str]:
    """Where the budget ended each task before its plan did, one note a task."""
    return [
        f"on {task.name}: the budget of {prepared.spec.budget} ended sampling at {task.plan.n:,} of up to "
        f"{task.whole.n:,} samples per problem; the largest k is {task.k:,}"
        for task in prepared.tasks
        if task.whole is not None and task.plan.n < task.whole.n
    ]


def _tokens_left(budget: Budget, spent: float, record: Mapping[str, Any]) -> float:
    """What is left of the budget, as tokens; hours at the speed that the engines have had so far."""
    timings = record.get("timings", {}).get("sampling", {}).values()
    tokens, seconds = (sum(each[key] for each in timings) for key in ("tokens", "engine_s"))
    by_time = (budget.seconds - seconds) * tokens / seconds if seconds and budget.seconds < inf else inf
    return min(budget.tokens - spent, by_time)


def _shares(prepared: PreparedRun, task: PreparedTask, store: RunStore) -> Shares:
    store.commit()
    found = {}
    for role in prepared.requests:
        right = dict.fromkeys((problem.problem_id for problem in task.prompted.problems), 0)
        for count in count_verdicts(store.folder, task.name, role, task.verifier.name):
            right[count.problem_id] += count.count * (count.outcome is Outcome.RIGHT)
        sums = token_sums(store.folder, task.name, role)
        found[role] = {each: Share(*sums.get(each, (0, 0)), right[each]) for each in right}
    return found


def _sequential(plan: Plan | None) -> SequentialPlan:
    if not isinstance(plan, SequentialPlan):
        raise TypeError(f"{plan} is not sequential, and the spec lets no other plan have a budget")
    return plan
