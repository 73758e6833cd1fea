"""What else changes over training steps: problems kept and lost, token entropy, perplexity under the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rlvr_harness.records import Measurement
from rlvr_harness.report.charts import COMPACT, WIDE, Size
from rlvr_harness.report.plots import Plot
from rlvr_harness.report.reading import BASE_ROLE, at, measurement, number
from rlvr_harness.report.sections import Figure
from rlvr_harness.report.study import Contender, Study
from rlvr_harness.report.svg import Frame, drawing, even_ticks, round_out, tag, words
from rlvr_harness.report.tables import Table
from rlvr_harness.report.wording import NONE

Steps = dict[int, Measurement]


@dataclass(frozen=True, slots=True)
class Trace:
    """One quantity over training steps: `lines` by name, `unit` on the axis, `digits` behind the point."""

    name: str
    title: str
    caption: str
    unit: str
    digits: int
    lines: Mapping[str, Steps]

    def shown(self, point: Measurement | None) -> str:
        """'1.234 [1.200, 1.270]', or a dash."""
        if point is None:
            return NONE
        value = f"{point.value:,.{self.digits}f}"
        if point.low is None or point.high is None:
            return value
        return f"{value} [{point.low:,.{self.digits}f}, {point.high:,.{self.digits}f}]"


def traces(study: Study) -> list[Trace]:
    """What is known at two steps or more; none without steps."""
    known = [_coverage(study), _entropy(study), _perplexity(study)] if study.steps else []
    whole = [replace(trace, lines={name: line for name, line in trace.lines.items() if line}) for trace in known]
    return [trace for trace in whole if len({step for line in trace.lines.values() for step in line}) > 1]


def trace_figures(study: Study, anchor: str) -> Iterator[Figure]:
    """A figure for each of them."""
    for trace in traces(study):
        svg = trace_chart(trace, WIDE) + trace_chart(trace, COMPACT)
        yield Figure(f"{anchor}-{trace.name}", trace.title, svg, trace.caption, trace_table(trace), trace_plot(trace))


def trace_chart(trace: Trace, size: Size) -> str:
    """The lines with their bands."""
    every = [point for line in trace.lines.values() for point in line.values()]
    steps = sorted({step for line in trace.lines.values() for step in line})
    span = round_out(0, max(max(point.value, point.high or 0) for point in every), 5)
    frame = Frame(size.width, size.height, (16, size.end_room, 48, 60), (steps[0], steps[-1]), span, x_log=False)
    parts = [
        frame.y_axis((tick, f"{tick:g}") for tick in even_ticks(*span, 5)),
        frame.x_axis(((step, f"{step:,}") for step in even_ticks(steps[0], steps[-1], 6)), "training step"),
    ]
    told = []
    for index, (name, line) in enumerate(trace.lines.items(), start=1):
        low = [(float(step), point.low) for step, point in line.items() if point.low is not None]
        high = [(float(step), point.high) for step, point in line.items() if point.high is not None]
        drawn = [(float(step), point.value) for step, point in line.items()]
        marks = [
            frame.mark((step, point.value), index, f"{name} at step {step:,}: {trace.shown(point)}")
            for step, point in line.items()
        ]
        end = words(name, frame.right + 12, frame.y(drawn[-1][1]) + 4, class_="end")
        parts.append(tag("g", frame.band(low, high), frame.line(drawn, "line"), *marks, end, class_=f"c{index}"))
        told.append(f"{name}: " + ", ".join(f"step {step:,}: {trace.shown(point)}" for step, point in line.items()))
    return drawing(frame, f"{trace.title}. {'; '.join(told)}.", parts, size.class_)


def trace_plot(trace: Trace) -> Plot:
    """The same as data."""
    series = [
        {
            "name": name,
            "colour": index,
            "x": list(line),
            "y": [point.value for point in line.values()],
            "low": [point.low for point in line.values()],
            "high": [point.high for point in line.values()],
            "text": [f"{name}, step {step:,}: {trace.shown(point)}" for step, point in line.items()],
        }
        for index, (name, line) in enumerate(trace.lines.items(), start=1)
    ]
    plain = {"ticks": [], "series": series, "crossings": [], "bands": True}
    return {"kind": "lines", "x": "training step", "y": trace.unit, **plain}


def trace_table(trace: Trace) -> Table:
    """The numbers of the chart."""
    steps = sorted({step for line in trace.lines.values() for step in line})
    rows = [[f"{step:,}", *(trace.shown(line.get(step)) for line in trace.lines.values())] for step in steps]
    return Table(trace.caption, ["step", *trace.lines], rows)


def _by_step(study: Study) -> Iterator[tuple[int, Contender]]:
    for name, step in study.steps.items():
        yield step, study.contenders[name]


def _coverage(study: Study) -> Trace:
    lines: dict[str, Steps] = {}
    for name, key in (("kept", "both"), ("lost", "base_only"), ("gained", "model_only")):
        counts = {step: number(one.comparison, "coverage", key) for step, one in _by_step(study)}
        lines[name] = {step: Measurement(count) for step, count in counts.items() if count is not None}
    caption = "Problems that the base solved and the checkpoint solves too (kept) or not (lost), and new ones (gained)."
    return Trace("coverage", "Problems kept, lost and gained", caption, "problems", 0, lines)


def _entropy(study: Study) -> Trace:
    keys = ("entropy", "token", "at_1")
    found = {step: measurement(at(one.task, "models", one.role, *keys)) for step, one in _by_step(study)}
    base = next((measurement(at(one.task, "models", BASE_ROLE, *keys)) for _, one in _by_step(study)), None)
    line = _with_base(found, base)
    caption = "Token entropy on own samples at temperature 1; the base stands at step 0. Bands: 95 %."
    return Trace("entropy", "Token entropy", caption, "nats", 3, {"entropy": line})


def _perplexity(study: Study) -> Trace:
    def of(one: Contender, author: str) -> Measurement | None:
        return measurement(at(one.task, "models", BASE_ROLE, "perplexity", "of", author))

    found = {step: of(one, one.role) for step, one in _by_step(study)}
    base = next((of(one, BASE_ROLE) for _, one in _by_step(study)), None)
    caption = "Perplexity of each checkpoint's texts under the base; its own texts stand at step 0. Bands: 95 %."
    lines = {"perplexity": _with_base(found, base)}
    return Trace("perplexity", "Perplexity under the base", caption, "perplexity", 2, lines)


def _with_base(found: Mapping[int, Measurement | None], base: Measurement | None) -> Steps:
    """In rising order, the base at step 0 unless a checkpoint stands there."""
    known = {0: base, **found}
    return {step: point for step in sorted(known) if (point := known[step]) is not None}
