"""The one table that sums a task up: a row a model, with the crossover and the solved sets beside pass@k."""

from __future__ import annotations

from collections.abc import Sequence

from rlvr_harness.report.reading import (
    Results,
    at,
    compared_roles,
    comparisons,
    label,
    mapping,
    measurement,
    number,
    roles,
    whole,
)
from rlvr_harness.report.tables import Table, model_curves
from rlvr_harness.report.wording import NONE, count, crossover_range, with_interval


def headline_table(task: Results, ks: Sequence[int]) -> Table:
    """pass@k at `ks`, and for each compared model its crossover, solved sets and gap."""
    curves = model_curves(task)
    entries = {compared_roles(entry)[1]: entry for entry in comparisons(task)}
    rows = []
    for role in roles(task):
        cells = [label(task, role), *(with_interval(curves.get(role, {}).get(k)) for k in ks)]
        if entries:
            entry = entries.get(role, {})
            lost, gained = (number(entry, "coverage", key) for key in ("base_only", "model_only"))
            sets = NONE if lost is None or gained is None else f"{count(lost)} / {count(gained)}"
            cells += [crossover_cell(entry), sets, gap_cell(entry)]
        rows.append(cells)
    header = ["model", *(f"pass@{k:,}, %" for k in ks)]
    if entries:
        header += ["crossover", "base only / model only", "ΔSE, points"]
    return Table("All models with 95 % intervals.", header, rows if curves else [])


def crossover_cell(entry: Results) -> str:
    """'k = 15 [9, 27]', 'none', 'undecided' or a dash."""
    crossover = mapping(entry, "crossover")
    verdict, k = crossover.get("verdict"), number(crossover, "k")
    if verdict == "crossed" and k is not None:
        return f"k = {count(k)}{crossover_range(crossover)}"
    return {"not_crossed": "none", "undecided": "undecided"}.get(str(verdict), NONE)


def gap_cell(entry: Results) -> str:
    """'+35.8 [+33.0, +38.5] (K = 256)' or a dash."""
    gap, top = measurement(at(entry, "delta_se")), whole(entry, "delta_se", "k")
    return with_interval(gap, signed=True) + (f" (K = {top:,})" if gap is not None and top else "")
