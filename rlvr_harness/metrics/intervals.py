"""95 % intervals: problems resampled (speaks of new problems), or problems fixed (sampling noise alone)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from rlvr_harness.metrics.curve import Curve, FloatArray, IntArray
from rlvr_harness.records import Measurement

TAIL = 0.025
NORMAL_95 = 1.96
DRAWS = 2_000
OUTSIDE = (0.1, 0.4, 0.4, 0.1)
"""Weights of the imagined values in rising order. Chosen by simulation: with less further in, 30 problems hold the
truth too seldom; with more outermost, intervals of small differences grow by half (benchmarks/interval_coverage.py)."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Lower and upper 95 % bounds, arrays of one shape."""

    low: FloatArray
    high: FloatArray


def clopper_pearson(c: IntArray, n: IntArray) -> Interval:
    """Exact 95 % interval of a chance from c successes in n trials (Clopper and Pearson 1934); [0, 1] for n = 0."""
    low = np.where(c == 0, 0.0, special.betaincinv(np.maximum(c, 1), n - c + 1, TAIL))
    high = np.where(c == n, 1.0, special.betaincinv(c + 1, np.maximum(n - c, 1), 1 - TAIL))
    return Interval(low, high)


def bootstrap_weights(problems: int, seed: int, draws: int = DRAWS) -> FloatArray:
    """Share of each problem in each resample of the problems, shape (draws, P).

    `weights @ values` are the resampled means. Quantities that share the weights are resampled together: paired.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((draws, problems))
    for row in weights:
        row[:] = np.bincount(rng.integers(problems, size=problems), minlength=problems) / problems
    return weights


def problem_weights(problems: int, seed: int, draws: int = DRAWS) -> FloatArray:
    """Weights of the problems and of four imagined values in each draw, shape (draws, P + 4); rows add up to 1.

    Rubin's Bayesian bootstrap (1981, Annals of Statistics 9:130): Dirichlet weights, 1 for a problem. One problem more
    is imagined, half of it below and half above, 1/10 at the outermost possible value and 4/10 further in (`OUTSIDE`).
    """
    rng = np.random.default_rng(seed)
    shape = np.concatenate([np.ones(problems), OUTSIDE])
    weights = rng.standard_gamma(shape, size=(draws, len(shape)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def problem_interval(values: FloatArray, weights: FloatArray, floor: float = 0.0) -> Interval:
    """95 % interval of the mean over problems of `values`, shape (P, K), each within [floor, 1].

    `weights`: `problem_weights` of P problems. The imagined values of a share (floor 0) lie at 0 and 1: for values of 0
    and 1 alone this is Jeffreys' interval. Those of a difference (floor -1) lie at -1 and 1, and at the largest
    difference seen and its opposite. Plain resampling holds the truth far less often than it says where few problems
    decide, as with 30 problems near 1: see docs/metrics.md.

    Where all problems agree to within 1/P, problems that never turned up may still differ: with 97.5 % confidence on
    either side they make up at most u = 1 - 0.025^(1/P) (Clopper-Pearson for 0 of P). The bounds then leave at least a
    share u to the worst and to the best possible value, as Brown, Cai and DasGupta (2001) do with Jeffreys' interval.
    """
    problems = len(values)
    inner = np.abs(values).max(axis=0) if floor < 0 else np.ones(values.shape[1])
    imagined = np.stack([np.full(len(inner), floor), inner * floor, inner, np.ones(len(inner))])
    resampled = np.quantile(weights @ np.concatenate([values, imagined]), [TAIL, 1 - TAIL], axis=0)
    unseen = np.where(np.ptp(values, axis=0) < 1 / problems, 1 - TAIL ** (1 / problems), 0.0)
    mean = values.mean(axis=0)
    low = np.minimum(resampled[0], mean * (1 - unseen) + floor * unseen)
    high = np.maximum(resampled[1], mean * (1 - unseen) + unseen)
    return Interval(np.clip(low, floor, 1.0), np.clip(high, floor, 1.0))


def expanded_tail(problems: int) -> float:
    """Share of resamples to leave out on either side, for two problems or more.

    Less than 2.5 %, as far as Student's t and the divisor P - 1 ask for: Hesterberg 2015, American Statistician 69:371.
    """
    return float(special.ndtr(special.stdtrit(problems - 1, TAIL) * np.sqrt(problems / (problems - 1))))


def ratio_interval(above: FloatArray, below: FloatArray, weights: FloatArray) -> Interval:
    """95 % interval of sum(above) / sum(below), problems resampled: `above`, `below` (P, K), `weights` (draws, P).

    Expanded percentiles of the bootstrap. Resamples with nothing below are left out. Unbounded with one problem.
    """
    problems = len(above)
    if problems < 2:
        return Interval(np.full(above.shape[1], -np.inf), np.full(above.shape[1], np.inf))
    tail = expanded_tail(problems)
    totals = weights @ below
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(totals > 0, weights @ above / totals, np.nan)
    low, high = np.nanquantile(ratios, [tail, 1 - tail], axis=0)
    value = above.sum(axis=0) / below.sum(axis=0)
    return Interval(np.minimum(low, value), np.maximum(high, value))


def sampling_interval(mean: FloatArray, variances: FloatArray, floor: float = 0.0) -> Interval:
    """mean +- 1.96 standard errors, problems fixed, within [floor, 1]. `variances`: one per problem, shape (P, K).

    Problems are sampled independently, so the variance of their mean is the sum of the variances over P^2.
    """
    margin = NORMAL_95 * np.sqrt(variances.sum(axis=0)) / len(variances)
    return Interval(np.clip(mean - margin, floor, mean), np.clip(mean + margin, mean, 1.0))


def measure_curve(curve: Curve, weights: FloatArray, floor: float = 0.0) -> list[Measurement]:
    """The curve's mean over problems at each of its ks, with both intervals; empty without problems.

    `floor` is the least possible value: 0, or -1 for a difference.
    """
    if not curve.values.size:
        return []
    mean = curve.values.mean(axis=0)
    resampled = problem_interval(curve.values, weights, floor)
    columns = [mean, resampled.low, resampled.high]
    if curve.variances is not None:
        noise = sampling_interval(mean, curve.variances, floor)
        columns += [noise.low, noise.high]
    return [Measurement(*(float(bound) for bound in row)) for row in zip(*columns, strict=True)]


def subtract(model: Curve, base: Curve) -> Curve:
    """model - base, problem by problem, at the model's ks; sampled independently, so their variances add."""
    if model.problem_ids != base.problem_ids:
        raise ValueError("a paired difference needs the same problems in the same order")
    variances = None
    if model.variances is not None and base.variances is not None:
        variances = model.variances + base.variances
    return Curve(model.problem_ids, model.ks, model.values - base.values, variances)
