"""report.html: one self-contained page over any number of results; its scripts are its own and nothing is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr_harness.report.assets import LIBRARY, SCRIPT, STYLE, asset, content_policy, data_block
from rlvr_harness.report.glossary import TERMS, term
from rlvr_harness.report.overview import study_views
from rlvr_harness.report.reading import Results, mapping, tasks, text, title, whole
from rlvr_harness.report.sections import Section, task_section
from rlvr_harness.report.study import incomparable
from rlvr_harness.report.templating import escaping_templates

if TYPE_CHECKING:
    import jinja2

PROBLEM_ROWS = 4000
"""Rows that per-problem tables may take on one page, so that it stays small."""

ExtraSections = Mapping[str, Sequence[tuple[str, str]]]
"""Task name -> (title, trusted HTML) pairs, appended to the task's section."""


def render_html(reports: Sequence[Results], sections: Sequence[ExtraSections] = ()) -> str:
    """The page for these results, in their order; `sections[i]` holds what plugins add to report i."""
    shown = _sections(reports, sections)
    views = study_views(reports)
    figures = [figure for view in views for figure in view.figures]
    figures += [figure for section in shown for figure in section.figures]
    plots = {figure.key: figure.plot for figure in figures}
    scripts = [asset(LIBRARY), asset(SCRIPT)] if plots else [asset(SCRIPT)]
    titles = list(dict.fromkeys(title(results) for results in reports))
    heading = " · ".join(titles) if len(titles) <= 2 else f"{len(titles)} runs compared"
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=heading or "Nothing to report",
            views=views,
            incomparable=incomparable(reports) if len(reports) > 1 else [],
            sections=shown,
            runs=[(title(results), mapping(results, "run")) for results in reports],
            policy=content_policy(scripts),
            style=asset(STYLE),
            plots=data_block(plots),
            scripts=scripts,
            terms=TERMS,
        )
    )


def _sections(reports: Sequence[Results], sections: Sequence[ExtraSections]) -> list[Section]:
    entries = [(place, results, name) for place, results in enumerate(reports) for name in tasks(results)]
    every = sum(whole(tasks(results)[name], "problems") or 0 for _, results, name in entries)
    rows = PROBLEM_ROWS if every <= PROBLEM_ROWS else max(50, PROBLEM_ROWS // len(entries))
    shown: list[Section] = []
    for place, results, name in entries:
        extra = sections[place].get(name, ()) if place < len(sections) else ()
        shown.append(task_section(results, name, f"s{len(shown)}", rows, extra))
    return shown


def _environment() -> jinja2.Environment:
    environment = escaping_templates(Path(__file__).parent / "templates")
    environment.filters["plain"] = text
    environment.globals["term"] = term
    return environment
