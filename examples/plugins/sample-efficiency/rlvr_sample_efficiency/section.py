"""The metric in the report: a row per budget, a column per model, then the dearest problems."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

MOST_PROBLEMS = 5


class EfficiencySection:
    """For every task whose results hold the metric."""

    name = "sample_efficiency"
    title = "Samples until the first right answer"

    def render_html(self, task: str, results: Mapping[str, Any]) -> str:
        """HTML of both tables; an empty string, so no section, where no model has the metric."""
        models = results["tasks"][task]["models"]
        found = {role: model.get("plugin_metrics", {}).get("sample_efficiency") or {} for role, model in models.items()}
        found = {role: metric for role, metric in found.items() if metric.get("mean")}
        if not found:
            return ""
        budgets = sorted({int(budget) for metric in found.values() for budget in metric["mean"]})
        rows = [
            [f"{budget:,}", *(_shown(metric["mean"].get(str(budget))) for metric in found.values())]
            for budget in budgets
        ]
        text = "<p>Mean over problems of the samples that are paid until one is right, giving up after k.</p>"
        return text + _table(["k", *found], rows) + "".join(_dearest(role, metric) for role, metric in found.items())


def _dearest(role: str, metric: Mapping[str, Any]) -> str:
    ordered = sorted(metric["problems"].items(), key=lambda item: (-item[1]["value"], item[0]))[:MOST_PROBLEMS]
    rows = [[problem_id, _shown(measured)] for problem_id, measured in ordered]
    return f"<p>Dearest problems of {escape(role)}, at k = {metric['budget']:,}:</p>" + _table(
        ["problem", "samples"], rows
    )


def _shown(measured: Mapping[str, float] | None) -> str:
    return "-" if measured is None else f"{measured['value']:.2f} [{measured['low']:.2f}, {measured['high']:.2f}]"


def _table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
