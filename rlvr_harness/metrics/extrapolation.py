"""pass@k past the samples there are, from a law fitted to the counts: a guess under a model, never a measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlvr_harness.metrics.curve import Curve, FloatArray, IntArray, ProblemCounts
from rlvr_harness.metrics.inflated_beta import ALWAYS, Laws, fit
from rlvr_harness.metrics.intervals import TAIL
from rlvr_harness.metrics.pass_at_k import log_choose
from rlvr_harness.metrics.sequential import pass_values, walk

FEWEST_PROBLEMS = 10
FEWEST_BETWEEN = 3
"""Problems with some but not all samples right: without them the Beta is any that has its weight at 0 and 1."""
FEWEST_SAMPLES = 8
"""Fewer values of c do not tell four parameters apart."""
REPLICATES = 200
DOUBLINGS = 4
ONE_SHARE_GAIN = 2.71
"""Twice the log-likelihood that a share of problems always solved must add: 5 % of a chance mixture of 0 and chi^2_1,
the law of the gain where there is no such share (Self and Liang 1987, JASA 82:605)."""
VANISHED = 1e-6
REFUSED = 0.05
"""Below this `fit_p` the law is said not to fit."""


@dataclass(frozen=True, slots=True)
class Extrapolated:
    """pass@K under the law, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """The fitted law and what it says past `from_n` samples. `fit_p`: chance of a worse fit, were the law true."""

    law: str
    a: float
    b: float
    zero_share: float
    one_share: float
    from_n: int
    fit_p: float
    warning: str | None
    pass_at_k: dict[str, Extrapolated]


def extrapolate(counts: ProblemCounts, measured: Curve, seed: int) -> Extrapolation | None:
    """The law of the counts at the four powers of two past the largest measured k.

    None where no law can be fitted: fewer than 10 problems, fewer than 3 with some but not all samples right (so all
    wrong, all right), or curves that end below k = 8.

    Uncertainty: 200 parametric bootstrap replicates (seeded): problems and samples drawn anew from the fitted law under
    the same plan, fitted again, one imagined problem added as in `intervals.problem_weights`; 2.5th and 97.5th
    percentiles. It takes the law for granted. Fit: in each replicate and in the data, the law's pass@k minus the
    measured one, each in units of its standard deviation over replicates, squared and summed over the measured ks;
    `fit_p` is the rank of the data's sum. Void samples are not simulated.
    """
    between = (counts.c > 0) & (counts.c < counts.n)
    from_n = int(measured.ks.max(initial=0))
    if len(counts.n) < FEWEST_PROBLEMS or between.sum() < FEWEST_BETWEEN or from_n < FEWEST_SAMPLES:
        return None
    law = _fitted(counts.n, counts.c)
    rng = np.random.default_rng(seed)
    n, c, values = _replicates(counts, law, measured.ks, rng)
    laws = fit(n, c, np.repeat(law.parameters, len(n), axis=0))
    ks = (1 << from_n.bit_length()) * 2 ** np.arange(DOUBLINGS)
    beyond = law.pass_at_k(ks)[0]
    low, high = _bounds(beyond, laws.pass_at_k(ks), len(counts.n), rng)
    fit_p = _rank(law.pass_at_k(measured.ks)[0] - measured.values.mean(axis=0), laws.pass_at_k(measured.ks) - values)
    ones = bool(np.isfinite(law.parameters[0, ALWAYS]))
    return Extrapolation(
        law=f"{'zero- and one-inflated' if ones else 'zero-inflated'} beta-binomial",
        a=float(law.a[0]),
        b=float(law.b[0]),
        zero_share=_share(law.never),
        one_share=_share(law.always),
        from_n=from_n,
        fit_p=fit_p,
        warning=_warning(fit_p),
        pass_at_k={str(k): Extrapolated(*map(float, row)) for k, *row in zip(ks, beyond, low, high, strict=True)},
    )


