"""The metric `sample_efficiency`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_harness import Counts

from rlvr_sample_efficiency.estimating import exact_interval, expected_samples, mean_interval


class SampleEfficiency:
    """`mean`: over problems by budget, with an interval; `problems`: each by itself at the largest budget."""

    name = "sample_efficiency"
    description = "expected number of samples until the first right one, giving up after k"

    def measure(self, counts: Counts, ks: Sequence[int]) -> Mapping[str, Any]:
        """Problems without samples are left out; budgets that a problem has too few samples for are, too."""
        rows = [row for row in zip(counts.problem_ids, counts.n, counts.c, strict=True) if row[1] > 0]
        budgets = sorted(k for k in ks if all(n >= k for _, n, _ in rows)) if rows else []
        if not budgets:
            return {"budget": None, "mean": {}, "problems": {}}
        return {
            "budget": budgets[-1],
            "mean": {
                str(budget): _measured([expected_samples(n, c, budget) for _, n, c in rows]) for budget in budgets
            },
            "problems": {problem_id: _of_one(n, c, budgets[-1]) for problem_id, n, c in rows},
        }


def _measured(values: list[float]) -> dict[str, float]:
    low, high = mean_interval(values)
    return {"value": sum(values) / len(values), "low": low, "high": high}


def _of_one(n: int, c: int, budget: int) -> dict[str, float]:
    low, high = exact_interval(n, c, budget)
    return {"value": expected_samples(n, c, budget), "low": low, "high": high}
