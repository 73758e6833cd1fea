"""The three charts of a task as inline SVG, each in a wide and a compact size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from rlvr_harness.report.reading import (
    Curve,
    Results,
    at,
    chosen_ks,
    compared_roles,
    comparisons,
    curve,
    label,
    mapping,
    number,
    roles,
    text,
)
from rlvr_harness.report.svg import XY, Frame, drawing, even_ticks, round_out, spread, tag, words
from rlvr_harness.report.tables import BINS, guess_curve, histogram, model_curves
from rlvr_harness.report.wording import MINUS, count, crossover_range, percent, plural, points, with_interval

MOST_BANDS = 4
"""Curves in one chart that still get a band each; more bands cover one another, and their limits stand in the table."""
LOOKS = 12
"""Ways a model can look: six colours by four marks give twelve that differ."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a chart is drawn, and how much it may say."""

    width: float
    height: float
    end_room: float
    name_length: int
    class_: str


WIDE = Size(640, 400, 160, 13, "wide")
COMPACT = Size(360, 330, 92, 11, "compact")


def colour(task: Results, role: str) -> int:
    """Index of a model's colour and mark: base 0, model 1, then in order."""
    names = roles(task)
    if role not in names:
        return 0
    shift = 0 if "base" in names else 1
    return (names.index(role) + shift) % LOOKS


def clipped(name: str, longest: int) -> str:
    """`name` cut to `longest` characters."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def both_sizes(chart: Callable[[Results, Size], str], task: Results) -> str:
    """A chart in both sizes, of which the style sheet shows the one that fits; '' where nothing was measured."""
    return chart(task, WIDE) + chart(task, COMPACT)


def bands_in_words(task: Results) -> str:
    """What a caption says of the bands in a picture of all the task's models."""
    if len(roles(task)) > MOST_BANDS:
        return "95 % intervals, too many to draw, stand in the table."
    return "Bands: 95 %, problems resampled."


def drawable(points_of: Curve) -> Curve:
    """The curve without points that would lie within 1/9 octave of the one before; the last is kept."""
    kept: Curve = {}
    reached, end = 0.0, max(points_of, default=0)
    for k, point in points_of.items():
        if k >= reached or k == end:
            kept[k], reached = point, k * 2 ** (1 / 9)
    return kept


def beyond_curve(task: Results, role: str, measured: Curve) -> Curve:
    """Extrapolated points past the last measured k, from a plain k -> value mapping or one under `pass_at_k`."""
    block = mapping(task, "models", role, "extrapolated")
    points_of = curve(block) or curve(block, "pass_at_k")
    return {k: point for k, point in drawable(points_of).items() if k > max(measured)}


def pass_at_k(task: Results, size: Size) -> str:
    """pass@k over k of all models with bands, guess floor, extrapolation and crossover."""
    curves = {role: drawable(points_of) for role, points_of in model_curves(task).items()}
    if not curves:
        return ""
    beyond = {role: beyond_curve(task, role, curves[role]) for role in curves}
    floor = next(iter(guess_curve(task, "uniform").values()), {})
    ks = sorted({k for some in (*curves.values(), *beyond.values()) for k in some})
    shown_floor = {k: point for k, point in drawable(floor).items() if ks[0] <= k <= ks[-1]}
    top = max(
        max(point.value, point.high or 0) for some in (*curves.values(), *beyond.values()) for point in some.values()
    )
    high = next(limit for limit in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if top <= limit or limit == 1.0)
    frame = _frame(size, ks, (0.0, high))
    parts = [
        frame.y_axis((tick, f"{100 * tick:g} %") for tick in even_ticks(0, high, 5)),
        _k_axis(frame, ks),
        *_crossovers(task, frame),
        frame.line(_values(shown_floor), "floor"),
        *(_curve(task, role, frame, curves[role], f"{label(task, role)}, pass@") for role in curves),
    ]
    for role, points_of in guess_curve(task, "empirical").items():
        line = frame.line([xy for xy in _values(drawable(points_of)) if xy[0] <= ks[-1]], "empirical")
        parts.append(tag("g", line, class_=f"c{colour(task, role)}"))
    for role, points_of in beyond.items():
        bridge = [*_values(curves[role])[-1:], *_values(points_of)] if points_of else []
        parts.append(tag("g", frame.line(bridge, "beyond"), class_=f"c{colour(task, role)}"))
    ends = [(label(task, role), f"c{colour(task, role)}", _last(curves[role], beyond[role])) for role in curves]
    if shown_floor:
        ends.append((_floor_label(task, size), "muted", _last(shown_floor)))
    # An extrapolated value is not written beside a name as if it had been measured.
    parts.append(_end_labels(frame, size, ends, with_value=not any(beyond.values())))
    return drawing(frame, _pass_at_k_alternative(task, curves), parts, size.class_)


