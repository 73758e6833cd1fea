"""What a plan is expected to cost and to show, before a sample is drawn.

Expectations take success chances to be spread evenly over 0 to 1 (a uniform prior), which is stated beside them.
Real problem sets hold more that are never solved: on published MATH500 counts a sequential plan takes 20 to 30 % of the
samples at k = 128, where 31 % are expected here, and 8 to 12 % at k = 1024, where 6 % are.
"""

from __future__ import annotations

import math
from itertools import pairwise

from rlvr_harness.planning import Plan, SequentialPlan

Z_95 = 1.96
"""Half the width of a 95 % interval, in standard errors."""
DISCORDANT_SHARE = 0.1
"""Share of problems that one of two models solves and the other does not, at the largest k; an assumption, stated with
every number that rests on it."""
DETECTABLE = 0.05
"""Difference in pass@k between two models that a study usually wants to see."""
BYTES_PER_TOKEN = 1.5
"""Of the compressed text of a sample."""


def expected_samples(plan: Plan) -> float:
    """Samples per problem to expect of a plan, with success chances spread evenly over 0 to 1.

    A problem goes on from a stage of m samples with fewer than r right ones. The number of right ones is then spread
    evenly over 0 ... m, so that has chance r / (m + 1), at most 1.
    """
    if not isinstance(plan, SequentialPlan):
        return float(plan.n)
    goes_on = [min(1.0, plan.stop_after / (stage + 1)) for stage in plan.stages]
    steps = pairwise(plan.stages)
    return plan.stages[0] + sum((b - a) * share for (a, b), share in zip(steps, goes_on, strict=False))


def width_at_1(problems: int, first_stage: int) -> float:
    """Width of the 95 % interval of pass@1, problems resampled, with success chances spread evenly; at most 1.

    Variance of the mean: that of the chances, 1/12, and of drawing `first_stage` samples each, 1/6 over their number.
    """
    return min(1.0, 2 * Z_95 * math.sqrt((1 / 12 + 1 / 6 / first_stage) / problems))


def half_width_of_difference(problems: int, discordant: float = DISCORDANT_SHARE) -> float:
    """Half the 95 % interval of the paired difference at the largest k, of models that split on this share of problems.

    A difference of +1, -1 or 0 per problem, both signs alike, has variance `discordant`.
    """
    return min(1.0, Z_95 * math.sqrt(discordant / problems))


def problems_needed(detectable: float = DETECTABLE, discordant: float = DISCORDANT_SHARE) -> int:
    """Problems with which a paired difference of this size lies outside its 95 % interval around 0."""
    return math.ceil(discordant * (Z_95 / detectable) ** 2)
