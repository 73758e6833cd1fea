"""Every per-problem metric, for samples drawn at a fixed n and by a sequential plan alike.

Under a sequential plan pass@k is estimable for every k up to the last stage. pass^k, G-Pass@k and votes ask what k
samples hold of a problem that may have stopped with fewer; they have an unbiased estimate up to the first stage only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from rlvr_harness.metrics.curve import Curve, FloatArray, IntArray, ProblemCounts
from rlvr_harness.metrics.histogram import BINS, share_bins
from rlvr_harness.metrics.intervals import NORMAL_95
from rlvr_harness.metrics.pass_at_k import curve_ks, fixed_curve, pass_at_k_table, pass_hat_curve
from rlvr_harness.metrics.reliability import cover_at_tau, g_pass_at_k
from rlvr_harness.metrics.sequential import first_stage_curve, full_variances, sequential_curve

ROUNDING = 1e-12
"""An estimate this close below a limit reaches it: 0.3 worked out in doubles may fall short of 3/10."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """One model's pass@k by problem, worked out once: at the reported `ks`, and at `every_k` without variances.

    `ks` is empty where the model has no problem.
    """

    counts: ProblemCounts
    ks: Sequence[int]
    curve: Curve
    every_k: Curve

    def only(self, problem_ids: Sequence[str]) -> Estimates:
        """The estimates of these problems, in this order."""
        parts = (each.only(problem_ids) for each in (self.curve, self.every_k))
        return Estimates(self.counts.only(problem_ids), self.ks, *parts)


def estimate(counts: ProblemCounts, k_max: int) -> Estimates:
    """pass@k up to `k_max`, at most the `reach` of every problem."""
    every_k = pass_curve(counts, range(1, k_max + 1), with_variances=False)
    ks = curve_ks(k_max) if len(counts.n) else ()
    return Estimates(counts, ks, pass_curve(counts, curve_ks(k_max)), every_k)


def paid(estimates: Estimates, problems: int, samples: int) -> dict[str, Any]:
    """What a sequential plan saved, and at what width of the intervals of pass@k; empty where n is fixed.

    Widths by k, `plan` as drawn and `full` had every problem all its samples, at the same estimated chances of success:
    `sampling_width` of the interval with the problems fixed, `interval_width` with the problems resampled, each as 1.96
    standard errors on either side. The variance between problems is the same in both, that of the sampling is not.
    """
    counts, curve = estimates.counts, estimates.curve
    if counts.stopping is None:
        return {}
    full = problems * counts.stopping.stages[-1]
    first = int(counts.first.min(initial=counts.stopping.stages[0]))
    widths: dict[str, Any] = {}
    if curve.values.size and curve.variances is not None:
        drawn, fixed = curve.variances.mean(axis=0), full_variances(counts, estimates.ks).mean(axis=0)
        between = np.maximum(curve.values.var(axis=0) - drawn, 0.0)
        for name, shared in (("sampling_width", 0.0 * between), ("interval_width", between)):
            sides = (2 * NORMAL_95 * np.sqrt((shared + each) / len(counts.n)) for each in (drawn, fixed))
            rows = zip(estimates.ks, *sides, strict=True)
            widths[name] = {str(k): {"plan": float(plan), "full": float(all_)} for k, plan, all_ in rows}
    return {"expected_full": full, "saved": full - samples, "first_stage": first, **widths}


def pass_curve(counts: ProblemCounts, ks: Sequence[int], with_variances: bool = True) -> Curve:
    """pass@k of every problem at these ks, none above the `reach` of a problem."""
    estimator = fixed_curve if counts.stopping is None else sequential_curve
    return estimator(counts, ks, with_variances)


def pass_hat(counts: ProblemCounts, ks: Sequence[int]) -> Curve:
    """pass^k of every problem at these ks, none above the `first` samples of a problem."""
    if counts.stopping is None:
        return pass_hat_curve(counts, ks)
    return first_stage_curve(counts, ks, lambda n, c: 1.0 - pass_at_k_table(n, n - c, ks))


def g_pass(counts: ProblemCounts, k: int, taus: Sequence[Fraction]) -> FloatArray:
    """G-Pass@k at each tau, shape (P, taus); k is at most the `first` samples of a problem."""
    if counts.stopping is None:
        return g_pass_at_k(counts, k, taus)
    columns = range(len(taus))
    at_fixed_n = first_stage_curve(counts, columns, lambda n, c: g_pass_at_k(ProblemCounts((), n, c), k, taus), False)
    return np.clip(at_fixed_n.values, 0.0, 1.0)


def accuracy(counts: ProblemCounts) -> FloatArray:
    """Unbiased estimate of each problem's chance of success: c / n at a fixed n.

    A sequential plan stops on success, which puts c / n too high; the estimate is then pass@1 over all orders.
    """
    return pass_curve(counts, (1,), with_variances=False).values[:, 0]


def cover(counts: ProblemCounts, taus: Sequence[Fraction]) -> FloatArray:
    """Whether each problem's accuracy reaches tau: 0.0 or 1.0, shape (P, taus)."""
    if counts.stopping is None:
        return cover_at_tau(counts, taus)
    limits = np.array([float(tau) for tau in taus])
    return (accuracy(counts)[:, None] >= limits - ROUNDING).astype(np.float64)


def histogram(counts: ProblemCounts) -> list[int]:
    """Problems with accuracy 0, then in (0, .1], ... (.9, 1]: 11 counts."""
    return [int(count) for count in np.bincount(accuracy_bins(counts), minlength=BINS)]


def accuracy_bins(counts: ProblemCounts) -> IntArray:
    """Each problem's bin of accuracy: 0 for exactly 0, then 1 for (0, .1], ... 10 for (.9, 1].

    A problem solved late can have an unbiased estimate of 0; it belongs to (0, .1], for it was solved.
    """
    if counts.stopping is None:
        return share_bins(counts.n, counts.c)
    bins = np.ceil(10 * accuracy(counts) - ROUNDING).astype(np.int64)
    return np.where(counts.c > 0, np.maximum(bins, 1), 0)
