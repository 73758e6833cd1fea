"""The report section that shows the metric `template_solved`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any


class SolvedSection:
    """A table with a row per model, for the task `template` alone."""

    name = "template_solved"
    title = "Problems solved at least once"

    def render_html(self, task: str, results: Mapping[str, Any]) -> str:
        """HTML of the table; an empty string, so no section, for other tasks and for results without the metric."""
        if task != "template":
            return ""
        models = results["tasks"][task]["models"]
        found = {role: model.get("plugin_metrics", {}).get(self.name) for role, model in models.items()}
        rows = [
            f'<tr><th scope="row">{escape(role)}</th><td>{metric["solved"]:,} of {metric["problems"]:,}</td></tr>'
            for role, metric in found.items()
            if metric is not None
        ]
        if not rows:
            return ""
        head = '<thead><tr><th scope="col">model</th><th scope="col">solved</th></tr></thead>'
        return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"
