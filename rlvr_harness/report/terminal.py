"""The table and verdict that end a run, for a terminal or a pipe."""

from __future__ import annotations

import io
import shutil
import sys
from typing import Any

from rlvr_harness.report.reading import Results, chosen_ks, label, tasks, text
from rlvr_harness.report.tables import Table, model_curves
from rlvr_harness.report.wording import caveat, fairness_warnings, saving_sentence, verdict_sentences, with_interval

COLUMNS = 4


def render_terminal(results: Results) -> str:
    """One row a model, pass@k in percent with 95 % intervals, verdict and warnings; plain on a pipe."""
    import rich.box
    import rich.table
    import rich.text

    terminal = sys.stdout.isatty()
    page = io.StringIO()
    console = _console(page)
    for name, task in tasks(results).items():
        curves = model_curves(task)
        ks = chosen_ks(sorted({k for points_of in curves.values() for k in points_of}), COLUMNS)
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD if terminal else rich.box.MARKDOWN)
        table.add_column(rich.text.Text(text(name, 60)))
        for k in ks:
            table.add_column(f"pass@{k:,} %", justify="right")
        for role, points_of in curves.items():
            cells = [with_interval(points_of.get(k)) for k in ks]
            table.add_row(*(rich.text.Text(cell) for cell in (text(label(task, role), 40), *cells)))
        if curves:
            console.print(table)
        warnings = [f"warning: {warning}" for warning in fairness_warnings(task)]
        for sentence in (*verdict_sentences(task), caveat(task), saving_sentence(task), *warnings):
            if sentence:
                console.print(rich.text.Text(sentence), soft_wrap=not terminal)
        console.print()
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()).strip("\n") + "\n"


def render_table(heading: str, shown: Table) -> str:
    """A table of the report under its heading; plain on a pipe."""
    import rich.box
    import rich.table
    import rich.text

    page = io.StringIO()
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD if sys.stdout.isatty() else rich.box.MARKDOWN)
    for column in shown.header:
        table.add_column(rich.text.Text(column))
    for row in shown.rows:
        table.add_row(*(rich.text.Text(str(cell)) for cell in row))
    _console(page).print(rich.text.Text(heading), table, sep="\n")
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _console(page: io.StringIO) -> Any:
    import rich.console

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else 160
    return rich.console.Console(file=page, force_terminal=terminal, width=width, highlight=False, emoji=False)
