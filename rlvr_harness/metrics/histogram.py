"""Problems by their share of right samples."""

from __future__ import annotations

import numpy as np

from rlvr_harness.metrics.curve import IntArray

BINS = 11


def accuracy_histogram(n: IntArray, c: IntArray) -> list[int]:
    """Problems with accuracy 0, then in (0, .1], (.1, .2], ... (.9, 1]: 11 counts. Problems with n = 0 are left out."""
    sampled = n > 0
    return [int(count) for count in np.bincount(share_bins(n[sampled], c[sampled]), minlength=BINS)]


def share_bins(n: IntArray, c: IntArray) -> IntArray:
    """Each problem's bin, 0 to 10, where n > 0.

    The bin is ceil(10 c / n) in integers: 3 of 10 belongs to (.2, .3], which 0.3 * 10 in floats may miss.
    """
    return np.asarray(-(-10 * c // n), dtype=np.int64)
