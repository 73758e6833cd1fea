"""The key figures at the head of a task's section."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr_harness.report.reading import Results, compared_roles, curve, label, mapping, number
from rlvr_harness.report.tables import model_curves
from rlvr_harness.report.wording import count, crossover_range, p_value, percent, with_interval

NBSP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure: what it is, the figure, and how sure."""

    name: str
    value: str
    detail: str


def comparison_tiles(task: Results, entry: Results) -> list[Tile]:
    """pass@1 and pass@K with the difference, the crossover, and what each solved alone."""
    base, model = compared_roles(entry)
    gaps = curve(entry, "difference")
    tiles = [_difference_tile(task, entry, k) for k in dict.fromkeys([min(gaps), max(gaps)])] if gaps else []
    crossover = mapping(entry, "crossover")
    verdict, k = crossover.get("verdict"), number(crossover, "k")
    if verdict in ("crossed", "not_crossed", "undecided"):
        reach = f"up to k = {max(gaps):,}" if gaps else ""
        interval = crossover_range(crossover).strip()
        shown = {
            "crossed": (f"k = {count(k)}", f"95 % interval {interval}" if interval else ""),
            "not_crossed": ("none", reach),
            "undecided": ("undecided", reach),
        }[verdict]
        tiles.insert(1, Tile(f"{label(task, base)} overtakes {label(task, model)}", *shown))
    lost, gained = number(entry, "coverage", "base_only"), number(entry, "coverage", "model_only")
    if lost is not None or gained is not None:
        test = p_value(number(entry, "coverage", "mcnemar_p"))
        name = f"solved by {label(task, base)} only / {label(task, model)} only"
        tiles.append(Tile(name, f"{count(lost)} / {count(gained)}", f"exact McNemar {test}" if test else ""))
    return tiles


def _difference_tile(task: Results, entry: Results, k: int) -> Tile:
    base, model = compared_roles(entry)
    values = [number(task, "models", role, "pass_at_k", str(k), "value") for role in (base, model)]
    gap = with_interval(curve(entry, "difference")[k], signed=True)
    name = f"pass@{k:,}, {label(task, base)} → {label(task, model)}"
    return Tile(name, f"{percent(values[0])} → {percent(values[1])}{NBSP}%", f"{gap} points")


def single_tiles(task: Results) -> list[Tile]:
    """pass@1 and pass@K of each model, where nothing is compared."""
    tiles = []
    for role, points_of in model_curves(task).items():
        for k in dict.fromkeys([min(points_of), max(points_of)]):
            point = points_of[k]
            interval = with_interval(point).removeprefix(percent(point.value)).strip()
            detail = f"95 % interval {interval}" if interval else ""
            tiles.append(Tile(f"pass@{k:,}, {label(task, role)}", f"{percent(point.value)}{NBSP}%", detail))
    return tiles