def _bounds(
    value: FloatArray, draws: FloatArray, problems: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Percentiles of the replicates; half an imagined problem is never solved, half always.

    Without it a law fitted where every problem was solved would be sure that there is no other kind of problem.
    """
    solved, unsolved = rng.standard_gamma(0.5, size=(2, len(draws), 1))
    drawn = (problems * draws + solved) / (problems + solved + unsolved)
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], axis=0)
    return np.minimum(low, value), np.maximum(high, value)


def _share(found: FloatArray) -> float:
    """The share, 0 where the fit drove it to its lower limit."""
    return float(found[0]) if found[0] > VANISHED else 0.0


def _warning(fit_p: float) -> str | None:
    if fit_p >= REFUSED:
        return None
    return f"the fitted law does not follow the measured pass@k (p = {fit_p:.3f}): take what lies beyond as a sketch"


def _fitted(n: IntArray, c: IntArray) -> Laws:
    """The law of greatest likelihood from several starts; with a share always solved where the data ask for it."""
    without = _best(n, c, _starts(n, c, -np.inf))
    if not (c == n).any():
        return without
    one_share = np.log(max(float(np.mean(c == n)) / 2, 1e-3))
    within = _best(n, c, _starts(n, c, one_share))
    asked_for = 2 * (within.log_likelihood[0] - without.log_likelihood[0]) > ONE_SHARE_GAIN
    return within if asked_for else without


def _starts(n: IntArray, c: IntArray, one_share: float) -> FloatArray:
    """Three shares never solved, with a Beta of the mean of the other problems: wide, and narrower."""
    zeros = float(np.mean(c == 0))
    mean = float(np.clip(np.mean(c / n), 0.01, 0.99))
    starts = []
    for share in (0.02, 0.5 * zeros, 0.9 * zeros):
        share = float(np.clip(share, 1e-3, 0.9))
        rest = min(mean / (1 - share), 0.99)
        for weight in (0.7, 3.0):
            starts.append([np.log(rest * weight), np.log((1 - rest) * weight), np.log(share / (1 - share)), one_share])
    return np.array(starts)


def _best(n: IntArray, c: IntArray, starts: FloatArray) -> Laws:
    laws = fit(np.tile(n, (len(starts), 1)), np.tile(c, (len(starts), 1)), starts)
    best = [int(np.argmax(laws.log_likelihood))]
    return Laws(laws.parameters[best], laws.log_likelihood[best])


def _replicates(
    counts: ProblemCounts, law: Laws, ks: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray, FloatArray]:
    """(n, c, measured pass@k) of data drawn from the law under the plan: shapes (B, P), (B, P), (B, K)."""
    chances = law.draw(rng, REPLICATES, len(counts.n))
    if counts.stopping is None:
        n = np.broadcast_to(counts.n, chances.shape)
        c = rng.binomial(n, chances)
        base = int(counts.n.max()) + 1
        pairs, place = np.unique(n * base + c, return_inverse=True)
        size, right = (each[:, None] for each in np.divmod(pairs, base))
        missed = log_choose(size - right, ks) - log_choose(size, ks)
        return n, c, _means(-np.expm1(missed), place.reshape(chances.shape))
    stages, stop_after = counts.stopping.stages, counts.stopping.stop_after
    c, stopped_at = np.zeros(chances.shape, dtype=np.int64), np.zeros(chances.shape, dtype=np.int64)
    for stage, size in enumerate(np.diff(stages, prepend=0)):
        going = (c < stop_after) | (stage == 0)
        c = c + np.where(going, rng.binomial(size, chances), 0)
        stopped_at = np.where(going, stage, stopped_at)
    place, offset = np.empty(chances.shape, dtype=np.int64), 0
    table = []
    for stage in range(len(stages)):
        right, where = np.unique(c[stopped_at == stage], return_inverse=True)
        place[stopped_at == stage] = where + offset
        offset += len(right)
        if len(right):
            table.append(pass_values(walk(stages[: stage + 1], stop_after), stage + 1, right, ks))
    return np.array(stages)[stopped_at], c, _means(np.concatenate(table), place)


def _means(table: FloatArray, place: IntArray) -> FloatArray:
    """Mean over problems of the table's rows, by replicate."""
    shares = np.zeros((len(place), len(table)))
    np.add.at(shares, (np.arange(len(place))[:, None], place), 1 / place.shape[1])
    return np.asarray(shares @ table)


def _rank(observed: FloatArray, simulated: FloatArray) -> float:
    """Share of replicates, the data among them, whose residuals are at least as large as the data's."""
    spread = simulated.std(axis=0)
    known = spread > 1e-9
    sums = [(each[..., known] ** 2 / spread[known] ** 2).sum(axis=-1) for each in (simulated, observed)]
    return float((1 + np.sum(sums[0] >= sums[1])) / (1 + len(simulated)))
