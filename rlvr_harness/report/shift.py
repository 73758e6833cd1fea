"""How problems moved between base and model: the accuracy shift and the flow between solved and unsolved, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rlvr_harness.report.charts import Size, clipped, colour
from rlvr_harness.report.problems import group_amounts
from rlvr_harness.report.reading import Results, compared_roles, label, listed, mapping, measurement, number, whole
from rlvr_harness.report.svg import Frame, drawing, tag, words
from rlvr_harness.report.tables import BINS, Table
from rlvr_harness.report.wording import count, plural, with_interval

LABELLED_AT = {"both": 0.5, "base_only": 0.16, "model_only": 0.84, "neither": 0.5}
"""How far along a flow its number stands: the two that cross are told apart near their ends."""
SMALLEST_SHARE = 0.008
"""Height of a flow of one problem in thousands, as a share of the picture: thinner would not be seen."""


def shift_bins(entry: Results) -> list[list[int]]:
    """The 11 x 11 counts, base bin by model bin, or [] where they are missing or malformed."""
    rows = [list(row) if isinstance(row, list | tuple) else [] for row in listed(entry, "shift", "bins")]
    whole_numbers = all(isinstance(cell, int) and cell >= 0 for row in rows for cell in row)
    fits = len(rows) == len(BINS) and all(len(row) == len(BINS) for row in rows)
    return rows if fits and whole_numbers and any(map(any, rows)) else []


def shift_sentence(entry: Results) -> str:
    """'41 problems up, 12 down, 47 the same; mean shift +9.1 [+6.0, +12.2] points', as far as measured."""
    shift = mapping(entry, "shift")
    moved = [f"{count(number(shift, key))} {words_of}" for key, words_of in DIRECTIONS if whole(shift, key) is not None]
    mean = measurement(shift.get("mean"))
    told = [f"Problems by accuracy bin: {', '.join(moved)}"] if moved else []
    told += [f"mean shift {with_interval(mean, signed=True)} points"] if mean else []
    return "; ".join(told) + ("." if told else "")


DIRECTIONS = (("up", "up"), ("down", "down"), ("same", "the same"))


def shift_chart(entry: Results, task: Results, size: Size) -> str:
    """Problems by accuracy under base (across) and model (up): squares by number, and the diagonal of no change."""
    bins = shift_bins(entry)
    if not bins:
        return ""
    base, model = compared_roles(entry)
    most = max(map(max, bins))
    span = (0.0, float(len(BINS)))
    frame = Frame(size.width, size.height + 60, (14, 14, 48, 78), span, span, x_log=False)
    names = BINS if size.class_ == "wide" else [f"{10 * place}" for place in range(len(BINS))]
    parts = [
        tag("path", d=frame.path([(0, 0), span[1:] * 2]), class_="diagonal"),
        frame.y_axis((place + 0.5, name) for place, name in enumerate(names)),
        frame.x_axis(((place + 0.5, name) for place, name in enumerate(names)), f"{label(task, base)}: accuracy, %"),
        tag(
            "text",
            escape(f"{label(task, model)}: accuracy, %"),
            transform=f"translate(13 {(frame.top + frame.bottom) / 2:.1f}) rotate(-90)",
            text_anchor="middle",
            class_="name",
        ),
    ]
    for before, row in enumerate(bins):
        for after, amount in enumerate(row):
            if amount:
                parts.append(_cell(task, entry, frame, (before, after), amount, most))
    told = f"Accuracy of each problem, {label(task, base)} against {label(task, model)}. {shift_sentence(entry)}"
    return drawing(frame, told, parts, size.class_)


def _cell(task: Results, entry: Results, frame: Frame, at: tuple[int, int], amount: int, most: int) -> str:
    before, after = at
    base, model = compared_roles(entry)
    moved = model if after > before else base
    class_ = "shift muted" if after == before else f"shift c{colour(task, moved)}"
    room = min(frame.right - frame.left, frame.bottom - frame.top) / len(BINS)
    # Area by number of problems; one problem still shows, and takes a figure beside it rather than on it.
    side = max(0.94 * room * (amount / most) ** 0.5, 5.0)
    x, y = frame.x(before + 0.5), frame.y(after + 0.5)
    tip = f"{label(task, base)} {BINS[before]} %, {label(task, model)} {BINS[after]} %: {plural(amount, 'problem')}"
    box = tag("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, rx=2)
    figure = words(f"{amount:,}", x, y + 4, anchor="middle", class_="figure") if side > 9 else ""
    return tag("g", tag("title", escape(tip)), box, figure, class_=class_)


def shift_table(task: Results, entry: Results) -> Table:
    """The same counts as cells: a row a base bin, a column a model bin."""
    base, model = compared_roles(entry)
    rows = [
        [BINS[before], *(f"{amount:,}" if amount else "" for amount in row)]
        for before, row in enumerate(shift_bins(entry))
    ]
    caption = f"Problems by accuracy in percent: rows {label(task, base)}, columns {label(task, model)}."
    return Table(caption, ["accuracy, %", *BINS], rows)


def flow_chart(entry: Results, task: Results, size: Size) -> str:
    """What became of the base's solved and unsolved problems under the model, as four flows; '' where not known."""
    amounts = group_amounts(entry)
    total = sum(amounts.values())
    if not total:
        return ""
    base, model = compared_roles(entry)
    height = 0.72 * size.height
    frame = Frame(size.width, height, (34, 0, 10, 0), (0, 1), (0, 1), x_log=False)
    thick = {name: max(amount / total, SMALLEST_SHARE if amount else 0) for name, amount in amounts.items()}
    scale = (frame.bottom - frame.top - 12) / sum(thick.values())
    left = _stack(frame, thick, scale, ("both", "base_only", "model_only", "neither"))
    right = _stack(frame, thick, scale, ("both", "model_only", "base_only", "neither"))
    edge = max(0.24 * size.width, 112)
    classes = {"both": "kept", "base_only": f"c{colour(task, base)}", "model_only": f"c{colour(task, model)}"}
    parts = [
        words(clipped(label(task, base), 22), edge, 16, anchor="end", class_="name strong"),
        words(clipped(label(task, model), 22), size.width - edge, 16, class_="name strong"),
    ]
    for name in ("neither", "both", "base_only", "model_only"):
        if amounts[name]:
            tall = thick[name] * scale
            shape = _ribbon((edge + 8, left[name]), (size.width - edge - 8, right[name]), tall)
            tip = tag("title", escape(f"{_told(task, entry, name)}: {plural(amounts[name], 'problem')}"))
            parts.append(tag("g", tip, tag("path", d=shape), class_=f"flow {classes.get(name, 'muted')}"))
    parts += _sides(task, entry, amounts, (left, right), (edge, size.width - edge, scale), thick)
    for name, along in LABELLED_AT.items():
        if amounts[name]:
            # A cubic with both handles in the middle, at parameter `along`.
            moved, across = along**2 * (3 - 2 * along), 1.5 * along * (1 - along) + along**3
            y = left[name] + (right[name] - left[name]) * moved + thick[name] * scale / 2
            x = edge + 8 + (size.width - 2 * edge - 16) * across
            parts.append(words(f"{amounts[name]:,}", x, y + 4, anchor="middle", class_="figure"))
    told = "; ".join(f"{_told(task, entry, name)}: {plural(amount, 'problem')}" for name, amount in amounts.items())
    return drawing(frame, f"Solved and unsolved problems from base to model. {told}.", parts, size.class_)


