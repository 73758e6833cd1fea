"""The head of a page over several runs: what may be compared, what must not, and what the comparable models show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rlvr_harness.report.charts import bands_in_words, both_sizes, difference, pass_at_k
from rlvr_harness.report.plots import difference_plot, pass_at_k_plot
from rlvr_harness.report.reading import Results, comparisons, text
from rlvr_harness.report.sections import TABLE_KS, Figure
from rlvr_harness.report.study import Study, bases_differ, is_distilled, merged, studies, unknown_terms
from rlvr_harness.report.study_charts import (
    curve_range,
    gap_chart,
    gap_plot,
    gap_table,
    gaps,
    step_curves,
    steps_chart,
    steps_plot,
    steps_table,
    study_table,
)
from rlvr_harness.report.study_steps import trace_figures
from rlvr_harness.report.tables import Table, difference_table, pass_at_k_table
from rlvr_harness.report.wording import points, with_interval

MOST_CURVES = 5
"""Models drawn into one picture before only some, evenly chosen, are: with the base, one a colour."""


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study as the page shows it."""

    anchor: str
    heading: str
    sentences: list[str]
    notes: list[str]
    table: Table
    figures: list[Figure]


def study_views(reports: Sequence[Results]) -> list[StudyView]:
    """One view for each group of comparable models."""
    return [_view(study, f"study{place}") for place, study in enumerate(studies(reports))]


def study_results(reports: Sequence[Results]) -> Results:
    """The comparable groups as results of a task each, for figures and tables; a second group of a task is numbered."""
    shown: dict[str, Results] = {}
    for study in studies(reports):
        again = sum(name == study.task or name.startswith(f"{study.task}-") for name in shown)
        shown[f"{study.task}-{again + 1}" if again else study.task] = merged(study, drawn(study))
    return {"tasks": shown}


def study_heading(study: Study) -> str:
    """The task, and what kind of comparison its models make."""
    kind = "over training steps" if study.steps else "models against one base"
    if not study.steps and any(map(is_distilled, study.contenders.values())):
        kind = "RL and distilled models against one base"
    of = f" of {text(study.series, 60)}" if study.series else ""
    return f"{text(study.task, 120)}: {kind}{of}"


def _view(study: Study, anchor: str) -> StudyView:
    return StudyView(
        anchor=anchor,
        heading=study_heading(study),
        sentences=list(study_sentences(study)),
        notes=list(study_notes(study)),
        table=study_table(study),
        figures=[figure for figure in _figures(study, anchor) if figure.svg],
    )


def study_sentences(study: Study) -> Iterator[str]:
    """The findings in words."""
    for k, points_of in step_curves(study).items():
        steps = list(points_of)
        if len(steps) > 1:
            first, last = (f"{with_interval(points_of[step])} %" for step in (steps[0], steps[-1]))
            start = "the base" if steps[0] == 0 else f"step {steps[0]:,}"
            yield f"pass@{k:,} goes from {first} at {start} to {last} at step {steps[-1]:,}."
    found = gaps(study)
    if len(found) > 1 and not study.steps:
        best, worst = next(iter(found)), list(found)[-1]
        (low, top), (high, _) = found[best], found[worst]
        at_k = "" if top is None else f" at K = {top:,}"
        yield (
            f"The efficiency gap ΔSE{at_k} lies between {points(low.value)} points ({best}) and "
            f"{points(high.value)} points ({worst})."
        )
    for name, contender in study.contenders.items():
        span = curve_range(contender.comparison)
        if is_distilled(contender) and span:
            above = span[0].value > 0
            where = "above the base at every k measured" if above else "not above the base at every k measured"
            yield f"{name} is {where}: its smallest difference is {with_interval(span[0], signed=True)} points."


def study_notes(study: Study) -> Iterator[str]:
    """What the reader must know before trusting the picture."""
    if missing := unknown_terms(study):
        yield f"Not recorded by these runs, so nobody can tell whether it was the same: {', '.join(missing)}."
    if bases_differ(study):
        yield (
            "The base was sampled anew in some runs: its curve here is that of the run with the most samples, "
            "and each model is compared with the base of its own run."
        )
    if len({k for _, k in gaps(study).values()}) > 1:
        yield "ΔSE is taken at different K in these runs; gaps at different K do not compare."
    chosen = drawn(study)
    if len(chosen) < len(study.contenders):
        yield f"The curves show {len(chosen)} of {len(study.contenders)} models, evenly chosen; the table has all."


def drawn(study: Study) -> list[str]:
    """The contenders whose curves are drawn: all, or some evenly chosen with both ends."""
    names = list(study.contenders)
    if len(names) <= MOST_CURVES:
        return names
    return [names[round(place * (len(names) - 1) / (MOST_CURVES - 1))] for place in range(MOST_CURVES)]


def _figures(study: Study, anchor: str) -> Iterator[Figure]:
    task = merged(study, drawn(study))
    yield Figure(
        f"{anchor}-steps",
        "pass@k over training steps",
        both_sizes(lambda _, size: steps_chart(study, size), task),
        "The base stands at step 0. Bands: 95 %, problems resampled.",
        steps_table(study),
        steps_plot(study),
    )
    yield from trace_figures(study, anchor)
    yield Figure(
        f"{anchor}-curve",
        "pass@k",
        both_sizes(pass_at_k, task),
        f"{bands_in_words(task)} All models met the same problems, prompts and sampling law.",
        pass_at_k_table(task, TABLE_KS),
        pass_at_k_plot(task),
    )
    if comparisons(task):
        yield Figure(
            f"{anchor}-gap",
            "Paired difference of pass@k, in points",
            both_sizes(difference, task),
            "Each model against the base, problem by problem.",
            difference_table(task, TABLE_KS),
            difference_plot(task),
        )
    yield Figure(
        f"{anchor}-efficiency",
        "ΔSE, sampling efficiency gap",
        both_sizes(lambda _, size: gap_chart(study, size), task),
        "Base pass@K minus the model's pass@1; lower is better. Bars: 95 % intervals.",
        gap_table(study),
        gap_plot(study),
    )
