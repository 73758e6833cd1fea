"""What plugins add to a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from typing import Any

from rlvr_harness.contracts import ReportSection
from rlvr_harness.errors import first_line
from rlvr_harness.registry import Registry

Results = dict[str, Any]


def plugin_sections(
    registry: Registry, reports: Sequence[Results], further: Sequence[ReportSection] = ()
) -> list[dict[str, list[tuple[str, str]]]]:
    """What report-section plugins, and `further` ones, have to say: per report, task -> (title, HTML) pairs."""
    sections: list[dict[str, list[tuple[str, str]]]] = []
    for results in reports:
        by_task: dict[str, list[tuple[str, str]]] = {}
        for task in results["tasks"]:
            for section in registry.all("report_section"):
                title, html = _shown(section, registry.providers["report_section"][section.name], task, results)
                if html:
                    by_task.setdefault(task, []).append((title, html))
            for section in further:
                if html := section.render_html(task, results):
                    by_task.setdefault(task, []).append((section.title, html))
        sections.append(by_task)
    return sections


def _shown(section: ReportSection, plugin: str, task: str, results: Results) -> tuple[str, str]:
    """Title and HTML of the section; a failure is said in its place and on stderr, since no report may hang on it."""
    try:
        html = section.render_html(task, results)
        if not isinstance(html, str | None):
            raise TypeError(f"render_html returns {type(html).__name__}, not str")
        return str(section.title), html or ""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin is called, and what it raised is told
        fault = f"section '{section.name}' of plugin '{plugin}' fails: {type(error).__name__}: {first_line(error)}"
        print(f"warning: report {fault}; leave it out with --without {plugin}", file=sys.stderr)
        return section.name, f"<p>This {escape(fault)}.</p>"
