"""pass@k and pass^k from counts: unbiased for samples drawn at a fixed n."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from rlvr_harness.errors import TooFewSamples
from rlvr_harness.metrics.curve import Curve, FloatArray, IntArray, ProblemCounts

BLOCK_CELLS = 1 << 21
"""Largest temporary array, in cells: keeps memory bounded for any number of problems."""


def curve_ks(k: int) -> tuple[int, ...]:
    """The k at which a curve is reported: powers of two up to `k`, and `k` itself. Empty for k = 0."""
    return (*(1 << power for power in range(max(k - 1, 0).bit_length())), k) if k else ()


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that k of n samples, drawn without replacement, hold one of the c right ones; in [0, 1].

    1 - C(n-c, k) / C(n, k): Chen et al. 2021, arXiv:2107.03374, eq. 1; exact integers, rounded once.
    Raises TooFewSamples when k > n, where the estimator has no value.
    """
    _require_samples(n, c, k)
    every = math.comb(n, k)
    return (every - math.comb(n - c, k)) / every


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that k of n samples, drawn without replacement, are all right: pass^k = C(c, k) / C(n, k).

    Yao et al. 2024, arXiv:2406.12045. Raises TooFewSamples when k > n.
    """
    _require_samples(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def pass_at_k_table(n: IntArray, c: IntArray, ks: Sequence[int] | IntArray) -> FloatArray:
    """`pass_at_k` of every problem at every k, shape (P, K), to about 1e-13. `n` and `c`: shape (P,).

    The misses are multiplied up, C(n-c, k)/C(n, k) = prod over i < k of (n-c-i)/(n-i): differences of log-gamma would
    lose three digits. Raises TooFewSamples when the largest k exceeds the smallest n.
    """
    wanted = np.asarray(ks, dtype=np.int64)
    table = np.empty((len(n), len(wanted)))
    if not table.size:
        return table
    thinnest = int(np.argmin(n))
    _require_samples(int(n[thinnest]), int(c[thinnest]), int(wanted.max()))
    if wanted.min() < 1 or (c < 0).any() or (c > n).any():
        raise ValueError("pass@k needs k >= 1 and 0 <= c <= n")
    drawn = np.arange(wanted.max())
    rows = max(1, BLOCK_CELLS // len(drawn))
    for start in range(0, len(n), rows):
        left = n[start : start + rows, None] - drawn
        wrong_left = np.maximum(left - c[start : start + rows, None], 0)
        table[start : start + rows] = 1.0 - np.cumprod(wrong_left / left, axis=1)[:, wanted - 1]
    return table


def pass_at_k_variance(n: IntArray, c: IntArray, ks: Sequence[int] | IntArray) -> FloatArray:
    """Sampling variance of `pass_at_k` with the problem fixed, shape (P, K).

    Exact under c ~ Binomial(n, p), at p = (c + 1/2) / (n + 1): the posterior mean under Jeffreys' prior, which keeps
    c = 0 and c = n from looking certain.
    """
    variances = np.empty((len(n), len(ks)))
    for size in np.unique(n):
        here = n == size
        distinct, place = np.unique(c[here], return_inverse=True)
        variances[here] = variance_at(int(size), smoothed_chance(size, distinct), ks)[place]
    return variances


def smoothed_chance(n: IntArray | int, c: IntArray) -> FloatArray:
    """(c + 1/2) / (n + 1): where sampling variances are worked out."""
    return np.asarray((c + 0.5) / (np.asarray(n) + 1.0), dtype=np.float64)


def variance_at(n: int, p: FloatArray, ks: Sequence[int] | IntArray) -> FloatArray:
    """Variance of `pass_at_k` from n samples at each success chance in `p`, shape (len(p), K)."""
    wanted = np.asarray(ks, dtype=np.int64)
    possible = np.arange(n + 1)
    missed = np.exp(log_choose(n - possible[:, None], wanted) - log_choose(n, wanted))
    spread = np.empty((len(p), len(wanted)))
    rows = max(1, BLOCK_CELLS // len(possible))
    for start in range(0, len(p), rows):
        here = p[start : start + rows, None]
        log_chance = special.xlogy(possible, here) + special.xlog1py(n - possible, -here)
        chance = np.exp(log_choose(n, possible) + log_chance)
        spread[start : start + rows] = chance @ missed**2 - (chance @ missed) ** 2
    return np.maximum(spread, 0.0)


def fixed_curve(counts: ProblemCounts, ks: Sequence[int], with_variances: bool = True) -> Curve:
    """pass@k of samples drawn at a fixed n for each problem."""
    values = pass_at_k_table(counts.n, counts.c, ks)
    variances = pass_at_k_variance(counts.n, counts.c, ks) if with_variances else None
    return Curve(counts.problem_ids, np.asarray(ks, dtype=np.int64), values, variances)


def pass_hat_curve(counts: ProblemCounts, ks: Sequence[int]) -> Curve:
    """pass^k of samples drawn at a fixed n: one minus the chance that k draws hold a wrong sample."""
    some_wrong = fixed_curve(ProblemCounts(counts.problem_ids, counts.n, counts.n - counts.c), ks)
    return Curve(some_wrong.problem_ids, some_wrong.ks, 1.0 - some_wrong.values, some_wrong.variances)


def log_choose(n: IntArray | int, k: IntArray | int) -> FloatArray:
    """log C(n, k), to about 1e-12; -inf where k > n, since log-gamma is +inf at 0, -1, -2, ..."""
    above = np.subtract(n, k) + 1.0
    chosen = special.gammaln(np.add(n, 1.0)) - special.gammaln(np.add(k, 1.0)) - special.gammaln(above)
    return np.asarray(chosen, dtype=np.float64)


def _require_samples(n: int, c: int, k: int) -> None:
    if k < 1 or not 0 <= c <= n:
        raise ValueError(f"pass@k needs k >= 1 and 0 <= c <= n, not n = {n}, c = {c}, k = {k}")
    if k > n:
        raise TooFewSamples(
            f"pass@{k} needs {k} verified samples of every problem, one has {n}; sample more or lower --k"
        )
