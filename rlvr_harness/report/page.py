"""report.html: one self-contained page over any number of results, with no script and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rlvr_harness.report.charts import Size, accuracy_histogram, both_sizes, colour, difference, pass_at_k
from rlvr_harness.report.problems import ProblemTable, Quadrants, problem_table, quadrants
from rlvr_harness.report.reading import (
    Results,
    compared_roles,
    comparisons,
    curve,
    label,
    mapping,
    number,
    roles,
    tasks,
    text,
    title,
    whole,
)
from rlvr_harness.report.tables import (
    Table,
    difference_table,
    disagreement_table,
    further_table,
    guess_curve,
    histogram_table,
    model_curves,
    pass_at_k_table,
    samples_table,
    support_table,
)
from rlvr_harness.report.wording import (
    caveat,
    count,
    crossover_range,
    fairness_notes,
    p_value,
    percent,
    plural,
    sampling_law,
    saving_sentence,
    verdict_sentences,
    with_interval,
)

TABLE_KS = 24
NBSP = "\N{NO-BREAK SPACE}"
PROBLEM_ROWS = 4000
"""Rows that per-problem tables may take on one page, so that it stays small."""

ExtraSections = Mapping[str, Sequence[tuple[str, str]]]
"""Task name -> (title, trusted HTML) pairs, appended to the task's section."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure: what it is, the figure, and how sure."""

    name: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its heading, caption and the numbers behind it; `svg` is markup."""

    heading: str
    svg: str
    caption: str
    table: Table


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
    tiles: list[list[Tile]]
    legend: list[tuple[int, str, str]]
    figures: list[Figure]
    quadrants: list[Quadrants]
    tables: list[Table]
    further: Table
    notes: list[str]
    problems: ProblemTable
    extra: Sequence[tuple[str, str]]


def render_html(reports: Sequence[Results], sections: Sequence[ExtraSections] = ()) -> str:
    """The page for these results, in their order; `sections[i]` holds what plugins add to report i."""
    import jinja2
    import markupsafe

    entries = [(place, results, name) for place, results in enumerate(reports) for name in tasks(results)]
    every = sum(whole(tasks(results)[name], "problems") or 0 for _, results, name in entries)
    rows = PROBLEM_ROWS if every <= PROBLEM_ROWS else max(50, PROBLEM_ROWS // len(entries))
    shown: list[Section] = []
    for place, results, name in entries:
        extra = sections[place].get(name, ()) if place < len(sections) else ()
        shown.append(_section(results, name, f"s{len(shown)}", rows, extra))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rlvr_harness.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["markup"] = markupsafe.Markup
    environment.filters["plain"] = text
    titles = list(dict.fromkeys(title(results) for results in reports))
    heading = " · ".join(titles) if len(titles) <= 2 else f"{len(titles)} runs compared"
    runs = [(title(results), mapping(results, "run")) for results in reports]
    return environment.get_template("page.html").render(title=heading or "Nothing to report", sections=shown, runs=runs)


def _section(results: Results, name: str, anchor: str, rows: int, extra: Sequence[tuple[str, str]]) -> Section:
    task = tasks(results)[name]
    law = sampling_law(mapping(results, "run"))
    problems = whole(task, "problems")
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
        tiles=[_comparison_tiles(task, entry) for entry in found] or [_single_tiles(task)],
        legend=[(colour(task, role), label(task, role), _name(task, role)) for role in roles(task)],
        figures=_figures(task),
        quadrants=[quadrants(task, entry, shown_problems) for entry in found if mapping(entry, "coverage")],
        tables=[made for made in (samples_table(task), disagreement_table(task), support_table(task)) if made.rows],
        further=further_table(task, 8),
        notes=fairness_notes(task),
        problems=shown_problems,
        extra=[pair for pair in extra if pair[1]],
    )


def _name(task: Results, role: str) -> str:
    given = mapping(task, "models", role).get("name")
    return text(given, 120) if given and given != role else ""


def _comparison_tiles(task: Results, entry: Results) -> list[Tile]:
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


def _single_tiles(task: Results) -> list[Tile]:
    tiles = []
    for role, points_of in model_curves(task).items():
        for k in dict.fromkeys([min(points_of), max(points_of)]):
            point = points_of[k]
            interval = with_interval(point).removeprefix(percent(point.value)).strip()
            detail = f"95 % interval {interval}" if interval else ""
            tiles.append(Tile(f"pass@{k:,}, {label(task, role)}", f"{percent(point.value)}{NBSP}%", detail))
    return tiles


def _figures(task: Results) -> list[Figure]:
    floors = "; dotted: guess floor measured on the golds of other problems" if guess_curve(task, "empirical") else ""
    extrapolated = any(mapping(task, "models", role, "extrapolated") for role in roles(task))
    beyond = "; dashed in colour: extrapolated, not measured" if extrapolated else ""
    uniform = "; dashed grey: a solver that guesses" if guess_curve(task, "uniform") else ""
    estimated = "accuracy, estimated without bias where sampling stopped early"
    accuracy = estimated if saving_sentence(task) else "share of right samples"
    drawn: list[tuple[str, Callable[[Results, Size], str], str, Table]] = [
        (
            "pass@k",
            pass_at_k,
            f"Bands: 95 %, problems resampled; k*: where the curves cross{uniform}{floors}{beyond}. "
            "Near k = n the estimate is the share of problems solved at least once.",
            pass_at_k_table(task, TABLE_KS),
        ),
        (
            "Paired difference of pass@k, in points",
            difference,
            "Each problem is compared with itself. Where the band excludes zero, the sign is settled at 95 %.",
            difference_table(task, TABLE_KS),
        ),
        (
            "How often each problem is solved",
            accuracy_histogram,
            f"Number of problems by {accuracy}. RL that sharpens fills both ends.",
            histogram_table(task),
        ),
    ]
    made = [Figure(heading, both_sizes(chart, task), caption, table) for heading, chart, caption, table in drawn]
    return [figure for figure in made if figure.svg]
