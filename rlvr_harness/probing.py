"""A short real burst of sampling that measures speed and length; nothing of it is stored."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlvr_harness.contracts import OpenModel, StreamingModel
from rlvr_harness.planning import FixedPlan
from rlvr_harness.preparing import PreparedRun, PreparedTask
from rlvr_harness.records import FinishReason, Problem, Sample
from rlvr_harness.requests import WorkUnit
from rlvr_harness.sampler_contracts import ParallelModel
from rlvr_harness.scheduling import Schedule
from rlvr_harness.stages.sampling import Expected, draw_parallel, draw_stream, draw_units

PROBE_S = 10.0
"""Seconds per model and task after which no more work is given; what is under way still ends."""
PROBE_TOKENS = 512
"""Longest completion of a probe: one unit at the full budget of 16,384 tokens could take an hour."""
PROBED_PROBLEMS = 8
"""Problems, spread over the task, whose completions tell their length."""


@dataclass(frozen=True)
class Pace:
    """What one model does on one task. `cut`: share of completions longer than the probe's `PROBE_TOKENS`."""

    tokens_per_s: float
    mean_tokens: float
    cut: float


def probe(prepared: PreparedRun) -> dict[tuple[str, str], Pace]:
    """(task, role) -> its pace; opens the models one after the other."""
    found = {}
    with prepared.start_execution() as execution:
        for role, request in prepared.requests.items():
            model = execution.open(prepared.sampler, request)
            try:
                for task in prepared.tasks:
                    found[task.name, role] = probe_task(model, task, (prepared.sampler.name, role), prepared.spec.seed)
            finally:
                model.close()
    return found


def probe_task(
    model: OpenModel,
    task: PreparedTask,
    who: tuple[str, str],
    run_seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Pace:
    """The pace of an opened model; `who`: the names of sampler and role."""
    sampler, role = who
    law = dataclasses.replace(task.law, max_gen_toks=min(task.law.max_gen_toks, PROBE_TOKENS))
    streams = isinstance(model, StreamingModel)
    rows = None if streams else model.rows_per_unit(task.prompted.longest_prompt + law.max_gen_toks)
    problems = _spread(task.prompted.problems_for(role))
    per_problem = task.plan.n if rows is None else max(1, rows // len(problems))
    schedule = Schedule(problems, FixedPlan(per_problem), rows, run_seed, {})
    ends = clock() + PROBE_S

    def take(wait: bool) -> WorkUnit | None:
        return schedule.take() if clock() < ends else None

    expected = Expected(sampler, role)
    started = clock()
    if isinstance(model, StreamingModel):
        drawn = [each.samples for each in draw_stream(model, take, law, expected)]
    elif isinstance(model, ParallelModel):
        drawn = [each.samples for each in draw_parallel(model, take, {task.name: law}, expected)]
    else:
        drawn = [each.samples for each in draw_units(model, take, {task.name: law}, expected)]
    seconds = max(clock() - started, 1e-9)
    return _pace([sample for samples in drawn for sample in samples], seconds)


def _pace(samples: Sequence[Sample], seconds: float) -> Pace:
    tokens = sum(sample.n_tokens for sample in samples)
    cut = sum(sample.finish_reason is FinishReason.LENGTH for sample in samples)
    count = max(1, len(samples))
    return Pace(tokens / seconds, tokens / count, cut / count)


def _spread(problems: Sequence[Problem]) -> Sequence[Problem]:
    """Up to `PROBED_PROBLEMS` problems at equal distances."""
    step = max(1, len(problems) // PROBED_PROBLEMS)
    return problems[::step][:PROBED_PROBLEMS]
