"""Unbiased estimates under a sequential plan, by counting the ways in which a problem can come to stop where it did.

A plan has stages n_1 < ... < n_J; a problem with at least r right samples at the end of a stage stops, any other goes
on to n_J. Given where it stopped and how many samples were right, every order of outcomes that leads there is equally
likely. What the first k samples show, averaged over these orders, is therefore unbiased whatever the chance of success
(Girshick, Mosteller and Savage 1946, Annals of Mathematical Statistics 17:13): for pass@k, one minus the number of
orders that begin with k failures over the number of all.

The average is taken stage by stage. With d right samples at the end of one stage and c at the end of the next, the
orders before and after the first of the two are independent, so the estimate at the later one is the mean over d of the
estimates at the earlier one, each weighted by its number of orders. All terms are positive: nothing cancels.

Void samples leave n and shorten the stages that they fall into, problem by problem. Where voids are independent of the
outcome, a problem was sampled under the plan with these shorter stages, and its estimates are exact for that plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import special

from rlvr_harness.errors import TooFewSamples
from rlvr_harness.metrics.curve import Curve, FloatArray, IntArray, ProblemCounts, Stopping
from rlvr_harness.metrics.intervals import TAIL, Interval, clopper_pearson
from rlvr_harness.metrics.pass_at_k import log_choose, pass_at_k_table, smoothed_chance, variance_at

Statistic = Callable[[IntArray, IntArray], FloatArray]
"""Estimates from samples at a fixed n: arrays n and c of shape (P,) -> shape (P, columns)."""

BISECTIONS = 60
"""Halvings of [0, 1] until a bound is known to 1e-18, finer than doubles near 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """The stages of one problem, without empty ones, and log the number of orders that survive each.

    `survivors[i][d]`: orders with d right samples at the end of stage i, none of whose stages so far had r right;
    `survivors[0]` is the start, where no sample was drawn.
    """

    ends: tuple[int, ...]
    stop_after: int
    survivors: tuple[FloatArray, ...]

    def before(self, stage: int) -> IntArray:
        """The numbers of right samples with which a problem enters a stage, counted from 1."""
        return np.arange(len(self.survivors[stage - 1]))

    def sizes(self, stage: int) -> tuple[int, int]:
        """(samples before the stage, samples in it)."""
        seen = self.ends[stage - 2] if stage > 1 else 0
        return seen, self.ends[stage - 1] - seen

    def terminal(self, stage: int) -> IntArray:
        """The numbers of right samples with which a problem can end at this stage, were it the one where it stops."""
        _, size = self.sizes(stage)
        lowest = 0 if stage == len(self.ends) else self.stop_after
        return np.arange(lowest, len(self.survivors[stage - 1]) + size)

    def shares(self, stage: int, c: IntArray) -> FloatArray:
        """Share of the orders that end `stage` with c right samples, by how many had been right before it.

        Shape (len(c), R). Successive weights differ by a ratio of small whole numbers, which keeps the shares exact to
        a few ulp where differences of log-gamma would lose three digits.
        """
        _, size = self.sizes(stage)
        left = c[:, None] - self.before(stage)
        possible = (left >= 0) & (left <= size)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.log(left[:, 1:] + 1.0) - np.log(size - left[:, 1:])
        relative = np.zeros(left.shape)
        relative[:, 1:] = np.cumsum(np.where(possible[:, 1:] & possible[:, :-1], step, 0.0), axis=1)
        weights = np.where(possible, self.survivors[stage - 1] + relative, -np.inf)
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def log_orders(self, stage: int, c: IntArray) -> FloatArray:
        """log the number of orders that come to the end of `stage` with c right samples."""
        _, size = self.sizes(stage)
        left = c[:, None] - self.before(stage)
        logs = np.where((left >= 0) & (left <= size), log_choose(size, np.clip(left, 0, size)), -np.inf)
        return np.asarray(np.logaddexp.reduce(self.survivors[stage - 1] + logs, axis=1))


