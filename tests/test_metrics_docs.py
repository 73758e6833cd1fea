"""docs/metrics.md names every metric that results.json holds, and every command in it exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlvr_harness.records import Tally
from rlvr_harness.stages.measuring import ModelTallies, TaskTallies, measure_task

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
COUNTED = {"name", "samples", "right", "wrong", "void", "truncated", "mean_tokens", "plan", "counts", "maj_at_k_draws"}
"""What was drawn, not measured."""
OF_THE_COMPARISON = {"base", "model", "problems", "fairness"}
ELSEWHERE = {"perplexity"}
"""Written by other commands; the doc names the functions behind it."""


def entry():
    answers = {f"p{row}": {"1": (c, c), None: (8 - c, 0)} for row, c in enumerate([0, 1, 8, 3])}
    models = [
        ModelTallies(role, role, [Tally(p, 8, a["1"][0]) for p, a in answers.items()], answers=answers)
        for role in ("base", "model")
    ]
    return measure_task(TaskTallies("toy", models))


def test_every_metric_is_defined():
    found = entry()
    metrics = set(found["models"]["base"]) - COUNTED - ELSEWHERE | set(found["comparison"]) - OF_THE_COMPARISON
    assert len(metrics) > 15
    assert {name for name in metrics if f"`{name}" not in TEXT} == set()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"python (benchmarks/\S+\.py)", TEXT))))
def test_the_commands_exist(path):
    assert (ROOT / path).is_file()


def test_the_named_functions_exist():
    from rlvr_harness.metrics import chain_of_thought, pooled

    for module in (chain_of_thought, pooled):
        assert f"`{module.__name__.removeprefix('rlvr_harness.')}" in TEXT
    assert callable(chain_of_thought.chain_rate)
    assert callable(chain_of_thought.cot_pass_at_k)
    assert callable(pooled.perplexity)
