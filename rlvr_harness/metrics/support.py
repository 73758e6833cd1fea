"""How the set of solvable problems changed: the support metrics of arXiv:2507.14843."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from rlvr_harness.metrics.curve import Curve, FloatArray
from rlvr_harness.metrics.intervals import TAIL, subtract

SHARE_DRAWS = 20_000
"""Draws of four numbers are cheap; so many leave a bound a Monte Carlo error of a hundredth of the interval's width."""


@dataclass(frozen=True, slots=True)
class Support:
    """Retention (srr), net discovery (ndr), their harmonic mean (sds), net change (nscr); None where undefined."""

    srr: float | None
    ndr: float | None
    sds: float | None
    nscr: float | None


def support(both: int, model_only: int, base_only: int) -> Support:
    """The support metrics from counts of problems: P, E and S in the paper, whose O (neither) enters none of them.

    SRR = P/(P+S), NDR = E/(P+E), SDS = 2 SRR NDR/(SRR+NDR), 0 when both are 0, NSCR = (E-S)/(P+E+S).
    """
    srr, ndr = _ratio(both, both + base_only), _ratio(model_only, both + model_only)
    sds = None
    if srr is not None and ndr is not None:
        sds = 2 * srr * ndr / (srr + ndr) if srr + ndr else 0.0
    return Support(srr, ndr, sds, _ratio(model_only - base_only, both + model_only + base_only))


def support_intervals(
    both: int, model_only: int, base_only: int, neither: int, seed: int
) -> dict[str, dict[str, float] | None]:
    """95 % intervals of the four metrics, all problems drawn anew together; None where the metric is undefined.

    Rubin's Bayesian bootstrap of the problems, in pairs: which of the four kinds a problem is of is all that counts, so
    the drawn shares are Dirichlet with the four counts. Half a problem is added to each kind, and a whole one to a kind
    that nobody is of: SRR and NDR then have Jeffreys' interval, and Clopper and Pearson's where none or all are kept.
    """
    counts = np.array([both, model_only, base_only, neither], dtype=np.float64)
    shape = np.where(counts > 0, counts + 0.5, 1.0)
    p, e, s, _ = np.random.default_rng(seed).standard_gamma(shape, size=(SHARE_DRAWS, 4)).T
    drawn_srr, drawn_ndr = p / (p + s), e / (p + e)
    draws = {
        "srr": drawn_srr,
        "ndr": drawn_ndr,
        "sds": 2 * drawn_srr * drawn_ndr / (drawn_srr + drawn_ndr),
        "nscr": (e - s) / (p + e + s),
    }
    found = asdict(support(both, model_only, base_only))
    return {name: _bounds(found[name], drawn) for name, drawn in draws.items()}


def _bounds(value: float | None, draws: FloatArray) -> dict[str, float] | None:
    """The middle 95 % of the draws, widened to the value, which lies at an end where a kind is empty."""
    if value is None:
        return None
    low, high = np.quantile(draws, [TAIL, 1 - TAIL])
    return {"low": min(float(low), value), "high": max(float(high), value)}


def miss_bound(k: int, z: float = 0.05) -> float:
    """Largest success rate that still leaves k misses in a row a chance of z: 1 - z^(1/k)."""
    return -math.expm1(math.log(z) / k)


def delta_se_k(k_max: int) -> int:
    """The k of the sampling efficiency gap: 256 as in arXiv:2504.13837, or the largest k there is."""
    return min(256, k_max)


def delta_se(base: Curve, model: Curve) -> Curve:
    """Sampling efficiency gap, base pass@K - model pass@1 by problem, at its K (arXiv:2504.13837); lower is better."""
    return subtract(base.at(delta_se_k(int(base.ks[-1]))), model.at(1))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
