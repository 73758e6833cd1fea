"""The expected number of samples until the first right one, where a solver gives up after K."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.95


def expected_samples(n: int, c: int, budget: int) -> float:
    """Unbiased estimate of E[min(T, K)], T the place of the first right sample, K the budget; in [1, K].

    E[min(T, K)] is the sum over j < K of (1 - p)^j, and C(n-c, j) / C(n, j) is unbiased for (1 - p)^j from c right ones
    of n, the estimator of pass@k (Chen et al. 2021, arXiv:2107.03374, eq. 1). Raises ValueError when K > n.
    """
    if not 1 <= budget <= n:
        raise ValueError(f"a budget of {budget} needs at least as many samples, there are {n}")
    total, still_none = 0.0, 1.0
    for drawn in range(budget):
        total += still_none
        still_none *= max(0, n - c - drawn) / (n - drawn)
    return total


def expected_at(p: float, budget: int) -> float:
    """E[min(T, K)] where each sample is right with chance p: (1 - (1-p)^K) / p, and K at p = 0."""
    return budget if p == 0 else float(-np.expm1(budget * np.log1p(-p)) / p) if p < 1 else 1.0


def exact_interval(n: int, c: int, budget: int) -> tuple[float, float]:
    """95 % interval of E[min(T, K)] of one problem: it falls with p, so the Clopper-Pearson limits of p carry over."""
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    least = 0.0 if c == 0 else float(beta.ppf(tail, c, n - c + 1))
    most = 1.0 if c == n else float(beta.ppf(1 - tail, c + 1, n - c))
    return expected_at(most, budget), expected_at(least, budget)


def mean_interval(values: list[float], draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean over problems, resampling problems; the same for the same values."""
    table = np.asarray(values)
    rng = np.random.default_rng(seed)
    means = [table[rng.integers(0, len(table), len(table))].mean() for _ in range(draws)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
