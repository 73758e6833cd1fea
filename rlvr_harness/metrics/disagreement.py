"""Two verifiers on the same samples: how often they differ, and what that means for pass@k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rlvr_harness.metrics.curve import FloatArray, IntArray, ProblemCounts, Stopping
from rlvr_harness.metrics.guessing import chance_in_k_draws
from rlvr_harness.metrics.pass_at_k import curve_ks, log_choose, pass_at_k_table
from rlvr_harness.metrics.sequential import Walk, sequential_curve, walk


@dataclass(frozen=True, slots=True, eq=False)
class PairedCounts:
    """Per problem: samples judged by both verifiers, and how many each, both and either found right; shape (P,)."""

    n: IntArray
    first: IntArray
    second: IntArray
    both: IntArray

    @property
    def either(self) -> IntArray:
        """Right by at least one."""
        return self.first + self.second - self.both


@dataclass(frozen=True, slots=True)
class BandPoint:
    """pass@k when only samples right by both count (`low`), and when right by either is enough (`high`)."""

    low: float
    high: float


def disagreement_rate(counts: PairedCounts) -> float | None:
    """Share of samples on which the verifiers differ; None without samples."""
    total = int(counts.n.sum())
    return int((counts.either - counts.both).sum()) / total if total else None


def false_positive_rate(counts: PairedCounts) -> float | None:
    """Share of the samples wrong by the second verifier that the first accepts; None where it finds none wrong."""
    wrong = int((counts.n - counts.second).sum())
    return int((counts.first - counts.both).sum()) / wrong if wrong else None


def pass_at_k_floor(rate: float, k: int) -> float:
    """pass@k of a model that is never right when wrong samples pass at this rate: 1 - (1 - rate)^k."""
    return float(chance_in_k_draws(rate, k))


def pass_at_k_band(counts: PairedCounts, k_max: int, stopping: Stopping | None = None) -> dict[int, BandPoint]:
    """The pass@k that the truth lies between, if for each sample one of the two verifiers is right; by curve k.

    `stopping`: the sequential plan by which the first verifier's verdicts stopped the sampling, rows as in `counts`. A
    stopped problem then tells nothing of what both verifiers accept beyond its samples: `low` takes it that none of the
    rest would have passed both, and so lies below the value at a fixed n, never above.
    """
    if stopping is not None:
        return _sequential_band(counts, k_max, stopping)
    measured = counts.n > 0
    if not measured.any():
        return {}
    ks: Sequence[int] = curve_ks(min(k_max, int(counts.n[measured].min())))
    low, high = (
        np.mean(pass_at_k_table(counts.n[measured], c[measured], ks), axis=0) for c in (counts.both, counts.either)
    )
    return {k: BandPoint(float(low[column]), float(high[column])) for column, k in enumerate(ks)}


def _sequential_band(counts: PairedCounts, k_max: int, stopping: Stopping) -> dict[int, BandPoint]:
    rows = np.flatnonzero(counts.n > 0)
    if not len(rows):
        return {}
    kept = replace(stopping, reached=tuple(stopping.reached[row] for row in rows))
    first = ProblemCounts(tuple(map(str, rows)), counts.n[rows], counts.first[rows], kept)
    ks = curve_ks(min(k_max, int(first.reach.min())))
    wrong, second_only = first.n - first.c, (counts.second - counts.both)[rows]
    misses = 1.0 - sequential_curve(first, ks, with_variances=False).values
    for column, k in enumerate(ks):
        # Where the first verifier finds none of k right, they are k of the wrong ones, in random order.
        some = np.flatnonzero(wrong >= k)
        misses[some, column] *= 1.0 - pass_at_k_table(wrong[some], second_only[some], [k])[:, 0]
    low = _both_at_k(first, counts.both[rows], ks).mean(axis=0)
    points = zip(ks, low, (1.0 - misses).mean(axis=0), strict=True)
    return {k: BandPoint(float(below), float(above)) for k, below, above in points}


def _both_at_k(first: ProblemCounts, both: IntArray, ks: Sequence[int]) -> FloatArray:
    """Chance that the first k samples, or all where there are fewer, hold one of the `both` right by both verifiers.

    Given which samples the first verifier accepts, each choice of `both` among these c is equally likely.
    """
    assert first.stopping is not None
    values = np.empty((len(both), len(ks)))
    for reached in dict.fromkeys(first.stopping.reached):
        path = walk(reached, first.stopping.stop_after)
        rows = [row for row, ends in enumerate(first.stopping.reached) if ends == reached]
        right, place = np.unique(first.c[rows], return_inverse=True)
        among = [right_within(path, len(path.ends), right, min(k, path.ends[-1])) for k in ks]
        for row, at in zip(rows, place, strict=True):
            c = int(right[at])
            hit = pass_at_k_table(np.array([c]), both[[row]], range(1, c + 1))[0]
            values[row] = [chances[at, 1 : c + 1] @ hit for chances in among]
    return np.clip(values, 0.0, 1.0)


def right_within(path: Walk, stage: int, c: IntArray, k: int) -> FloatArray:
    """Chance of each number of right samples among the first k, over the orders that end `stage` with c right.

    Shape (len(c), max(c) + 1); k is at most the samples at the end of `stage`.
    """
    seen, size = path.sizes(stage)
    shares, before = path.shares(stage, c), path.before(stage)
    chances = np.zeros((len(c), int(c.max()) + 1))
    if k <= seen:
        earlier = shares @ right_within(path, stage - 1, before, k)
        wide = min(earlier.shape[1], chances.shape[1])
        chances[:, :wide] = earlier[:, :wide]
        return chances
    for d in before[before <= c.max()]:
        left = np.clip(c - d, 0, size)[:, None]
        drawn = np.arange(chances.shape[1] - d)
        fits = (drawn <= np.minimum(left, k - seen)) & (k - seen - drawn <= size - left)
        ways = log_choose(left, np.minimum(drawn, left)) - log_choose(size, k - seen)
        ways = ways + log_choose(size - left, np.clip(k - seen - drawn, 0, size - left))
        chances[:, d:] += shares[:, [d]] * np.where(fits, np.exp(ways), 0.0)
    return chances
