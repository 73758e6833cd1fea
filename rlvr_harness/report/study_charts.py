"""What several models on one base show together: training steps, efficiency gaps, and the table of all."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from rlvr_harness.records import Measurement
from rlvr_harness.report.charts import Size, clipped
from rlvr_harness.report.headline import headline_table
from rlvr_harness.report.plots import Plot, line_series
from rlvr_harness.report.reading import (
    BASE_ROLE,
    Curve,
    Results,
    at,
    comparisons,
    curve,
    measurement,
    whole,
)
from rlvr_harness.report.study import Study, merged
from rlvr_harness.report.svg import SHAPES, Frame, drawing, even_ticks, round_out, tag, words
from rlvr_harness.report.tables import Table, model_curves
from rlvr_harness.report.wording import count, points, with_interval

STEP_COLOURS = (2, 3)
"""Of pass@1 and pass@K over steps: not those of base and model, which mean something else."""


def shared_ks(task: Results) -> list[int]:
    """pass@1 and the largest k that every model of the study has."""
    known = [set(points_of) for points_of in model_curves(task).values()]
    ks = sorted(set.intersection(*known)) if known else []
    return list(dict.fromkeys([ks[0], ks[-1]])) if ks else []


def step_curves(study: Study) -> dict[int, Curve]:
    """k -> (training step -> pass@k), the base at step 0; empty without steps."""
    task, steps = merged(study), study.steps
    places = {BASE_ROLE: 0, **steps} if 0 not in steps.values() else steps
    curves = model_curves(task)
    return {
        k: {step: curves[name][k] for name, step in places.items() if k in curves.get(name, {})}
        for k in (shared_ks(task) if steps else [])
    }


def steps_chart(study: Study, size: Size) -> str:
    """pass@1 and pass@K over training steps with bands; '' without steps."""
    curves = step_curves(study)
    every = [point for points_of in curves.values() for point in points_of.values()]
    if len({step for points_of in curves.values() for step in points_of}) < 2:
        return ""
    steps = sorted({step for points_of in curves.values() for step in points_of})
    top = max(max(point.value, point.high or 0) for point in every)
    span = (0.0, min(round_out(0, top, 5)[1], 1.0))
    frame = Frame(size.width, size.height, (16, size.end_room, 48, 50), (steps[0], steps[-1]), span, x_log=False)
    parts = [
        frame.y_axis((tick, f"{100 * tick:g} %") for tick in even_ticks(*span, 5)),
        frame.x_axis(((step, f"{step:,}") for step in even_ticks(steps[0], steps[-1], 6)), "training step"),
    ]
    for index, (k, points_of) in zip(STEP_COLOURS, curves.items(), strict=False):
        bounded = [(step, p.low, p.high) for step, p in points_of.items() if p.low is not None and p.high is not None]
        lower = [(float(step), low) for step, low, _ in bounded if low is not None]
        upper = [(float(step), high) for step, _, high in bounded if high is not None]
        line = [(float(step), point.value) for step, point in points_of.items()]
        marks = [
            frame.mark((step, point.value), index, f"pass@{k:,} at step {step:,}: {with_interval(point)} %")
            for step, point in points_of.items()
        ]
        end = words(f"pass@{k:,}", frame.right + 12, frame.y(line[-1][1]) + 4, class_="end")
        parts.append(tag("g", frame.band(lower, upper), frame.line(line, "line"), *marks, end, class_=f"c{index}"))
    told = "; ".join(
        f"pass@{k:,}: " + ", ".join(f"step {step:,}: {with_interval(p)} %" for step, p in points_of.items())
        for k, points_of in curves.items()
    )
    return drawing(frame, f"pass@k over training steps. {told}.", parts, size.class_)


def steps_plot(study: Study) -> Plot:
    """The same as data."""
    series = [
        line_series(f"pass@{k:,}", index, points_of, "step {k}")
        for index, (k, points_of) in zip(STEP_COLOURS, step_curves(study).items(), strict=False)
    ]
    return {
        "kind": "lines",
        "x": "training step",
        "y": "pass@k, %",
        "ticks": [],
        "series": series,
        "crossings": [],
        "bands": True,
    }


def gaps(study: Study) -> dict[str, tuple[Measurement, int | None]]:
    """Label -> efficiency gap and its K: by training step, else the smallest first."""
    found = {}
    for entry in comparisons(merged(study)):
        gap = measurement(at(entry, "delta_se"))
        if gap is not None:
            found[str(entry["model"])] = (gap, whole(entry, "delta_se", "k"))
    return found if study.steps else dict(sorted(found.items(), key=lambda pair: pair[1][0].value))


def gap_chart(study: Study, size: Size) -> str:
    """ΔSE of each model with its interval, one line a model; '' with fewer than two."""
    found = gaps(study)
    if len(found) < 2:
        return ""
    ends = [side for gap, _ in found.values() for side in (gap.value, gap.low, gap.high) if side is not None]
    span = round_out(min(0.0, *ends), max(0.0, *ends), 6)
    height = 70 + 34 * len(found)
    room = 150 if size.class_ == "wide" else 104
    frame = Frame(size.width, height, (14, 24, 48, room), span, (0.0, float(len(found))), x_log=False)
    parts = [frame.x_axis(((tick, points(tick).removesuffix(".0")) for tick in even_ticks(*span, 6)), "ΔSE, points")]
    for place, (name, (gap, k)) in enumerate(found.items()):
        y = frame.y(len(found) - place - 0.5)
        told = f"{name}: {with_interval(gap, signed=True)} points" + ("" if k is None else f", K = {k:,}")
        low, high = (gap.value if side is None else side for side in (gap.low, gap.high))
        drawn = [
            tag("title", escape(told)),
            tag("path", d=f"M{frame.left:.1f} {y:.1f}H{frame.right:.1f}", class_="grid"),
            tag("path", d=f"M{frame.x(low):.1f} {y:.1f}H{frame.x(high):.1f}", class_="line"),
            tag("path", d=SHAPES[0], class_="mark", transform=f"translate({frame.x(gap.value):.1f} {y:.1f})"),
            words(clipped(name, 20 if room > 110 else 14), frame.left - 8, y + 4, anchor="end", class_="end"),
        ]
        parts.append(tag("g", *drawn, class_="c1"))
    told = "; ".join(f"{name}: {with_interval(gap, signed=True)} points" for name, (gap, _) in found.items())
    return drawing(frame, f"Sampling efficiency gap of each model. {told}.", parts, size.class_)


def gap_plot(study: Study) -> Plot:
    """The same as data."""
    found = gaps(study)
    sides: Mapping[str, list[float | None]] = {
        side: [None if (end := getattr(gap, side)) is None else round(100 * end, 3) for gap, _ in found.values()]
        for side in ("value", "low", "high")
    }
    text = [
        f"{name}: {with_interval(gap, signed=True)} points" + ("" if k is None else f", K = {k:,}")
        for name, (gap, k) in found.items()
    ]
    series = {"name": "ΔSE", "colour": 1, "x": sides["value"], "y": list(found), "text": text}
    return {
        "kind": "points",
        "x": "ΔSE, points",
        "y": "",
        "series": [series | {"low": sides["low"], "high": sides["high"]}],
    }


def study_table(study: Study) -> Table:
    """One row a model, the base first: pass@1, pass@K, crossover, sets and gap."""
    task = merged(study)
    return headline_table(task, shared_ks(task))


def gap_table(study: Study) -> Table:
    """The numbers of the gap chart."""
    rows = [[name, with_interval(gap, signed=True), count(k)] for name, (gap, k) in gaps(study).items()]
    return Table("Sampling efficiency gap in points.", ["model", "ΔSE", "K"], rows)


def steps_table(study: Study) -> Table:
    """The numbers of the steps chart."""
    curves = step_curves(study)
    steps = sorted({step for points_of in curves.values() for step in points_of})
    rows = [[f"{step:,}", *(with_interval(points_of.get(step)) for points_of in curves.values())] for step in steps]
    return Table("pass@k in percent by training step.", ["step", *(f"pass@{k:,}" for k in curves)], rows)


def curve_range(entry: Results) -> tuple[Measurement, Measurement] | None:
    """The smallest and the largest difference to the base over all k, by value; None where nothing was compared."""
    found = list(curve(entry, "difference").values())
    if not found:
        return None
    return min(found, key=lambda point: point.value), max(found, key=lambda point: point.value)
