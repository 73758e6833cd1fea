"""All that report.html shows of one task of one run, as plain text, charts and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rlvr_harness.report.charts import accuracy_histogram, bands_in_words, both_sizes, colour, difference, pass_at_k
from rlvr_harness.report.model_tables import model_tables, task_timings
from rlvr_harness.report.plots import Plot, difference_plot, histogram_plot, pass_at_k_plot, shift_plot
from rlvr_harness.report.problems import ProblemTable, Quadrants, problem_table, quadrants
from rlvr_harness.report.reading import (
    Results,
    compared_roles,
    comparisons,
    label,
    mapping,
    roles,
    tasks,
    text,
    title,
    whole,
)
from rlvr_harness.report.shift import flow_chart, shift_chart, shift_sentence, shift_table
from rlvr_harness.report.tables import (
    Table,
    difference_table,
    disagreement_table,
    further_table,
    guess_curve,
    histogram_table,
    pass_at_k_table,
    samples_table,
    support_table,
)
from rlvr_harness.report.tiles import Tile, comparison_tiles, single_tiles
from rlvr_harness.report.wording import (
    caveat,
    fairness_notes,
    fairness_warnings,
    plural,
    sampling_law,
    saving_sentence,
    verdict_sentences,
)

TABLE_KS = 24


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its heading, caption and the numbers behind it; `svg` is markup, `plot` its data for the script."""

    key: str
    heading: str
    svg: str
    caption: str
    table: Table
    plot: Plot


@dataclass(frozen=True, slots=True)
class Flow:
    """One comparison's solved sets: the picture and the four lists of problems."""

    svg: str
    sets: Quadrants


@dataclass(frozen=True, slots=True)
class Section:
    """All that is shown of one task of one run."""

    anchor: str
    run_title: str
    task: str
    facts: str
    sentences: list[str]
    caveat: str
    saving: str
    warnings: list[str]
    tiles: list[list[Tile]]
    legend: list[tuple[int, str, str]]
    figures: list[Figure]
    flows: list[Flow]
    tables: list[Table]
    further: Table
    notes: list[str]
    problems: ProblemTable
    extra: Sequence[tuple[str, str]]


def task_section(results: Results, name: str, anchor: str, rows: int, extra: Sequence[tuple[str, str]]) -> Section:
    """The section of one task, with at most `rows` rows of problems; `extra`: (title, trusted HTML) of plugins."""
    task, run = tasks(results)[name], mapping(results, "run")
    law, problems = sampling_law(run), whole(task, "problems")
    facts = [plural(problems, "problem") if problems is not None else "", law and f"sampled at {law}"]
    shown_problems = problem_table(task, anchor, rows)
    found = comparisons(task)
    return Section(
        anchor=anchor,
        run_title=title(results),
        task=text(name, 200),
        facts=" · ".join(fact for fact in facts if fact),
        sentences=verdict_sentences(task),
        caveat=caveat(task),
        saving=saving_sentence(task),
        warnings=fairness_warnings(task),
        tiles=[comparison_tiles(task, entry) for entry in found] or [single_tiles(task)],
        legend=[(colour(task, role), label(task, role), _name(task, role)) for role in roles(task)],
        figures=[figure for figure in _figures(task, anchor) if figure.svg],
        flows=[
            Flow(
                both_sizes(partial(flow_chart, entry), task),
                quadrants(task, entry, shown_problems),
            )
            for entry in found
            if mapping(entry, "coverage")
        ],
        tables=list(_tables(task, task_timings(run, name))),
        further=further_table(task, 8),
        notes=fairness_notes(task),
        problems=shown_problems,
        extra=[pair for pair in extra if pair[1]],
    )


def _name(task: Results, role: str) -> str:
    given = mapping(task, "models", role).get("name")
    return text(given, 120) if given and given != role else ""


def _tables(task: Results, timings: Results) -> Iterator[Table]:
    for table in (support_table(task), samples_table(task), disagreement_table(task)):
        if table.rows:
            yield table
    yield from model_tables(task, timings)


def _figures(task: Results, anchor: str) -> Iterator[Figure]:
    yield Figure(
        f"{anchor}-curve",
        "pass@k",
        both_sizes(pass_at_k, task),
        _curve_caption(task),
        pass_at_k_table(task, TABLE_KS),
        pass_at_k_plot(task),
    )
    yield Figure(
        f"{anchor}-gap",
        "Paired difference of pass@k, in points",
        both_sizes(difference, task),
        "Each problem is compared with itself. Where the band excludes zero, the sign is settled at 95 %.",
        difference_table(task, TABLE_KS),
        difference_plot(task),
    )
    for place, entry in enumerate(comparisons(task)):
        base, model = (label(task, role) for role in compared_roles(entry))
        yield Figure(
            f"{anchor}-shift{place}",
            f"Accuracy shift, {base} to {model}",
            both_sizes(partial(shift_chart, entry), task),
            f"{shift_sentence(entry)} Squares by number; above the diagonal {model} is right more often.".strip(),
            shift_table(task, entry),
            shift_plot(task, entry),
        )
    accuracy = (
        "accuracy, estimated without bias where sampling stopped early"
        if saving_sentence(task)
        else "share of right samples"
    )
    yield Figure(
        f"{anchor}-accuracy",
        "How often each problem is solved",
        both_sizes(accuracy_histogram, task),
        f"Number of problems by {accuracy}. RL that sharpens fills both ends.",
        histogram_table(task),
        histogram_plot(task),
    )


def _curve_caption(task: Results) -> str:
    floors = "; dotted: guess floor measured on the golds of other problems" if guess_curve(task, "empirical") else ""
    extrapolated = any(mapping(task, "models", role, "extrapolated") for role in roles(task))
    beyond = "; dashed in colour: extrapolated, not measured" if extrapolated else ""
    uniform = "; dashed grey: a solver that guesses" if guess_curve(task, "uniform") else ""
    return (
        f"{bands_in_words(task)} k*: where the curves cross{uniform}{floors}{beyond}. "
        "Near k = n the estimate is the share of problems solved at least once."
    )
