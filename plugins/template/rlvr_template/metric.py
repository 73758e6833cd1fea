"""The metric `template_solved`: how many problems have at least one right sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_harness import Counts


class SolvedMetric:
    """Stored in results.json under `plugin_metrics` of every model of every task."""

    name = "template_solved"
    description = "problems with at least one right sample"

    def measure(self, counts: Counts, ks: Sequence[int]) -> Mapping[str, Any]:
        """`problems` that were sampled, how many of them are `solved`, and the `share`, null where there are none."""
        sampled = [c for n, c in zip(counts.n, counts.c, strict=True) if n > 0]
        solved = sum(c > 0 for c in sampled)
        return {"problems": len(sampled), "solved": solved, "share": solved / len(sampled) if sampled else None}
