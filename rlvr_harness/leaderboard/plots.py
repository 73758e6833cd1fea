"""Small drawings of paired differences: two dots with intervals per row, and a forest plot per group.

Colours and fonts come from the style sheet's classes; nothing here needs a style attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from rlvr_harness.leaderboard.grouping import Ranked
from rlvr_harness.leaderboard.wording import interval, leaning
from rlvr_harness.records import Measurement
from rlvr_harness.report.svg import tag
from rlvr_harness.report.wording import points as in_points

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
TICKS = 6


@dataclass(frozen=True, slots=True)
class Scale:
    """Differences to pixels: [low, high] to [left, right]."""

    low: float
    high: float
    left: float
    right: float

    def x(self, value: float) -> float:
        """The pixel of a difference; one outside the range sits on its edge."""
        inside = min(max(value, self.low), self.high)
        return self.left + (inside - self.low) / (self.high - self.low) * (self.right - self.left)

    def ticks(self) -> list[float]:
        """Round differences within the range, zero among them."""
        step = next((step for step in STEPS if (self.high - self.low) / step <= TICKS), STEPS[-1])
        first, last = -int(-self.low / step + 1e-9), int(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)]


def span(points: Sequence[Measurement]) -> tuple[float, float]:
    """A range that holds zero and every interval, with some air; not empty."""
    ends = [side for point in points for side in (point.value, point.low, point.high) if side is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    air = 0.06 * max(high - low, 0.05)
    return low - air, high + air


def shown_points(ranked: Ranked) -> list[tuple[int, Measurement]]:
    """The difference at k = 1 and at the row's largest k, where measured."""
    row = ranked.row
    ks = [k for k in dict.fromkeys((1, row.conditions.k)) if k is not None and k in row.difference]
    return [(k, row.difference[k]) for k in ks]


def row_plot(ranked: Ranked, reach: tuple[float, float]) -> str:
    """Both differences of a row, k = 1 above as a ring, the largest k below as a square; '' without any."""
    points = shown_points(ranked)
    if not points:
        return ""
    scale = Scale(*reach, 4.0, 136.0)
    body = [tag("line", x1=scale.x(0.0), x2=scale.x(0.0), y1=0, y2=28, class_="zero")]
    for place, (_, point) in enumerate(points):
        body.append(_dot(scale, point, 8.0 + 12.0 * place if len(points) > 1 else 14.0, last=place == len(points) - 1))
    spoken = "; ".join(f"k = {k:,}: {in_points(point.value)} {interval(point, True)}".strip() for k, point in points)
    return tag("svg", *body, viewBox="0 0 140 28", class_="dots", role="img", aria_label=f"Paired difference, {spoken}")


def _dot(scale: Scale, point: Measurement, y: float, last: bool) -> str:
    x = scale.x(point.value)
    bar = ""
    if point.low is not None and point.high is not None:
        bar = tag("line", x1=scale.x(point.low), x2=scale.x(point.high), y1=y, y2=y, class_="bar")
    mark = (
        tag("rect", x=x - 4, y=y - 4, width=8, height=8, class_="mark")
        if last
        else tag("circle", cx=x, cy=y, r=3.6, class_="mark ring")
    )
    return tag("g", bar, mark, class_=leaning(point))


def forest(rows: Sequence[Ranked], wide: bool) -> str:
    """The difference at the largest k of all rows on one axis, in their order; '' where none has any."""
    drawn = [(ranked, ranked.row.gap) for ranked in rows if ranked.row.gap is not None]
    measured = [(ranked, gap) for ranked, gap in drawn if gap is not None]
    if not measured:
        return ""
    width, left, line = (880.0, 300.0, 30.0) if wide else (350.0, 8.0, 46.0)
    scale = Scale(*span([gap for _, gap in measured]), left, width - (150.0 if wide else 10.0))
    height = line * len(measured) + 34
    body = [*_axis(scale, height)]
    for place, (ranked, gap) in enumerate(measured):
        body += _forest_line(scale, ranked, gap, _Place(place * line + 14, wide, width))
    kind = "wide" if wide else "compact"
    label = f"Paired differences of {len(measured)} rows with 95 % intervals; the table has the numbers"
    return tag("svg", *body, viewBox=f"0 0 {width:g} {height:g}", class_=f"forest {kind}", role="img", aria_label=label)


def _axis(scale: Scale, height: float) -> Iterator[str]:
    for value in scale.ticks():
        x = scale.x(value)
        zero = abs(value) < 1e-9
        yield tag("line", x1=x, x2=x, y1=0, y2=height - 22, class_="zero" if zero else "rule")
        yield tag("text", escape(in_points(value)), x=x, y=height - 6, text_anchor="middle")


@dataclass(frozen=True, slots=True)
class _Place:
    y: float
    wide: bool
    width: float


def _forest_line(scale: Scale, ranked: Ranked, gap: Measurement, place: _Place) -> Iterator[str]:
    name = f"{ranked.rank}. " if ranked.rank is not None else ""
    name += ranked.row.model.name
    words = f"{in_points(gap.value)} {interval(gap, True)}".strip()
    if place.wide:
        yield tag("text", escape(_fitting(name, 40)), x=0, y=place.y + 4, class_="name")
        yield tag("text", escape(words), x=place.width, y=place.y + 4, text_anchor="end", class_="figure")
        yield _dot(scale, gap, place.y, last=True)
        return
    yield tag("text", escape(_fitting(name, 26)), x=0, y=place.y, class_="name")
    yield tag("text", escape(words), x=place.width, y=place.y, text_anchor="end", class_="figure")
    yield _dot(scale, gap, place.y + 14, last=True)


def _fitting(name: str, most: int) -> str:
    """A name by its end, which tells checkpoints apart."""
    return name if len(name) <= most else "…" + name[1 - most :]