def difference(task: Results, size: Size) -> str:
    """Paired difference of pass@k over k, with band and zero line."""
    lines = [(entry, drawable(curve(entry, "difference"))) for entry in comparisons(task)]
    lines = [(entry, points_of) for entry, points_of in lines if points_of]
    if not lines:
        return ""
    every = [point for _, points_of in lines for point in points_of.values()]
    low = min(0.0, *(min(point.value, point.low or 0) for point in every))
    high = max(0.0, *(max(point.value, point.high or 0) for point in every))
    span = round_out(low, high, 6)
    frame = _frame(size, sorted({k for _, points_of in lines for k in points_of}), span)
    parts = [
        frame.y_axis((tick, points(tick).removesuffix(".0")) for tick in even_ticks(*span, 6)),
        _k_axis(frame, sorted({k for _, points_of in lines for k in points_of})),
        tag("path", d=f"M{frame.left:.1f} {frame.y(0):.1f}H{frame.right:.1f}", class_="zero"),
    ]
    ends = []
    for entry, points_of in lines:
        base, model = compared_roles(entry)
        name = f"{label(task, model)} {MINUS} {label(task, base)}, k = "
        parts.append(_curve(task, model, frame, points_of, name, signed=True))
        ends.append((label(task, model), f"c{colour(task, model)}", _last(points_of)))
    base = label(task, compared_roles(lines[0][0])[0])
    for value, words_of, nudge in ((span[1], f"above {base}", 14), (span[0], f"below {base}", -7)):
        if value:
            parts.append(words(clipped(words_of, 24), frame.left + 6, frame.y(value) + nudge, class_="side"))
    parts.append(_end_labels(frame, size, ends, with_value=False))
    shown = "; ".join(
        f"{text(name)}: "
        + ", ".join(f"k = {k}: {with_interval(points_of[k], signed=True)}" for k in chosen_ks(list(points_of), 4))
        for (name, _, _), (_, points_of) in zip(ends, lines, strict=True)
    )
    return drawing(frame, f"Difference of pass@k to {base} in percentage points. {shown}.", parts, size.class_)


def accuracy_histogram(task: Results, size: Size) -> str:
    """Problems per bin of accuracy, bars grouped by model."""
    bars = {role: bins for role in roles(task) if (bins := histogram(task, role))}
    tallest = max((max(bins) for bins in bars.values()), default=0)
    if not tallest:
        return ""
    span = (0.0, float(round_out(0, tallest, 5)[1]))
    frame = Frame(size.width, size.height, (34, 12, 48, 46), (0, len(BINS)), span, x_log=False)
    ticks = [tick for tick in even_ticks(*span, 5) if tick == int(tick)]
    names = BINS if size is WIDE else [f"{10 * place}" for place in range(len(BINS))]
    axis = "share of right samples, %" if size is WIDE else "share of right samples, up to this %"
    parts = [
        frame.y_axis((tick, f"{tick:,.0f}") for tick in ticks),
        frame.x_axis(((place + 0.5, name) for place, name in enumerate(names)), axis),
    ]
    width = min(0.8 / len(bars), 0.4) * (frame.right - frame.left) / len(BINS)
    for order, (role, bins) in enumerate(bars.items()):
        drawn = []
        for place, amount in enumerate(bins):
            x = frame.x(place + 0.5) + width * (order - len(bars) / 2)
            tip = tag("title", escape(f"{label(task, role)}, {BINS[place]} % right: {plural(amount, 'problem')}"))
            height = max(frame.bottom - frame.y(amount), 1.5 if amount else 0)
            drawn.append(
                tag("rect", tip, x=x, y=frame.bottom - height, width=max(width - 1, 1.0), height=height, rx=1.5)
            )
        parts.append(tag("g", *drawn, class_=f"bars c{colour(task, role)}"))
    parts.append(_legend(task, list(bars), frame, size))
    shown = "; ".join(
        f"{label(task, role)}: {bins[0]} problems never solved, {sum(bins[10:])} solved in over 90 % of samples"
        for role, bins in bars.items()
    )
    return drawing(frame, f"Histogram of per-problem accuracy. {shown}.", parts, size.class_)


def _legend(task: Results, shown: Sequence[str], frame: Frame, size: Size) -> str:
    parts, x = [], frame.left
    for role in shown:
        name = clipped(label(task, role), size.name_length)
        box = tag("rect", x=x, y=10, width=11, height=11, rx=2)
        parts.append(tag("g", box, words(name, x + 16, 20, class_="end"), class_=f"bars c{colour(task, role)}"))
        x += 34 + 7.2 * len(name)
    return "".join(parts)


