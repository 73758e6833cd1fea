"""From measured results to report.html, report.md, figures/ and tables/."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from rlvr_harness.errors import RunFolderError
from rlvr_harness.report import (
    ExtraSections,
    render_html,
    render_latex,
    render_markdown,
    render_markdown_overview,
    write_figures,
)
from rlvr_harness.report.figures import STEMS, file_stem
from rlvr_harness.report.overview import study_results
from rlvr_harness.report.reading import Results, tasks


def write_reports(reports: Sequence[Results], target: Path, sections: Sequence[ExtraSections] = ()) -> Path:
    """Writes one report over all `reports` into `target`, each file whole or not at all; the path of report.html.

    `sections[i]` holds what plugins add to report i. Of several reports, figures/1 and tables/1, figures/2 and tables/2
    hold pass@k of each, which has the rest in its own run folder, and figures/compared and tables/compared what may be
    compared. Raises RunFolderError when the folder cannot be written.
    """
    page = target / "report.html"
    try:
        target.mkdir(parents=True, exist_ok=True)
        _replace(page, render_html(reports, sections))
        parts = [render_markdown_overview(reports), *(render_markdown(results) for results in reports)]
        _replace(target / "report.md", "\n".join(part for part in parts if part))
        if len(reports) == 1:
            _write_paper(reports[0], target, "")
        else:
            for place, results in enumerate(reports, start=1):
                _write_paper(results, target, str(place), stems=("pass_at_k",))
            _write_paper(study_results(reports), target, "compared")
    except OSError as fault:
        raise RunFolderError(f"{target}: cannot write the report: {fault.strerror or fault}") from fault
    return page


def _write_paper(results: Results, target: Path, own: str, stems: Collection[str] = STEMS) -> None:
    write_figures(results, target / "figures" / own, stems)
    folder = target / "tables" / own
    for name, task in tasks(results).items():
        if table := render_latex(name, task):
            folder.mkdir(parents=True, exist_ok=True)
            _replace(folder / f"{file_stem(name)}.tex", table)


def _replace(path: Path, content: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
