"""figures/: the charts of each task as PNG and PDF at the width of a paper's column."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rlvr_harness.report.paper import draw_accuracy, draw_difference, draw_pass_at_k, draw_shift, draw_solved
from rlvr_harness.report.problems import group_amounts
from rlvr_harness.report.reading import Results, comparisons, curve, roles, tasks, text
from rlvr_harness.report.shift import shift_bins
from rlvr_harness.report.tables import histogram, model_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEMS = ("pass_at_k", "difference", "solved", "shift", "accuracy")
COLUMN_IN = 3.35
"""Width of one column of a two-column paper, in inches."""
DPI = 240
"""Of PNG files; for print there is the PDF."""


class Drawing(NamedTuple):
    """One figure: the stem of its file, its height and margins in inches, and what draws it."""

    stem: str
    height_in: float
    left_in: float
    bottom_in: float
    top_in: float
    draw: Callable[[Axes, Results], None]


def write_figures(results: Results, folder: Path, stems: Collection[str] = STEMS) -> list[Path]:
    """Writes STEM-<task>.png and .pdf for each figure of `stems` that the results allow; the paths written.

    The same results give the same bytes: nothing written tells the time.
    """
    written: list[Path] = []
    with warnings.catch_warnings(), paper_style():
        # A name in a script the font lacks shows boxes, which is no reason to alarm the user.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for name, task in tasks(results).items():
            for drawing in (one for one in drawings(task) if one.stem in stems):
                folder.mkdir(parents=True, exist_ok=True)
                written += _write(drawing, name, task, folder)
    return written


def paper_style() -> AbstractContextManager[None]:
    """Serif type at 8 points, with fonts embedded as Type 42, which submission checks accept, and not as Type 3."""
    import matplotlib

    return matplotlib.rc_context(
        {
            "font.family": "serif",
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.linewidth": 0.6,
            "pdf.fonttype": 42,
            "text.parse_math": False,
        }
    )


def drawings(task: Results) -> Iterator[Drawing]:
    """The figures that this task has numbers for."""
    found = comparisons(task)
    if model_curves(task):
        yield Drawing("pass_at_k", 2.5, 0.48, 0.4, 0.2, draw_pass_at_k)
    if any(curve(entry, "difference") for entry in found):
        yield Drawing("difference", 2.5, 0.48, 0.4, 0.2, draw_difference)
    if any(sum(group_amounts(entry).values()) for entry in found):
        yield Drawing("solved", 0.85 + 0.42 * len(found), 0.95, 0.4, 0.28, draw_solved)
    if any(shift_bins(entry) for entry in found):
        yield Drawing("shift", 3.3, 0.7, 0.7, 0.2, draw_shift)
    if any(sum(histogram(task, role)) for role in roles(task)):
        yield Drawing("accuracy", 2.4, 0.48, 0.68, 0.2, draw_accuracy)


def file_stem(task: str) -> str:
    """A file name for a task: itself where harmless, else its harmless characters and a short hash."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", task):
        return task
    digest = hashlib.sha256(task.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_]+', '_', task)[:60].strip('_')}-{digest}".lstrip("-")


def _write(drawing: Drawing, name: str, task: Results, folder: Path) -> Iterator[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN_IN, drawing.height_in))
    FigureCanvasAgg(figure)
    high, room = drawing.height_in, COLUMN_IN - drawing.left_in - 0.12
    # Margins are fixed, not measured: a page of 40 figures would spend most of its time on them.
    lower, tall = drawing.bottom_in / high, (high - drawing.bottom_in - drawing.top_in) / high
    axes = figure.add_axes((drawing.left_in / COLUMN_IN, lower, room / COLUMN_IN, tall))
    drawing.draw(axes, task)
    axes.spines[["top", "right"]].set_visible(False)
    if drawing.stem != "solved":
        axes.set_title(text(name, 30), loc="left")
    for kind in ("png", "pdf"):
        path = folder / f"{drawing.stem}-{file_stem(name)}.{kind}"
        partial = path.with_name(f".{path.name}.partial")
        # No date and no version, so that the same results give the same file.
        metadata = {"CreationDate": None, "Producer": None, "Creator": None} if kind == "pdf" else {"Software": None}
        figure.savefig(partial, format=kind, dpi=DPI, metadata=metadata)
        partial.replace(path)
        yield path
