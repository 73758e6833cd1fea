"""A law of success chances over problems: never solved, always solved, or Beta(a, b); fitted by maximum likelihood.

A problem with c right of n samples has, given its chance p, the likelihood p^c (1-p)^(n-c) times the number of orders
that lead there. A sequential plan stops by what was seen, so this holds under it too: the plan changes the number of
orders alone, which hangs on no parameter. The same beta-binomial terms are therefore maximised for every plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from rlvr_harness.metrics.curve import FloatArray, IntArray

LOG_A, LOG_B, NEVER, ALWAYS = range(4)
LOWEST = np.array([np.log(1e-3), np.log(1e-3), -15.0, -15.0])
HIGHEST = np.array([np.log(1e5), np.log(1e5), 10.0, 10.0])
"""Beta(1e-3, .) is all but two points, Beta(1e5, .) all but one; a log-odds of -15 is a share of 3e-7."""
LONGEST_STEP = 1.5
STEPS = 200
CONVERGED = 1e-7
"""Gain in log-likelihood per step below which a fit is done: far below what moves any reported digit."""


@dataclass(frozen=True, slots=True, eq=False)
class Laws:
    """Fitted laws, one a row: shape (B,). `log_likelihood` leaves out the number of orders."""

    parameters: FloatArray
    log_likelihood: FloatArray

    @property
    def a(self) -> FloatArray:
        """First parameter of the Beta."""
        return np.exp(self.parameters[:, LOG_A])

    @property
    def b(self) -> FloatArray:
        """Second parameter of the Beta."""
        return np.exp(self.parameters[:, LOG_B])

    @property
    def never(self) -> FloatArray:
        """Share of problems whose chance is 0."""
        return _shares(self.parameters)[0]

    @property
    def always(self) -> FloatArray:
        """Share of problems whose chance is 1."""
        return _shares(self.parameters)[2]

    def pass_at_k(self, ks: IntArray) -> FloatArray:
        """Expected pass@k, shape (B, K): always + (1 - never - always) (1 - B(a, b+k) / B(a, b))."""
        a, b = self.a[:, None], self.b[:, None]
        solved = -np.expm1(special.betaln(a, b + ks) - special.betaln(a, b))
        return np.asarray(self.always[:, None] + (1 - self.never - self.always)[:, None] * solved)

    def draw(self, rng: np.random.Generator, rows: int, problems: int) -> FloatArray:
        """Chances of so many problems from the first law, `rows` times over; shape (rows, problems)."""
        kind = rng.random((rows, problems))
        chances = rng.beta(self.a[0], self.b[0], (rows, problems))
        chances = np.where(kind < self.never[0], 0.0, chances)
        return np.where(kind >= 1 - self.always[0], 1.0, chances)


def fit(n: IntArray, c: IntArray, start: FloatArray) -> Laws:
    """The laws of greatest likelihood near `start`, one a row of n and c: shapes (B, P), (B, P) and (B, 4).

    Scoring with the outer product of the scores as information, damped by Levenberg and Marquardt, all rows at once. A
    start of -inf in `ALWAYS` leaves that kind out.
    """
    parameters = start.copy()
    value, scores = _likelihood(n, c, parameters)
    damping, active = np.full(len(n), 1e-2), np.arange(len(n))
    for _ in range(STEPS):
        moved = parameters[active] + _step(scores, damping[active])
        moved = np.clip(moved, LOWEST, HIGHEST)
        moved[np.isneginf(start[active])] = -np.inf
        tried, tried_scores = _likelihood(n[active], c[active], moved)
        gain = tried - value[active]
        better = gain > 0
        parameters[active[better]], value[active[better]] = moved[better], tried[better]
        scores = np.where(better[:, None, None], tried_scores, scores)
        damping[active] = np.where(better, damping[active] / 4, damping[active] * 8)
        going = np.where(better, gain > CONVERGED, damping[active] < 1e6)
        active, scores = active[going], scores[going]
        if not len(active):
            break
    return Laws(parameters, value)


def _step(scores: FloatArray, damping: FloatArray) -> FloatArray:
    """Damped scoring steps, shape (B, 4), from scores of shape (B, P, 4)."""
    information = np.matmul(scores.transpose(0, 2, 1), scores)
    diagonal = np.arange(4)
    information[:, diagonal, diagonal] *= 1 + damping[:, None]
    # A share that has vanished has no score: without this its row would be singular.
    information[:, diagonal, diagonal] += 1e-9
    step = np.linalg.solve(information, scores.sum(axis=1)[:, :, None])[:, :, 0]
    return np.asarray(np.clip(step, -LONGEST_STEP, LONGEST_STEP))


def _likelihood(n: IntArray, c: IntArray, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(log-likelihood by row (B,), its derivatives by problem (B, P, 4))."""
    a, b = np.exp(parameters[:, [LOG_A]]), np.exp(parameters[:, [LOG_B]])
    never, between, always = (share[:, None] for share in _shares(parameters))
    log_total, slope_total = (_rise(made, a + b, n) for made in (special.gammaln, special.digamma))
    log_beta = _rise(special.gammaln, a, c) + _rise(special.gammaln, b, n - c) - log_total
    with np.errstate(divide="ignore"):
        log_between = np.log(between) + log_beta
        log_never = np.log(np.where(c == 0, never, 0.0))
        log_always = np.log(np.where(c == n, always, 0.0))
        log_sum = np.logaddexp(np.logaddexp(log_between, log_never), log_always)
    of_between = np.exp(log_between - log_sum)
    scores = np.stack(
        [
            of_between * a * (_rise(special.digamma, a, c) - slope_total),
            of_between * b * (_rise(special.digamma, b, n - c) - slope_total),
            np.exp(log_never - log_sum) - never,
            np.exp(log_always - log_sum) - always,
        ],
        axis=2,
    )
    return log_sum.sum(axis=1), scores


def _rise(made: np.ufunc, start: FloatArray, count: IntArray) -> FloatArray:
    """made(start + count) - made(start), row by row; worked out once per count where there are fewer than problems."""
    most = int(count.max(initial=0)) + 1
    if (count == count[0, 0]).all():
        return np.asarray(np.broadcast_to(made(start + most - 1) - made(start), count.shape))
    if most < count.shape[1]:
        table = made(start + np.arange(most)) - made(start)
        return np.asarray(np.take_along_axis(table, count, axis=1))
    return np.asarray(made(start + count) - made(start))


def _shares(parameters: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(never, between, always): log-odds against `between`."""
    odds = np.exp(parameters[:, [NEVER, ALWAYS]])
    whole = 1 + odds.sum(axis=1)
    return odds[:, 0] / whole, 1 / whole, odds[:, 1] / whole