def _stack(frame: Frame, thick: dict[str, float], scale: float, order: Sequence[str]) -> dict[str, float]:
    """Upper edge of each flow on one side, solved above unsolved with a gap between."""
    tops, y = {}, frame.top
    for place, name in enumerate(order):
        y += 12 if place == 2 else 0
        tops[name] = y
        y += thick[name] * scale
    return tops


def _ribbon(start: tuple[float, float], end: tuple[float, float], tall: float) -> str:
    (x0, y0), (x1, y1) = start, end
    bend = (x0 + x1) / 2
    there = f"M{x0:.1f} {y0:.1f}C{bend:.1f} {y0:.1f} {bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    back = f"V{y1 + tall:.1f}C{bend:.1f} {y1 + tall:.1f} {bend:.1f} {y0 + tall:.1f} {x0:.1f} {y0 + tall:.1f}Z"
    return there + back


def _sides(
    task: Results,
    entry: Results,
    amounts: dict[str, int],
    tops: tuple[dict[str, float], dict[str, float]],
    span: tuple[float, float, float],
    thick: dict[str, float],
) -> list[str]:
    """The bars at both ends with what they stand for."""
    left, right = tops
    edge_left, edge_right, scale = span
    drawn = []
    for side, solved, unsolved in (
        (left, ("both", "base_only"), ("model_only", "neither")),
        (right, ("both", "model_only"), ("base_only", "neither")),
    ):
        x = edge_left if side is left else edge_right - 8
        anchor, at = ("end", edge_left - 8) if side is left else ("start", edge_right + 8)
        for names, what in ((solved, "solved"), (unsolved, "not solved")):
            amount = sum(amounts[name] for name in names)
            tall = sum(thick[name] for name in names) * scale
            if amount:
                drawn.append(tag("rect", x=x, y=side[names[0]], width=8, height=tall, rx=1, class_="flow-end"))
                y = side[names[0]] + tall / 2 + 4
                drawn.append(words(f"{what}: {amount:,}", at, y, anchor=anchor, class_="strong"))
    return drawn


def _told(task: Results, entry: Results, name: str) -> str:
    base, model = (label(task, role) for role in compared_roles(entry))
    return {
        "both": "solved by both",
        "base_only": f"solved by {base}, lost by {model}",
        "model_only": f"new with {model}",
        "neither": "solved by neither",
    }[name]
