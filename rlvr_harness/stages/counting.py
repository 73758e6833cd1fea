"""Counting: the tallies of one task's models become aligned counts, and what does not fit together is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rlvr_harness.errors import TaskError
from rlvr_harness.metrics.curve import ProblemCounts, StagePath, Stopping
from rlvr_harness.metrics.sequential import is_reachable
from rlvr_harness.records import Tally

COUNT_COLUMNS = ("problem_id", "n", "c")
IDS_NAMED = 10


def problem_counts(
    role: str,
    tallies: Sequence[Tally],
    problem_ids: Iterable[str],
    plan: Mapping[str, Any],
    paths: Mapping[str, StagePath] | None,
) -> ProblemCounts:
    """The model's counts on problems with a verified sample, in the task's order.

    `paths`: how problems went through the stages of a sequential plan; None where no sample was void, so that n tells.
    """
    by_id = {tally.problem_id: tally for tally in tallies}
    if len(by_id) < len(tallies):
        raise TaskError(f"{role}: a problem_id occurs twice in its counts; give each problem one row")
    for tally in tallies:
        if not 0 <= tally.c <= tally.n:
            fault = f"problem {tally.problem_id!r} has c = {tally.c} right of n = {tally.n} samples"
            raise TaskError(f"{role}: {fault}; counts need 0 <= c <= n")
    chosen = [by_id[problem_id] for problem_id in problem_ids if problem_id in by_id and by_id[problem_id].n]
    if plan.get("kind") != "sequential":
        n, c = (np.array([getattr(tally, name) for tally in chosen], dtype=np.int64) for name in ("n", "c"))
        return ProblemCounts(tuple(tally.problem_id for tally in chosen), n, c)
    stages, stop_after = tuple(int(stage) for stage in plan["stages"]), int(plan["stop_after"])
    walked = {
        t.problem_id: _path(role, t, stages, stop_after) if paths is None else paths[t.problem_id] for t in chosen
    }
    walked = {problem_id: path for problem_id, path in walked.items() if path.reached and path.reached[-1]}
    n = np.array([path.reached[-1] for path in walked.values()], dtype=np.int64)
    c = np.array([path.right for path in walked.values()], dtype=np.int64)
    stopping = Stopping(stages, stop_after, tuple(path.reached for path in walked.values()))
    return ProblemCounts(tuple(walked), n, c, stopping)


def _path(role: str, tally: Tally, stages: tuple[int, ...], stop_after: int) -> StagePath:
    reached = tuple(stage for stage in stages if stage <= tally.n)
    if tally.n not in stages or not is_reachable(reached, stop_after, tally.c):
        raise TaskError(
            f"{role}: problem {tally.problem_id!r} has c = {tally.c} right of n = {tally.n} samples, where no problem "
            f"stops under the stages {', '.join(map(str, stages))} with stop_after {stop_after}"
        )
    return StagePath(reached, tally.c)


def counts_table(tallies: Sequence[Tally], counts: ProblemCounts) -> dict[str, Any]:
    """n and c by problem, as the estimates use them; `stages`: verified samples by stage, where void ones left some."""
    if counts.stopping is None:
        return {name: [getattr(tally, name) for tally in tallies] for name in COUNT_COLUMNS}
    rows = {problem_id: row for row, problem_id in enumerate(counts.problem_ids)}
    ids = [tally.problem_id for tally in tallies]
    planned = counts.stopping.stages
    reached = dict(zip(counts.problem_ids, counts.stopping.reached, strict=True))
    return {
        "problem_id": ids,
        "n": [int(counts.n[rows[i]]) if i in rows else 0 for i in ids],
        "c": [int(counts.c[rows[i]]) if i in rows else 0 for i in ids],
        "stages": {i: list(ends) for i, ends in reached.items() if ends != planned[: len(ends)]},
    }


def largest_k(wanted: int | None, counts: Iterable[ProblemCounts]) -> int:
    """The largest k that every problem of every model can speak of, at most the one wanted; 0 without samples."""
    smallest = min((int(of_model.reach.min()) for of_model in counts if len(of_model.n)), default=0)
    return smallest if wanted is None else min(wanted, smallest)


def count_warnings(
    wanted: int | None, tallies: Mapping[str, Sequence[Tally]], counts: Mapping[str, ProblemCounts], k_max: int
) -> list[str]:
    """What a reader must know of missing samples. That a sequential plan stops early is no lack of any."""
    found = []
    if wanted is not None and k_max < wanted:
        found.append(
            f"k = {wanted:,} was asked for; curves stop at {k_max:,}, the fewest verified samples of a problem"
        )
    for role, of_model in tallies.items():
        void = [tally.problem_id for tally in of_model if not tally.n]
        if void:
            found.append(f"{role}: left out, no verified sample: {_named(void)}")
    shared = set.intersection(*(set(each.problem_ids) for each in counts.values())) if counts else set()
    lacking = [i for each in counts.values() for i in each.problem_ids if i not in shared]
    if lacking:
        found.append(f"not measured for every model: {_named(list(dict.fromkeys(lacking)))}")
    spans = {role: _span(each) for role, each in counts.items() if len(each.n)}
    reaches = [dict(zip(each.problem_ids, each.reach.tolist(), strict=True)) for each in counts.values()]
    if any(len({of_model[problem_id] for of_model in reaches}) > 1 for problem_id in shared):
        listed = ", ".join(f"{role} {span}" for role, span in spans.items())
        found.append(f"samples per problem differ ({listed}): coverage favours the model with more")
    return found


def _named(problem_ids: Sequence[str]) -> str:
    rest = len(problem_ids) - IDS_NAMED
    noun = "problem" if len(problem_ids) == 1 else "problems"
    return (
        f"{len(problem_ids):,} {noun} ({', '.join(problem_ids[:IDS_NAMED])}{f' and {rest:,} more' if rest > 0 else ''})"
    )


def _span(counts: ProblemCounts) -> str:
    reach = counts.reach
    fewest, most = int(reach.min()), int(reach.max())
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
