"""How each problem's accuracy moved from the base to the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlvr_harness.metrics.curve import ProblemCounts
from rlvr_harness.metrics.estimates import accuracy_bins
from rlvr_harness.metrics.histogram import BINS
from rlvr_harness.metrics.sequential import success_interval


@dataclass(frozen=True, slots=True)
class Shift:
    """Problems by accuracy bin with the base and with the model.

    `bins[i][j]`: problems in bin i with the base (row) and in bin j with the model (column); bin 0 is accuracy 0, bin 1
    (0, .1], ... bin 10 (.9, 1]. Rows add up to the base's histogram, columns to the model's. `up`, `down`, `same`: in a
    higher, a lower, the same bin with the model. `surely_up`, `surely_down`: problems, of any bin, whose two exact 95 %
    intervals of the chance of success do not overlap.
    """

    bins: tuple[tuple[int, ...], ...]
    up: int
    down: int
    same: int
    surely_up: int
    surely_down: int


def shift(base: ProblemCounts, model: ProblemCounts) -> Shift:
    """Where each problem's unbiased accuracy moved; both counts cover the same problems in the same order."""
    if base.problem_ids != model.problem_ids:
        raise ValueError("a shift needs the same problems in the same order")
    rows, columns = accuracy_bins(base), accuracy_bins(model)
    table = np.bincount(rows * BINS + columns, minlength=BINS * BINS).reshape(BINS, BINS)
    ours, theirs = success_interval(base), success_interval(model)
    return Shift(
        bins=tuple(tuple(int(count) for count in row) for row in table),
        up=int((columns > rows).sum()),
        down=int((columns < rows).sum()),
        same=int((columns == rows).sum()),
        surely_up=int((theirs.low > ours.high).sum()),
        surely_down=int((theirs.high < ours.low).sum()),
    )