def _frame(size: Size, ks: Sequence[int], y_range: XY) -> Frame:
    k_range = (float(ks[0]), float(ks[-1] if ks[-1] > ks[0] else 2 * ks[0]))
    return Frame(size.width, size.height, (26, size.end_room, 48, 50), k_range, y_range)


def _k_axis(frame: Frame, ks: Sequence[int]) -> str:
    shown = chosen_ks(ks, 11 if frame.width > 400 else 6)
    return frame.x_axis(((k, f"{k:,}") for k in shown), "k, samples per problem (log scale)")


def _curve(task: Results, role: str, frame: Frame, points_of: Curve, name: str, signed: bool = False) -> str:
    sides = [(k, point.low, point.high) for k, point in points_of.items()]
    lower = [(float(k), low) for k, low, high in sides if low is not None and high is not None]
    upper = [(float(k), high) for k, low, high in sides if low is not None and high is not None]
    index = colour(task, role)
    unit = "points" if signed else "%"
    marks = [
        frame.mark((k, points_of[k].value), index, f"{name}{k:,}: {with_interval(points_of[k], signed)} {unit}")
        for k in chosen_ks(list(points_of), 11 if frame.width > 400 else 6)
    ]
    band = frame.band(lower, upper) if len(roles(task)) - signed <= MOST_BANDS else ""
    return tag("g", band, frame.line(_values(points_of), "line"), *marks, class_=f"c{index}")


def _crossovers(task: Results, frame: Frame) -> list[str]:
    crossed = [entry for entry in comparisons(task) if at(entry, "crossover", "verdict") == "crossed"]
    drawn = []
    for row, entry in enumerate(crossed):
        crossover = mapping(entry, "crossover")
        k, low, high = (number(crossover, key) for key in ("k", "low", "high"))
        if k is None or not frame.x_range[0] <= k <= frame.x_range[1]:
            continue
        if low is not None and high is not None:
            width = max(frame.x(high) - frame.x(low), 0)
            height = frame.bottom - frame.top
            drawn.append(tag("rect", x=frame.x(low), y=frame.top, width=width, height=height, class_="crossing-range"))
        drawn.append(tag("path", d=f"M{frame.x(k):.1f} {frame.top:.1f}V{frame.bottom:.1f}", class_="crossing"))
        name = f"k* = {k:,.0f}{crossover_range(crossover)}"
        if len(crossed) > 1:
            name = f"{clipped(label(task, compared_roles(entry)[1]), 10)}: {name}"
        half = 3.5 * len(name)
        x = min(max(frame.x(k), half + 4), frame.width - half - 4)
        drawn.append(words(name, x, frame.top - 8 + 14 * row, anchor="middle", class_="crossing-name"))
    return drawn


def _end_labels(frame: Frame, size: Size, ends: Sequence[tuple[str, str, XY]], with_value: bool) -> str:
    lines = [frame.y(value) for _, _, (_, value) in ends]
    placed = spread(lines, 16, frame.top + 4, frame.bottom - 2)
    drawn = []
    for (name, class_, (k, value)), line_y, y in zip(ends, lines, placed, strict=True):
        x = frame.x(k)
        shown = name if class_ == "muted" else clipped(name, size.name_length)
        if with_value and size is WIDE and class_ != "muted":
            shown = f"{shown} {percent(value)}"
        lead = tag("path", d=f"M{x + 6:.1f} {line_y:.1f}L{frame.right + 10:.1f} {y:.1f}", class_="lead")
        drawn.append(tag("g", lead, words(shown, frame.right + 13, y + 4, class_="end"), class_=class_))
    return "".join(drawn)


def _floor_label(task: Results, size: Size) -> str:
    names = [at(task, "models", role, "guess_floor", "label") for role in roles(task)]
    given = next((text(name) for name in names if name), "guess floor")
    return clipped(given, 22) if size is WIDE else "guess floor"


def _values(points_of: Curve) -> list[XY]:
    return [(float(k), point.value) for k, point in points_of.items()]


def _last(*curves: Curve) -> XY:
    return [xy for points_of in curves for xy in _values(points_of)][-1]


def _pass_at_k_alternative(task: Results, curves: Mapping[str, Curve]) -> str:
    shown = "; ".join(
        f"{label(task, role)}: "
        + ", ".join(f"pass@{count(k)} {with_interval(points_of[k])} %" for k in chosen_ks(list(points_of), 4))
        for role, points_of in curves.items()
    )
    return f"pass@k over k on a log scale. {shown}."
