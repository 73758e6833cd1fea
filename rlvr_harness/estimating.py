"""The plan of a run in words: samples, tokens, hours, disk, and what it will be able to tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from rlvr_harness.costing import (
    BYTES_PER_TOKEN,
    DETECTABLE,
    DISCORDANT_SHARE,
    expected_samples,
    half_width_of_difference,
    problems_needed,
    width_at_1,
)
from rlvr_harness.planning import Plan, SequentialPlan, estimate_cost
from rlvr_harness.preparing import PreparedRun, PreparedTask
from rlvr_harness.probing import PROBE_TOKENS, Pace
from rlvr_harness.progress import duration


@dataclass(frozen=True)
class Known:
    """What is known of the engine before sampling: a speed that the user states, or paces that a probe measured."""

    tokens_per_s: float | None = None
    paces: Mapping[tuple[str, str], Pace] = field(default_factory=dict)
    """By (task, role)."""
    detectable: float = DETECTABLE
    """The difference in pass@k that the run should be able to show."""
    side_by_side: bool = False
    """Whether all models are sampled at the same time: the slowest tells how long it takes."""


def plan_lines(prepared: PreparedRun, known: Known | None = None) -> list[str]:
    """The plan as text, two or three lines a task."""
    known = replace(known or Known(), side_by_side=prepared.side_by_side)
    roles = tuple(prepared.requests)
    return [line for task in prepared.tasks for line in _task_lines(task, roles, known)]


def _task_lines(task: PreparedTask, roles: tuple[str, ...], known: Known) -> Iterator[str]:
    problems, models = len(task.prompted.problems), len(roles)
    most = estimate_cost(problems, models, task.plan.n, task.law.max_gen_toks, known.tokens_per_s)
    yield (
        f"{task.name}: {problems:,} problems x {models} models x {_samples(task.plan)} = "
        f"{_total(task.plan, problems * models, most.samples)}, "
        f"at most {most.tokens:,} tokens and {most.disk_mb:,.0f} MB ({_hours(task, problems, roles, known)})"
    )
    yield from _probed(task, roles, known)
    yield (
        f"{task.name}: 95 % interval of pass@1 about {width_at_1(problems, task.plan.stages[0]):.2f} wide, of "
        f"pass@{task.k} up to {most.interval_width_at_k:.2f}{_decides(problems, task.k, known) if models > 1 else ''}"
    )


def _samples(plan: Plan) -> str:
    if not isinstance(plan, SequentialPlan):
        return f"{plan.n:,} samples"
    stages = ", ".join(f"{stage:,}" for stage in plan.stages)
    return f"up to {plan.n:,} samples (stages {stages}; a problem stops with {plan.stop_after} right)"


def _total(plan: Plan, cells: int, most: int) -> str:
    if not isinstance(plan, SequentialPlan):
        return f"{most:,} samples"
    expected = expected_samples(plan) * cells
    return f"about {expected:,.0f} samples if success chances are spread evenly over 0 to 1, at most {most:,}"


def _hours(task: PreparedTask, problems: int, roles: tuple[str, ...], known: Known) -> str:
    """How long it takes, at most and as expected."""
    per_problem = expected_samples(task.plan)
    if known.paces:
        paces = [known.paces[task.name, role] for role in roles]
        seconds = [pace.mean_tokens / pace.tokens_per_s * problems for pace in paces if pace.tokens_per_s]
        disk = sum(pace.mean_tokens * problems * per_problem * BYTES_PER_TOKEN for pace in paces) / 1e6
        longest = max(seconds, default=0.0) if known.side_by_side else sum(seconds)
        mean, worst = duration(longest * per_problem), duration(longest * task.plan.n)
        return f"by the probe about {mean} and {disk:,.0f} MB, at most {worst}"
    if known.tokens_per_s is None:
        return "speed unknown: --tokens_per_s states it, --probe measures it"
    in_turn = 1 if known.side_by_side else len(roles)
    seconds_each = task.law.max_gen_toks / known.tokens_per_s * problems * in_turn
    at_most = f"at most {duration(seconds_each * task.plan.n)}"
    if isinstance(task.plan, SequentialPlan):
        at_most = (
            f"at most {duration(seconds_each * per_problem)} expected, {duration(seconds_each * task.plan.n)} in all"
        )
    return f"{at_most} at {known.tokens_per_s:,.0f} tokens/s"


def _probed(task: PreparedTask, roles: tuple[str, ...], known: Known) -> Iterator[str]:
    for role in roles if known.paces else ():
        pace = known.paces[task.name, role]
        line = (
            f"{task.name}: {role} probed at {pace.tokens_per_s:,.0f} tokens/s, {pace.mean_tokens:,.0f} tokens a sample"
        )
        shortened = pace.cut > 0 and task.law.max_gen_toks > PROBE_TOKENS
        cut = f" ({pace.cut:.0%} of them cut at {PROBE_TOKENS} in the probe: expect more tokens and time)"
        yield line + (cut if shortened else "")


def _decides(problems: int, k: int, known: Known) -> str:
    """Whether a difference at the largest k can be told from none."""
    half = half_width_of_difference(problems)
    enough = half <= known.detectable
    what = f"which {'shows' if enough else 'cannot show'} a lead of {known.detectable:.2f}"
    needed = "" if enough else f" (that takes {problems_needed(known.detectable):,} problems)"
    return (
        f"; the paired difference at k = {k} to about +-{half:.2f} if the models split on {DISCORDANT_SHARE:.0%} of "
        f"the problems, {what}{needed}"
    )
