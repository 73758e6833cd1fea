"""Ratios of sums over problems, as perplexity and token entropy are, with a 95 % interval that resamples problems."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlvr_harness.metrics.intervals import bootstrap_weights, ratio_interval
from rlvr_harness.records import Measurement

Share = tuple[float, float]
"""Numerator and denominator of one problem."""


@dataclass(frozen=True, slots=True)
class TextLogprob:
    """What a model says of one text: sum of log probabilities in nats, and number of tokens."""

    problem_id: str
    logprob_sum: float
    n_tokens: int


def pooled(shares: Mapping[str, Share], seed: int) -> Measurement | None:
    """Sum of numerators over sum of denominators; None where there is nothing to divide by.

    The interval resamples problems, numerator and denominator together; None with fewer than two problems.
    """
    kept = np.array([share for share in shares.values() if share[1] > 0], dtype=np.float64).reshape(-1, 2)
    if not len(kept):
        return None
    value = float(kept[:, 0].sum() / kept[:, 1].sum())
    if len(kept) < 2 or not math.isfinite(value):
        return Measurement(value) if math.isfinite(value) else None
    bounds = ratio_interval(kept[:, :1], kept[:, 1:], bootstrap_weights(len(kept), seed))
    return Measurement(value, float(bounds.low[0]), float(bounds.high[0]))


def perplexity_shares(texts: list[TextLogprob]) -> dict[str, Share]:
    """problem_id -> (minus the sum of log probabilities, number of tokens) over its texts."""
    shares: dict[str, Share] = {}
    for text in texts:
        before = shares.get(text.problem_id, (0.0, 0.0))
        shares[text.problem_id] = (before[0] - text.logprob_sum, before[1] + text.n_tokens)
    return shares


def perplexity(texts: list[TextLogprob], seed: int) -> Measurement | None:
    """exp of the mean cross entropy per token, over all tokens of all texts: arXiv:2504.13837, pooled.

    For one text this is PPL(Y|x) = exp(-(1/T) sum of log P(y_t | x, y_<t)).
    """
    mean = pooled(perplexity_shares(texts), seed)
    if mean is None:
        return None
    return Measurement(*(None if bound is None else _exp(bound) for bound in (mean.value, mean.low, mean.high)))  # type: ignore[arg-type]


def perplexities(texts: list[TextLogprob]) -> dict[str, float]:
    """problem_id -> perplexity pooled over its texts; problems without a token are left out."""
    return {problem: _exp(total / count) for problem, (total, count) in perplexity_shares(texts).items() if count}


def _exp(nats: float) -> float:
    """e^nats, at most the largest float: a text that the model rules out has no finite perplexity."""
    return math.exp(min(nats, 709.0))
