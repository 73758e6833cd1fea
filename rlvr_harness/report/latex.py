r"""tables/: pass@k, crossover and solved sets of each task as a LaTeX table for \input, in booktabs style."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlvr_harness.records import Measurement
from rlvr_harness.report.reading import (
    Curve,
    Results,
    at,
    chosen_ks,
    compared_roles,
    comparisons,
    label,
    mapping,
    number,
    roles,
    text,
    whole,
)
from rlvr_harness.report.tables import model_curves

MOST_KS = 5
"""Columns of pass@k that fit a page beside the rest."""
ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{EN DASH}": "--",
    "\N{MINUS SIGN}": "$-$",
    "…": r"\dots{}",
}


def escaped(words: object, longest: int = 60) -> str:
    r"""`words` as LaTeX text, nothing of which acts as a command: 'a_b 5%' -> 'a\_b 5\%'."""
    return "".join(ESCAPES.get(char, char) for char in text(words, longest))


def render_latex(name: str, task: Results) -> str:
    """The table of one task, '' where no pass@k was measured. Needs the package booktabs."""
    curves = model_curves(task)
    ks = chosen_ks(sorted({k for points_of in curves.values() for k in points_of}), MOST_KS)
    if not ks:
        return ""
    entries = {compared_roles(entry)[1]: entry for entry in comparisons(task)}
    header = ["", *(rf"pass@{k:,}".replace(",", "{,}") for k in ks)]
    header += ["$k^*$", "base only / new"] if entries else []
    rows = [_row(task, role, curves[role], ks, entries) for role in roles(task) if role in curves]
    problems = whole(task, "problems")
    over = f" over {problems} problems" if problems is not None else ""
    return "\n".join(
        [
            "% Needs \\usepackage{booktabs}. 95\\,\\% intervals resample problems.",
            r"\begin{table}[t]",
            r"\centering\small",
            rf"\caption{{{escaped(name)}: pass@$k$ in percent{over}, with 95\,\% intervals.}}",
            rf"\label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', name)[:60].strip('-') or 'task'}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            f"{' & '.join(header)} \\\\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _row(task: Results, role: str, points_of: Curve, ks: Sequence[int], entries: dict[str, Results]) -> str:
    cells = [escaped(at(task, "models", role, "name") or label(task, role)), *(_cell(points_of.get(k)) for k in ks)]
    if entries:
        entry = entries.get(role, {})
        lost, gained = whole(entry, "coverage", "base_only"), whole(entry, "coverage", "model_only")
        cells += [_crossing(entry), "--" if lost is None or gained is None else f"{lost} / {gained}"]
    return f"{' & '.join(cells)} \\\\"


def _cell(point: Measurement | None) -> str:
    if point is None:
        return "--"
    sides = (
        ""
        if point.low is None or point.high is None
        else rf" {{\scriptsize [{100 * point.low:.1f}, {100 * point.high:.1f}]}}"
    )
    return f"{100 * point.value:.1f}{sides}"


def _crossing(entry: Results) -> str:
    crossover = mapping(entry, "crossover")
    k, low, high = (number(crossover, key) for key in ("k", "low", "high"))
    verdict = crossover.get("verdict")
    if verdict == "crossed" and k is not None:
        sides = "" if low is None or high is None else rf" {{\scriptsize [{low:.0f}, {high:.0f}]}}"
        return f"{k:.0f}{sides}"
    return {"not_crossed": "none", "undecided": "undecided"}.get(str(verdict), "--")
