"""Right answers with right reasons: how often the chain of thought holds, and pass@k that counts only such samples.

A sample passes when its answer is right and its chain is marked right (CoT-Pass@k, arXiv:2506.14245). Only samples with
a right answer need marks. Where all of them are marked the estimate is unbiased; otherwise the unmarked are filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from rlvr_harness.metrics.curve import FloatArray, IntArray, ProblemCounts
from rlvr_harness.metrics.disagreement import right_within
from rlvr_harness.metrics.intervals import OUTSIDE, TAIL, problem_interval
from rlvr_harness.metrics.pass_at_k import log_choose, pass_at_k_table
from rlvr_harness.metrics.sequential import walk

CotKind = Literal["exact", "estimated"]

OWN_WEIGHT = 1.0
"""The model's rate counts as one mark beside a problem's own: chains of one problem tend to be right or wrong alike."""
RATES = 33
"""Rates at which the estimate is worked out for the interval; in between it is read off a straight line."""
EDGE = 1e-6
"""Rates nearer 0 or 1 are moved here, where a beta law still has a density."""


@dataclass(frozen=True, slots=True, eq=False)
class ChainMarks:
    """Per problem: right-answer samples with a settled mark, and how many of these chains are right; shape (P,).

    A mark is settled when its judges agree on right or wrong; `unsure` ones are left out. Rows are those of the counts.
    """

    marked: IntArray
    right: IntArray


@dataclass(frozen=True, slots=True)
class ChainRate:
    """Share of marked right answers whose chain is right, with a 95 % interval that knows of problems."""

    value: float
    low: float
    high: float
    marked: int
    problems: int


@dataclass(frozen=True, slots=True)
class CotPoint:
    """CoT-Pass@k with its 95 % interval, problems resampled.

    `kind`: exact where every right answer is marked, and then unbiased; estimated otherwise. `at_least`: a sequential
    plan stopped some problem with fewer than k samples, of whose chains no more is known, so that the value is a floor.
    """

    value: float
    low: float
    high: float
    kind: CotKind
    at_least: bool


def chain_rate(marks: ChainMarks) -> ChainRate | None:
    """The share of right chains among marked right answers, pooled over problems; None without marks.

    Interval: Clopper and Pearson's at an effective number of marks (Korn and Graubard 1998, Survey Methodology 24:193),
    the number that would vary as much if marks were independent: never above the marks made, and the number of marked
    problems where all marks agree or only one problem has any, for then nothing tells how alike a problem's chains are.
    """
    chosen = marks.marked > 0
    m, r = marks.marked[chosen], marks.right[chosen]
    problems, total = len(m), int(m.sum())
    if not total:
        return None
    rate = int(r.sum()) / total
    effective = float(problems)
    if 0 < rate < 1 and problems > 1:
        variance = problems / (problems - 1) * float(((r - rate * m) ** 2).sum()) / total**2
        spread = special.stdtrit(problems - 1, TAIL) / special.ndtri(TAIL)
        effective = min(float(total), rate * (1 - rate) / variance / spread**2) if variance else float(total)
    won, lost = rate * effective, (1 - rate) * effective
    low = float(special.betaincinv(won, lost + 1, TAIL)) if won else 0.0
    high = float(special.betaincinv(won + 1, lost, 1 - TAIL)) if lost else 1.0
    return ChainRate(rate, low, high, total, problems)


def cot_pass_at_k(
    counts: ProblemCounts, marks: ChainMarks, ks: Sequence[int], weights: FloatArray
) -> dict[int, CotPoint]:
    """CoT-Pass@k by k, at most the `reach` of every problem; `weights`: `problem_weights` of P problems.

    Where all c right answers of every problem are marked, r of them right: pass@k from (n, r), by counting under a
    sequential plan. Otherwise r + x right chains, x of the c - m unmarked: beta-binomial with parameters r + q and
    m - r + 1 - q, where q is the pooled `chain_rate`; the value is its mean over x. This takes the marked samples for a
    random choice of the problem's right ones. The interval draws problems and, with them, q. Empty where samples are
    left to fill in and no mark says how.
    """
    if (marks.right > marks.marked).any() or (marks.marked > counts.c).any() or (marks.right < 0).any():
        raise ValueError("marks need 0 <= right <= marked <= c for every problem")
    if not len(counts.n) or not len(ks):
        return {}
    kind: CotKind = "exact" if (marks.marked == counts.c).all() else "estimated"
    if kind == "exact":
        values = _table(counts, marks, ks, np.array([0.5]))[0]
        bounds = problem_interval(values, weights)
        low, high = bounds.low, bounds.high
    elif not marks.marked.any():
        return {}
    else:
        rate = int(marks.right.sum()) / int(marks.marked.sum())
        values = _table(counts, marks, ks, np.array([rate]))[0]
        low, high = _bounds_over_rates(counts, marks, ks, weights)
    means = values.mean(axis=0)
    floors = np.asarray(ks) > counts.first.min() if counts.stopping else np.zeros(len(ks), dtype=bool)
    rows = zip(ks, means, np.minimum(low, means), np.maximum(high, means), floors, strict=True)
    return {k: CotPoint(float(v), float(below), float(above), kind, bool(at)) for k, v, below, above, at in rows}


def _bounds_over_rates(
    counts: ProblemCounts, marks: ChainMarks, ks: Sequence[int], weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The interval, the rate drawn with the problems: half an imagined mark is right, half wrong, as in a share's."""
    half = len(OUTSIDE) // 2
    ours, below, above = weights[:, : len(counts.n)], weights[:, -2 * half : -half], weights[:, -half:]
    right = ours @ marks.right + above.sum(axis=1)
    rates = right / (ours @ marks.marked + above.sum(axis=1) + below.sum(axis=1))
    # Even steps of the angle: the estimate bends most near 0 and 1.
    grid = np.sin(np.linspace(0, np.pi / 2, RATES)) ** 2
    table = _table(counts, marks, ks, grid)
    place = np.clip(np.searchsorted(grid, rates) - 1, 0, RATES - 2)
    along = ((rates - grid[place]) / (grid[place + 1] - grid[place]))[:, None]
    drawn = np.empty((len(weights), len(ks)))
    for left in np.unique(place):
        rows = place == left
        outer = above[rows].sum(axis=1, keepdims=True)
        ends = [ours[rows] @ table[left + side] + outer for side in (0, 1)]
        drawn[rows] = (1 - along[rows]) * ends[0] + along[rows] * ends[1]
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], axis=0)
    return low, high


