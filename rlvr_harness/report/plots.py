"""The same charts as data for the script of the page: series of numbers, colour indices and ready-made hover texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlvr_harness.report.charts import MOST_BANDS, beyond_curve, colour, drawable
from rlvr_harness.report.reading import (
    Curve,
    Results,
    compared_roles,
    comparisons,
    curve,
    label,
    mapping,
    number,
    roles,
)
from rlvr_harness.report.shift import shift_bins
from rlvr_harness.report.tables import BINS, guess_curve, histogram, model_curves
from rlvr_harness.report.wording import MINUS, bracket, crossover_range, plural, with_interval

Plot = dict[str, Any]
K_AXIS = "k, samples per problem"
DIGITS = 3
"""Of percentages: a thousandth of a point is below what any interval tells apart."""


def line_series(name: str, index: int, points_of: Curve, what: str, signed: bool = False) -> Plot:
    """A measured curve in percent with its band; `what` says in the hover text what is measured at k."""
    unit = "points" if signed else "%"
    noise = {k: bracket(point.sampling_low, point.sampling_high, signed) for k, point in points_of.items()}
    return {
        "name": name,
        "colour": index,
        "x": list(points_of),
        "y": [_percent(point.value) for point in points_of.values()],
        "low": [_percent(point.low) for point in points_of.values()],
        "high": [_percent(point.high) for point in points_of.values()],
        "text": [
            f"{name}, {what.format(k=f'{k:,}')}: {with_interval(point, signed)} {unit}"
            + (f"; sampling only {noise[k]}" if noise[k] else "")
            for k, point in points_of.items()
        ],
    }


def side_series(name: str, index: int | None, points_of: Curve, style: str, what: str) -> Plot:
    """A line that was not measured on samples of the model: a floor or an extrapolation. `index` None: grey."""
    return line_series(name, -1 if index is None else index, points_of, what) | {"style": style, "low": [], "high": []}


def k_plot(series: Sequence[Plot], y: str, crossings: Sequence[Plot] = ()) -> Plot:
    """A plot over k on a log axis."""
    ks = [k for one in series for k in one["x"]]
    ticks = [2**power for power in range(31) if min(ks) <= 2**power <= max(ks)] if ks else []
    drawn = {"series": list(series), "crossings": list(crossings), "bands": few_enough(series)}
    return {"kind": "lines", "x": K_AXIS, "y": y, "ticks": ticks, **drawn}


def few_enough(series: Sequence[Plot]) -> bool:
    """Whether so many curves may have a band each."""
    return sum("style" not in one for one in series) <= MOST_BANDS


def pass_at_k_plot(task: Results) -> Plot:
    """pass@k of all models with floors, extrapolation and crossovers."""
    curves = {role: drawable(points_of) for role, points_of in model_curves(task).items()}
    series = [line_series(label(task, role), colour(task, role), curves[role], "pass@{k}") for role in curves]
    last = max((max(points_of) for points_of in curves.values()), default=0)
    for floor in list(guess_curve(task, "uniform").values())[:1]:
        shown = {k: point for k, point in drawable(floor).items() if k <= last}
        series.append(side_series("guess floor", None, shown, "dash", "pass@{k} by guessing"))
    for role, points_of in guess_curve(task, "empirical").items():
        name = f"guess floor of {label(task, role)}"
        shown = {k: point for k, point in drawable(points_of).items() if k <= last}
        series.append(side_series(name, colour(task, role), shown, "dot", "pass@{k} on other golds"))
    for role in curves:
        if points_of := beyond_curve(task, role, curves[role]):
            end = max(curves[role])
            joined = {end: curves[role][end], **points_of}
            name = f"{label(task, role)}, extrapolated"
            series.append(side_series(name, colour(task, role), joined, "longdash", "pass@{k}, not measured"))
    return k_plot(series, "pass@k, %", crossings(task))


def crossings(task: Results) -> list[Plot]:
    """Where the base overtakes, with its interval, for the comparisons that crossed."""
    found = []
    for entry in comparisons(task):
        crossover = mapping(entry, "crossover")
        k = number(crossover, "k")
        if crossover.get("verdict") == "crossed" and k is not None and k >= 1:
            name = f"k* = {k:,.0f}{crossover_range(crossover)}"
            if len(comparisons(task)) > 1:
                name = f"{label(task, compared_roles(entry)[1])}: {name}"
            sides = {side: number(crossover, side) for side in ("low", "high")}
            found.append({"k": k, **sides, "name": name})
    return found


def difference_plot(task: Results) -> Plot:
    """Paired differences to the base, in points."""
    series = []
    for entry in comparisons(task):
        base, model = compared_roles(entry)
        name = f"{label(task, model)} {MINUS} {label(task, base)}"
        points_of = drawable(curve(entry, "difference"))
        if points_of:
            series.append(line_series(name, colour(task, model), points_of, "pass@{k}", signed=True))
    return k_plot(series, "difference, points") | {"zero": True}


def histogram_plot(task: Results) -> Plot:
    """Bars of problems per accuracy bin."""
    series = []
    for role in roles(task):
        if bins := histogram(task, role):
            texts = [
                f"{label(task, role)}, {name} % right: {plural(bins[place], 'problem')}"
                for place, name in enumerate(BINS)
            ]
            series.append(
                {"name": label(task, role), "colour": colour(task, role), "x": list(BINS), "y": bins, "text": texts}
            )
    return {"kind": "bars", "x": "share of right samples, %", "y": "problems", "bins": list(BINS), "series": series}


def shift_plot(task: Results, entry: Results) -> Plot:
    """Squares at base bin and model bin, their area by problems."""
    base, model = compared_roles(entry)
    cells = [
        (before, after, amount)
        for before, row in enumerate(shift_bins(entry))
        for after, amount in enumerate(row)
        if amount
    ]
    most = max((amount for _, _, amount in cells), default=1)
    names = label(task, base), label(task, model)
    series = []
    for name, index, wanted in (
        ("more often right", colour(task, model), 1),
        ("less often right", colour(task, base), -1),
        ("the same", -1, 0),
    ):
        chosen = [cell for cell in cells if (cell[1] > cell[0]) - (cell[1] < cell[0]) == wanted]
        series.append(
            {
                "name": name,
                "colour": index,
                "x": [before for before, _, _ in chosen],
                "y": [after for _, after, _ in chosen],
                "size": [round((amount / most) ** 0.5, 3) for _, _, amount in chosen],
                "figures": [f"{amount:,}" for _, _, amount in chosen],
                "text": [
                    f"{names[0]} {BINS[before]} %, {names[1]} {BINS[after]} %: {plural(amount, 'problem')}"
                    for before, after, amount in chosen
                ],
            }
        )
    axes = {"x": f"{label(task, base)}: accuracy, %", "y": f"{label(task, model)}: accuracy, %"}
    return {"kind": "cells", **axes, "bins": list(BINS), "series": [one for one in series if one["x"]]}


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, DIGITS)