def walk(reached: Sequence[int], stop_after: int) -> Walk:
    """The walk through stages that end at these numbers of verified samples; repeats are stages without any."""
    ends = tuple(sorted({int(end) for end in reached if end}))
    survivors = [np.zeros(1)]
    for seen, end in pairwise((0, *ends)):
        kept = np.arange(min(stop_after, end + 1))
        drawn = np.arange(1.0, len(kept))
        with np.errstate(divide="ignore"):
            ways = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(end - seen - drawn + 1, 0)) - np.log(drawn))])
        left = kept[:, None] - np.arange(len(survivors[-1]))
        terms = np.where(left >= 0, survivors[-1] + ways[np.maximum(left, 0)], -np.inf)
        survivors.append(np.logaddexp.reduce(terms, axis=1))
    return Walk(ends, stop_after, tuple(survivors))


def is_reachable(reached: Sequence[int], stop_after: int, c: int) -> bool:
    """Whether a problem can end its last stage with c right samples without having stopped before."""
    ends = (0, *sorted({end for end in reached if end}))
    return len(ends) > 1 and 0 <= c <= min(stop_after - 1, ends[-2]) + ends[-1] - ends[-2]


def pass_values(path: Walk, stage: int, c: IntArray, ks: IntArray) -> FloatArray:
    """pass@k of problems that ended `stage` with c right samples, shape (len(c), K).

    1 beyond the samples drawn: right for a problem that stopped, undefined for one that did not, which callers exclude.
    """
    seen, size = path.sizes(stage)
    shares = path.shares(stage, c)
    values = np.ones((len(c), len(ks)))
    early, within = ks <= seen, (ks > seen) & (ks <= seen + size)
    if early.any():
        values[:, early] = shares @ pass_values(path, stage - 1, path.before(stage), ks[early])
    if within.any():
        # A miss has no right sample before this stage and k - seen wrong ones at its beginning.
        hits = pass_at_k_table(np.full(len(c), size), np.minimum(c, size), ks[within] - seen)
        values[:, within] = shares[:, :1] * hits + (1.0 - shares[:, :1])
    return np.clip(values, 0.0, 1.0)


def first_stage_values(path: Walk, stage: int, c: IntArray, statistic: Statistic) -> FloatArray:
    """Mean of a statistic of the first stage's samples over the orders that end `stage` with c right samples."""
    if stage == 1:
        return statistic(np.full(len(c), path.ends[0]), c)
    earlier = first_stage_values(path, stage - 1, path.before(stage), statistic)
    return np.asarray(path.shares(stage, c) @ earlier)


def sequential_curve(counts: ProblemCounts, ks: Sequence[int], with_variances: bool = True) -> Curve:
    """pass@k of problems sampled by a sequential plan, for every k up to its last stage.

    Raises TooFewSamples where a problem that did not stop has fewer than k verified samples.
    """
    wanted = np.asarray(ks, dtype=np.int64)
    most = int(wanted.max(initial=0))
    if (counts.reach < most).any():
        raise TooFewSamples(
            f"pass@{most} needs {most} verified samples of every problem that did not stop for success, one has "
            f"{counts.reach.min()}; sample more or lower --k"
        )
    return _curve(counts, wanted, lambda path, stage, c: pass_values(path, stage, c, wanted), with_variances)


def first_stage_curve(
    counts: ProblemCounts, columns: Sequence[int], statistic: Statistic, with_variances: bool = True
) -> Curve:
    """A fixed-n statistic with these columns, unbiased at the number of samples that the first stage draws.

    All samples count: it is the mean over every order of outcomes, which varies less than the first stage alone.
    """
    wanted = np.asarray(columns, dtype=np.int64)
    return _curve(counts, wanted, lambda path, stage, c: first_stage_values(path, stage, c, statistic), with_variances)


def full_variances(counts: ProblemCounts, ks: Sequence[int]) -> FloatArray:
    """Sampling variances of pass@k, shape (P, K), had every problem had the plan's full number of samples.

    At the same estimated chances of success as those of `sequential_curve`, so that the two differ by the plan alone.
    """
    chances, place = np.unique(smoothed_chance(counts.n, counts.c), return_inverse=True)
    return variance_at(_stopping(counts).stages[-1], chances, ks)[place]


