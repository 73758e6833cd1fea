"""What experiment trackers are given of results.json: the settings, pass@k over k, and single numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Results = Mapping[str, Any]
SETTINGS = ("command", "created", "harness_version", "sampling", "title")
COUNTED = ("samples", "right", "void", "truncated_share")


def run_settings(results: Results) -> dict[str, Any]:
    """How the run was made: command, time, version, sampling law and title."""
    run = results["run"]
    return {key: run[key] for key in SETTINGS if run.get(key)}


def entries_of(results: Results, role: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(task, the model's entry) for the tasks that the model has."""
    for task, entry in results["tasks"].items():
        if role in entry["models"]:
            yield task, entry["models"][role]


def curve_rows(results: Results, role: str) -> Iterator[dict[str, Any]]:
    """A row per task and k of one model: TASK/k, TASK/pass_at_k and its interval, so that a curve can be drawn."""
    for task, entry in entries_of(results, role):
        for k, point in entry["pass_at_k"].items():
            named = {f"{task}/pass_at_k_{name}": point[name] for name in ("low", "high") if point[name] is not None}
            yield {f"{task}/k": int(k), f"{task}/pass_at_k": point["value"], **named}


def summary_numbers(results: Results, role: str) -> dict[str, Any]:
    """Single numbers of one model: TASK/pass@K, samples, right, void, truncated_share; those not known left out."""
    numbers: dict[str, Any] = {}
    for task, entry in entries_of(results, role):
        numbers |= {f"{task}/pass@{k}": point["value"] for k, point in entry["pass_at_k"].items()}
        numbers |= {f"{task}/{name}": entry.get(name) for name in COUNTED}
    return {name: value for name, value in numbers.items() if value is not None}
