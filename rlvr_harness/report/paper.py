"""The figures of a task in the plain style of a paper, drawn on matplotlib axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rlvr_harness.report.charts import MOST_BANDS, beyond_curve, clipped, colour, drawable
from rlvr_harness.report.problems import group_amounts
from rlvr_harness.report.reading import (
    Curve,
    Results,
    at,
    compared_roles,
    comparisons,
    curve,
    label,
    mapping,
    number,
    roles,
    text,
)
from rlvr_harness.report.shift import shift_bins
from rlvr_harness.report.tables import BINS, guess_curve, histogram, model_curves
from rlvr_harness.report.wording import crossover_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "D", "^")
MOST_MARKS = 16
"""Points on one curve before marks would run into one another at column width."""
GREY = "0.45"


def draw_pass_at_k(axes: Axes, task: Results) -> None:
    """pass@k over k with bands, guess floor, extrapolation and crossover."""
    curves = {role: drawable(points_of) for role, points_of in model_curves(task).items()}
    for role, points_of in curves.items():
        _line(axes, colour(task, role), points_of, label(task, role), bands=len(curves) <= MOST_BANDS)
        if further := beyond_curve(task, role, points_of):
            joined = {max(points_of): points_of[max(points_of)], **further}
            values = [100 * point.value for point in joined.values()]
            axes.plot(list(joined), values, "--", color=_shade(task, role), linewidth=1)
    for floor in list(guess_curve(task, "uniform").values())[:1]:
        given = next((at(task, "models", role, "guess_floor", "label") for role in roles(task)), None)
        values = [100 * point.value for point in floor.values()]
        axes.plot(list(floor), values, ":", color=GREY, linewidth=1, label=clipped(text(given or "guess floor"), 24))
    for entry in comparisons(task)[:1]:
        crossover = mapping(entry, "crossover")
        k, low, high = (number(crossover, key) for key in ("k", "low", "high"))
        if crossover.get("verdict") == "crossed" and k and k >= 1:
            axes.axvline(k, color="0.2", linewidth=0.8, linestyle=":")
            if low is not None and high is not None and low < high:
                axes.axvspan(max(low, 1), high, color="0.2", alpha=0.08, linewidth=0)
            axes.set_title(f"k* = {k:,.0f}{crossover_range(crossover)}", loc="right", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("pass@k (%)")
    _over_k(axes)


def draw_difference(axes: Axes, task: Results) -> None:
    """Paired difference to the base over k, in points, with the zero line."""
    lines = {compared_roles(entry): drawable(curve(entry, "difference")) for entry in comparisons(task)}
    axes.axhline(0, color="0.2", linewidth=0.8)
    for (_, model), points_of in lines.items():
        _line(axes, colour(task, model), points_of, label(task, model), bands=len(lines) <= MOST_BANDS)
    base = next(iter(lines))[0]
    axes.set_ylabel(f"pass@k minus {clipped(label(task, base), 16)} (points)")
    _over_k(axes)


def draw_accuracy(axes: Axes, task: Results) -> None:
    """Problems per bin of accuracy, bars grouped by model."""
    bars = {role: bins for role in roles(task) if (bins := histogram(task, role))}
    width = 0.84 / len(bars)
    for order, (role, bins) in enumerate(bars.items()):
        places = [place + width * (order - (len(bars) - 1) / 2) for place in range(len(BINS))]
        axes.bar(places, bins, width, color=_shade(task, role), label=clipped(label(task, role), 24))
    axes.set_xticks(range(len(BINS)), BINS, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlabel("right samples (%)")
    axes.set_ylabel("problems")
    axes.legend(frameon=False, fontsize=8)


def draw_shift(axes: Axes, task: Results) -> None:
    """Problems by accuracy under base and model, of the first comparison that has them."""
    entry = next(entry for entry in comparisons(task) if shift_bins(entry))
    base, model = compared_roles(entry)
    cells = [
        (before, after, amount)
        for before, row in enumerate(shift_bins(entry))
        for after, amount in enumerate(row)
        if amount
    ]
    most = max(amount for _, _, amount in cells)
    # 150 square points fill a cell at this width; a single problem still shows at 3.
    areas = [150 * amount / most for _, _, amount in cells]
    shades = [GREY if b == a else _shade(task, model if a > b else base) for b, a, _ in cells]
    places = ([before for before, _, _ in cells], [after for _, after, _ in cells])
    axes.scatter(*places, s=[max(area, 3) for area in areas], marker="s", c=shades, alpha=0.45, linewidth=0)
    for (before, after, amount), area in zip(cells, areas, strict=True):
        if area > 28:
            axes.annotate(f"{amount:,}", (before, after), ha="center", va="center", fontsize=5.5)
    axes.plot([0, len(BINS) - 1], [0, len(BINS) - 1], ":", color=GREY, linewidth=0.8, zorder=0)
    axes.set_xticks(range(len(BINS)), BINS, rotation=45, ha="right", rotation_mode="anchor", fontsize=7)
    axes.set_yticks(range(len(BINS)), BINS, fontsize=7)
    axes.set_xlabel(f"{clipped(label(task, base), 24)}: accuracy (%)")
    axes.set_ylabel(f"{clipped(label(task, model), 24)}: accuracy (%)")


def draw_solved(axes: Axes, task: Results) -> None:
    """Shares of problems solved by both, base only, model only and neither, one bar a comparison."""
    found = [entry for entry in comparisons(task) if sum(group_amounts(entry).values())]
    names = []
    for place, entry in enumerate(found):
        base, model = compared_roles(entry)
        amounts = group_amounts(entry)
        total, start = sum(amounts.values()), 0.0
        names.append(f"{clipped(label(task, model), 14)}\nand {clipped(label(task, base), 14)}")
        looks = (
            ("both", "#8FB8A6"),
            ("base_only", _shade(task, base)),
            ("model_only", _shade(task, model)),
            ("neither", "0.85"),
        )
        for name, shade in looks:
            share = 100 * amounts[name] / total
            shown = {"base_only": "base only", "model_only": "model only"}.get(name, name)
            axes.barh(place, share, left=start, color=shade, height=0.62, label=None if place else shown)
            if amounts[name]:
                above = share < 5
                y = place - 0.42 if above else place
                axes.annotate(f"{amounts[name]:,}", (start + share / 2, y), ha="center", va="center", fontsize=7)
            start += share
    axes.set_yticks(range(len(found)), names)
    axes.set_ylim(len(found) - 0.4, -0.75)
    axes.set_xlim(0, 100)
    axes.set_xlabel("problems (%)")
    axes.legend(frameon=False, fontsize=7, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.0)


def _line(axes: Axes, index: int, points_of: Curve, name: str, bands: bool) -> None:
    ks, values = list(points_of), [100 * point.value for point in points_of.values()]
    marker = MARKERS[index % len(MARKERS)] if len(ks) < MOST_MARKS else None
    shade = OKABE_ITO[index % len(OKABE_ITO)]
    axes.plot(ks, values, marker=marker, markersize=3.5, color=shade, label=clipped(name, 24))
    sides = [(k, 100 * p.low, 100 * p.high) for k, p in points_of.items() if p.low is not None and p.high is not None]
    if sides and bands:
        band_ks, low, high = zip(*sides, strict=True)
        axes.fill_between(band_ks, low, high, color=shade, alpha=0.18, linewidth=0)


def _over_k(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    first, last = (math.log2(k) for k in axes.dataLim.intervalx)
    # At column width more than six or seven numbers of up to six characters run into one another.
    axes.set_xticks([2**power for power in range(math.ceil(first), math.floor(last) + 1, 1 + int((last - first) // 6))])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("k")
    axes.legend(frameon=False, fontsize=8)


def _shade(task: Results, role: str) -> str:
    return OKABE_ITO[colour(task, role) % len(OKABE_ITO)]
