"""Which problems each model solved at least once in the samples it was given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from rlvr_harness.metrics.curve import ProblemCounts
from rlvr_harness.metrics.sequential import success_interval


@dataclass(frozen=True, slots=True)
class Coverage:
    """Problems by who solved them; `k` is the largest number of samples that a problem has, or would have unsolved.

    A sequential plan stops only problems that are solved, so it changes none of these sets. `undecided_ids`: solved by
    one model alone, yet the exact 95 % intervals of the two success rates overlap. All ids are in problem order.
    """

    k: int
    both: int
    base_only: int
    model_only: int
    neither: int
    mcnemar_p: float
    base_only_ids: tuple[str, ...]
    model_only_ids: tuple[str, ...]
    undecided_ids: tuple[str, ...]


def coverage(base: ProblemCounts, model: ProblemCounts) -> Coverage:
    """Quadrants of problems with c >= 1; both counts cover the same problems in the same order."""
    if base.problem_ids != model.problem_ids:
        raise ValueError("coverage needs the same problems in the same order")
    base_solves, model_solves = base.c >= 1, model.c >= 1
    base_only, model_only = base_solves & ~model_solves, model_solves & ~base_solves
    ours, theirs = success_interval(base), success_interval(model)
    overlap = (ours.low <= theirs.high) & (theirs.low <= ours.high)

    def ids(chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[str, ...]:
        return tuple(base.problem_ids[row] for row in np.flatnonzero(chosen))

    return Coverage(
        k=int(max(base.reach.max(initial=0), model.reach.max(initial=0))),
        both=int((base_solves & model_solves).sum()),
        base_only=int(base_only.sum()),
        model_only=int(model_only.sum()),
        neither=int((~base_solves & ~model_solves).sum()),
        mcnemar_p=mcnemar_p(int(base_only.sum()), int(model_only.sum())),
        base_only_ids=ids(base_only),
        model_only_ids=ids(model_only),
        undecided_ids=ids((base_only | model_only) & overlap),
    )


def mcnemar_p(base_only: int, model_only: int) -> float:
    """Exact two-sided p-value that a discordant problem is as likely to be the base's as the model's (McNemar 1947)."""
    discordant = base_only + model_only
    return min(1.0, 2 * float(special.bdtr(min(base_only, model_only), discordant, 0.5))) if discordant else 1.0
