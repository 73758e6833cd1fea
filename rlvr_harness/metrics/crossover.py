"""Where the base catches up with the model, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlvr_harness.metrics.curve import Curve, FloatArray
from rlvr_harness.metrics.intervals import TAIL, subtract

CrossoverVerdict = Literal["crossed", "not_crossed", "undecided"]

TIE = 1e-12
"""Differences this small are rounding: both curves are equal there."""
CONFIDENCE = 0.95
FEWEST_PROBLEMS = 5
"""With fewer, all problems fall on one side by chance more often than one time in twenty (2^-4 > 0.05 > 2^-5)."""


@dataclass(frozen=True, slots=True)
class Crossover:
    """Smallest k where base >= model; None for never up to the largest k, in the estimate or in a bound.

    `low`, `high`: 95 % interval over resampled problems. `draws_crossed`: share of the resamples that cross.
    """

    verdict: CrossoverVerdict
    k: int | None
    low: int | None
    high: int | None
    draws_crossed: float | None


def crossover(base: Curve, model: Curve, weights: FloatArray) -> Crossover:
    """The crossover of two curves over the same problems and every integer k from 1 on.

    `weights`: `problem_weights` of P problems. Their imagined problem lies, half of it a side, as far from level at
    each k as the farthest problem: it adds the doubt that few problems leave, and none where all are level.

    A curve pair crosses when the base is strictly ahead at some k; the crossover is then the smallest k where the base
    is level or ahead: 1 when it leads from the start. Curves that only touch, as where both saturate at 1 or both stay
    at 0, do not cross. Crossed: the estimate crosses, so do 95 % of the resamples, and at some one k the base leads in
    97.5 % of them: among many ks it leads somewhere too easily. Not crossed: the estimate does not cross, and at most
    5 % of the resamples do. Otherwise, and with fewer than 5 problems, undecided.
    """
    difference = subtract(model, base).values
    if not difference.size:
        return Crossover("undecided", None, None, None, None)
    estimate = float(_first_crossings(difference.mean(axis=0, keepdims=True))[0])
    draws, leads = _resampled(difference, weights)
    share = float(np.mean(np.isfinite(draws)))
    low = float(draws[math.floor(TAIL * (len(draws) - 1))])
    high = float(draws[math.ceil((1 - TAIL) * (len(draws) - 1))])
    if math.isfinite(estimate):
        low, high = min(low, estimate), max(high, estimate)
    verdict: CrossoverVerdict = "undecided"
    if len(difference) >= FEWEST_PROBLEMS:
        if math.isfinite(estimate) and share >= CONFIDENCE and leads >= 1 - TAIL:
            verdict = "crossed"
        elif not math.isfinite(estimate) and share <= 1 - CONFIDENCE:
            verdict = "not_crossed"
    return Crossover(verdict, _k(estimate), _k(low), _k(high), share)


def _resampled(difference: FloatArray, weights: FloatArray) -> tuple[FloatArray, float]:
    """(sorted crossovers of the resamples, share of them where the base leads at the k where it does so most often)."""
    farthest = np.abs(difference).max(axis=0)
    imagined = np.stack([-farthest, -farthest, farthest, farthest])
    values = np.concatenate([difference, imagined])
    crossings, ahead = [], np.zeros(difference.shape[1])
    # In blocks of about a million cells, so that memory stays bounded at any number of ks.
    for block in np.array_split(weights, max(1, weights.shape[0] * difference.shape[1] // (1 << 20))):
        drawn = block @ values
        crossings.append(_first_crossings(drawn))
        ahead += (drawn < -TIE).sum(axis=0)
    return np.sort(np.concatenate(crossings)), float(ahead.max() / len(weights))


def _first_crossings(differences: FloatArray) -> FloatArray:
    """Per row of model - base, shape (rows, K): the first k where base >= model, +inf where the base never leads."""
    first = np.argmax(differences <= TIE, axis=1) + 1.0
    return np.where((differences < -TIE).any(axis=1), first, np.inf)


def _k(place: float) -> int | None:
    return int(place) if math.isfinite(place) else None