def _table(counts: ProblemCounts, marks: ChainMarks, ks: Sequence[int], rates: FloatArray) -> FloatArray:
    """Estimates by rate, problem and k: shape (rates, P, K)."""
    values = np.empty((len(rates), len(counts.n), len(ks)))
    known: dict[tuple[object, ...], FloatArray] = {}
    hits: dict[tuple[object, ...], FloatArray] = {}
    for row, (n, c, m, r) in enumerate(zip(counts.n, counts.c, marks.marked, marks.right, strict=True)):
        path = None if counts.stopping is None else counts.stopping.reached[row]
        case, key = (path, int(n), int(c)), (path, int(n), int(c), int(m), int(r))
        if case not in hits:
            hits[case] = _hits(counts, row, ks)
        if key not in known:
            known[key] = _right_chains(int(c - m), int(m), int(r), rates) @ hits[case][r : r + c - m + 1]
        values[:, row] = known[key]
    return values


def _right_chains(unmarked: int, marked: int, right: int, rates: FloatArray) -> FloatArray:
    """Chance of each number of right chains among the unmarked, shape (rates, unmarked + 1)."""
    if not unmarked:
        return np.ones((len(rates), 1))
    rate = np.clip(rates, EDGE, 1 - EDGE)[:, None]
    x, a, b = np.arange(unmarked + 1), right + OWN_WEIGHT * rate, marked - right + OWN_WEIGHT * (1 - rate)
    logs = log_choose(unmarked, x) + special.betaln(a + x, b + unmarked - x) - special.betaln(a, b)
    chances = np.exp(logs)
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def _hits(counts: ProblemCounts, row: int, ks: Sequence[int]) -> FloatArray:
    """Chance that the first k samples hold one of j right chains, each choice of j among the c right answers alike.

    Shape (c + 1, K), j = 0 ... c. Where fewer than k were drawn, it is what those hold.
    """
    n, c = int(counts.n[row]), int(counts.c[row])
    chains = np.arange(c + 1)
    if counts.stopping is None:
        return pass_at_k_table(np.full(c + 1, n), chains, ks)
    path = walk(counts.stopping.reached[row], counts.stopping.stop_after)
    within = [right_within(path, len(path.ends), np.array([c]), min(k, path.ends[-1]))[0] for k in ks]
    among = np.zeros((c + 1, c + 1))
    if c:
        among[:, 1:] = pass_at_k_table(np.full(c + 1, c), chains, range(1, c + 1))
    return np.stack([among @ chances for chances in within], axis=1)
