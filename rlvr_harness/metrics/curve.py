"""Per-problem counts, and the per-problem estimates that every later metric consumes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StagePath:
    """One problem under a sequential plan: verified samples at the end of each stage reached, and right ones at last.

    A stage was reached when a sample of it was drawn, void or not; samples past the stage that stopped are left out.
    """

    reached: tuple[int, ...]
    right: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """How a sequential plan sampled its problems: in `stages`, until `stop_after` right ones at the end of a stage.

    `reached[i]`: verified samples of problem i at the end of each stage that it went through. These are the plan's own
    stages, less the samples that were void.
    """

    stages: tuple[int, ...]
    stop_after: int
    reached: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ProblemCounts:
    """Verified samples (n) and right ones (c) of one model, aligned with `problem_ids`; int arrays of shape (P,).

    `stopping`: None where n did not depend on what was found.
    """

    problem_ids: tuple[str, ...]
    n: IntArray
    c: IntArray
    stopping: Stopping | None = None

    def only(self, problem_ids: Iterable[str]) -> ProblemCounts:
        """The counts of these problems, in this order."""
        chosen = tuple(problem_ids)
        rows = _rows(self.problem_ids, chosen)
        stopping = self.stopping
        if stopping is not None:
            stopping = replace(stopping, reached=tuple(stopping.reached[row] for row in rows))
        return ProblemCounts(chosen, self.n[rows], self.c[rows], stopping)

    @property
    def reach(self) -> IntArray:
        """Largest k that each problem can speak of: n, and all that the plan offers where it stopped for success."""
        if self.stopping is None:
            return self.n
        early = np.array([len(ends) < len(self.stopping.stages) for ends in self.stopping.reached], dtype=bool)
        return np.where(early & (self.c >= self.stopping.stop_after), self.stopping.stages[-1], self.n)

    @property
    def first(self) -> IntArray:
        """Samples that each problem has whatever was found: those of its first stage, or n."""
        if self.stopping is None:
            return self.n
        ends = (next((end for end in reached if end), 0) for reached in self.stopping.reached)
        return np.fromiter(ends, dtype=np.int64, count=len(self.n))


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Unbiased estimates per problem and k: the seam between an estimator and all that is computed from it.

    `ks` is rising, shape (K,); `values` has shape (P, K), rows aligned with `problem_ids`. `variances`, of the same
    shape, is the sampling variance of each estimate with its problem held fixed; None where nobody needs it.
    """

    problem_ids: tuple[str, ...]
    ks: IntArray
    values: FloatArray
    variances: FloatArray | None = None

    def only(self, problem_ids: Iterable[str]) -> Curve:
        """The curve of these problems, in this order."""
        chosen = tuple(problem_ids)
        rows = _rows(self.problem_ids, chosen)
        return Curve(chosen, self.ks, self.values[rows], None if self.variances is None else self.variances[rows])

    def at(self, k: int) -> Curve:
        """The curve's single column at `k`."""
        column = self.ks == k
        variances = None if self.variances is None else self.variances[:, column]
        return Curve(self.problem_ids, self.ks[column], self.values[:, column], variances)


def _rows(problem_ids: tuple[str, ...], chosen: tuple[str, ...]) -> IntArray:
    place = {problem_id: row for row, problem_id in enumerate(problem_ids)}
    return np.array([place[problem_id] for problem_id in chosen], dtype=np.int64)