def success_interval(counts: ProblemCounts) -> Interval:
    """Exact 95 % interval of each problem's chance of success.

    At a fixed n this is Clopper and Pearson's. Under a sequential plan the same tails are taken over the ways to stop,
    in the order of Siegmund (1978, Biometrika 65:341): the earlier a problem stops, and the more are right there, the
    higher its chance is held to be.
    """
    if counts.stopping is None:
        return clopper_pearson(counts.c, counts.n)
    low, high = np.empty(len(counts.n)), np.empty(len(counts.n))
    for reached, rows in _groups(counts.stopping.reached):
        path = walk(reached, counts.stopping.stop_after)
        right, place = np.unique(counts.c[rows], return_inverse=True)
        low[rows] = np.where(right == 0, 0.0, _bound(path, right - 1, 1 - TAIL))[place]
        high[rows] = np.where(right == path.ends[-1], 1.0, _bound(path, right, TAIL))[place]
    return Interval(low, high)


def _bound(path: Walk, right: IntArray, tail: float) -> FloatArray:
    """The chance of success at which stopping no earlier, with no more than `right`, has probability `tail`."""
    stage = len(path.ends)
    seen, size = path.sizes(stage)
    before = path.before(stage)
    low, high = np.zeros(len(right)), np.ones(len(right))
    for _ in range(BISECTIONS):
        p = (low + high)[:, None] / 2
        entered = np.exp(path.survivors[-2] + special.xlogy(before, p) + special.xlog1py(seen - before, -p))
        more = np.clip(right[:, None] - before, -1, size)
        at_most = np.where(more < 0, 0.0, special.bdtr(np.maximum(more, 0), size, p))
        above = (entered * at_most).sum(axis=1) > tail
        low, high = np.where(above, p[:, 0], low), np.where(above, high, p[:, 0])
    return (low + high) / 2


def _curve(
    counts: ProblemCounts,
    columns: IntArray,
    values_at: Callable[[Walk, int, IntArray], FloatArray],
    with_variances: bool,
) -> Curve:
    stopping = _stopping(counts)
    values = np.empty((len(counts.n), len(columns)))
    for reached, rows in _groups(stopping.reached):
        path = walk(reached, stopping.stop_after)
        right, place = np.unique(counts.c[rows], return_inverse=True)
        values[rows] = values_at(path, len(path.ends), right)[place]
    if not with_variances:
        return Curve(counts.problem_ids, columns, values)
    variances = np.empty(values.shape)
    for ends, rows in _groups([_to_the_end(reached, stopping) for reached in stopping.reached]):
        chances, place = np.unique(smoothed_chance(counts.n[rows], counts.c[rows]), return_inverse=True)
        variances[rows] = _variances(walk(ends, stopping.stop_after), chances, values_at)[place]
    return Curve(counts.problem_ids, columns, values, variances)


def _variances(path: Walk, chances: FloatArray, values_at: Callable[[Walk, int, IntArray], FloatArray]) -> FloatArray:
    """Variance of the estimates over all the ways in which the plan can end, at each chance of success.

    The chances are (c + 1/2) / (n + 1), as at a fixed n: under a Beta(1/2, 1/2) prior the posterior does not depend on
    the rule that stopped the sampling, and neither 0 nor n right ones then look certain.
    """
    mean = square = np.zeros((1, 1))
    for stage in range(1, len(path.ends) + 1):
        c = path.terminal(stage)
        values = values_at(path, stage, c)
        p = chances[:, None]
        log_chance = special.xlogy(c, p) + special.xlog1py(path.ends[stage - 1] - c, -p)
        chance = np.exp(path.log_orders(stage, c) + log_chance)
        mean, square = mean + chance @ values, square + chance @ values**2
    return np.maximum(square - mean**2, 0.0)


def _to_the_end(reached: tuple[int, ...], stopping: Stopping) -> tuple[int, ...]:
    """The stages as they would have gone on: the later ones as planned."""
    return (*reached, *(end for end in stopping.stages[len(reached) :] if end > reached[-1]))


def _groups(paths: Sequence[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], IntArray]]:
    """(stages, rows of the problems that have them)."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, ends in enumerate(paths):
        rows.setdefault(ends, []).append(row)
    for ends, chosen in rows.items():
        yield ends, np.array(chosen)


def _stopping(counts: ProblemCounts) -> Stopping:
    if counts.stopping is None:
        raise ValueError("these counts come from a fixed n, not from a sequential plan")
    return counts.stopping
