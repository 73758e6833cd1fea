"""Two verifiers on the same samples: how often they differ, and what that means for pass@k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlvr_harness.metrics.curve import IntArray
from rlvr_harness.metrics.guessing import chance_in_k_draws
from rlvr_harness.metrics.pass_at_k import curve_ks, pass_at_k_table


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


def pass_at_k_band(counts: PairedCounts, k_max: int) -> dict[int, BandPoint]:
    """The pass@k that the truth lies between, if for each sample one of the two verifiers is right; by curve k."""
    measured = counts.n > 0
    if not measured.any():
        return {}
    ks: Sequence[int] = curve_ks(min(k_max, int(counts.n[measured].min())))
    low, high = (
        np.mean(pass_at_k_table(counts.n[measured], c[measured], ks), axis=0) for c in (counts.both, counts.either)
    )
    return {k: BandPoint(float(low[column]), float(high[column])) for column, k in enumerate(ks)}
