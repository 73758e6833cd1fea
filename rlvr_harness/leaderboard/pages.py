"""The pages of a site as HTML: the index, one page for each task and one for each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr_harness.leaderboard.columns import Cell, Column, columns, gap_cell
from rlvr_harness.leaderboard.downloads import Identifiers
from rlvr_harness.leaderboard.grouping import Group, Ranked
from rlvr_harness.leaderboard.naming import page_names
from rlvr_harness.leaderboard.plots import forest, row_plot, shown_points, span
from rlvr_harness.leaderboard.rows import family
from rlvr_harness.leaderboard.wording import conditions, explanation, heading
from rlvr_harness.report.templating import escaping_templates
from rlvr_harness.report.wording import count, plural

if TYPE_CHECKING:
    import jinja2

FILTERS = (("task", "Task"), ("family", "Base family"), ("sampler", "Sampler"), ("plan", "Plan"), ("k", "k"))


@dataclass(frozen=True)
class Site:
    """What all pages share."""

    title: str
    date: str | None
    groups: Sequence[Group]
    ids: Identifiers


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: its cells, links and what filters go by."""

    row_id: str
    ranked: Ranked
    gap: Cell
    cells: list[Cell]
    plot: str
    filters: dict[str, str]
    model_page: str
    base_page: str
    run_page: str


@dataclass(frozen=True, slots=True)
class Table:
    """A group as shown; `forest`: drawings for wide and narrow screens."""

    group: Group
    anchor: str
    heading: str
    conditions: list[str]
    explanation: str
    columns: list[Column]
    gap_heading: str
    ranked: list[Line]
    unranked: list[Line]
    forest: list[str]


@dataclass(frozen=True, slots=True)
class Section:
    """All tables of a task."""

    task: str
    page: str
    tables: list[Table]


@dataclass(frozen=True, slots=True)
class Links:
    """Page names of tasks and models."""

    tasks: dict[str, str]
    models: dict[str, str]


def pages(site: Site) -> dict[str, str]:
    """Path within the site -> HTML."""
    links = _links(site)
    environment = _environment()
    environment.globals["site"] = site
    index = environment.get_template("index.html").render(
        root="", sections=_sections(site, links, site.groups), filters=_filters(site), facts=_facts(site)
    )
    found = {"index.html": index}
    for name, page in links.tasks.items():
        groups = [group for group in site.groups if group.task == name]
        sections = _sections(site, links, groups)
        shown = environment.get_template("task.html").render(root="../", section=sections[0])
        found[f"tasks/{page}.html"] = shown
    for name, page in links.models.items():
        sections = _sections(site, links, _of_model(site, name))
        weights = _weights(site, name)
        shown = environment.get_template("model.html").render(
            root="../", name=name, family=family(name), weights=weights, sections=sections
        )
        found[f"models/{page}.html"] = shown
    return found


def _environment() -> jinja2.Environment:
    environment = escaping_templates(Path(__file__).parent / "templates")
    environment.filters["plural"] = plural
    return environment


def _names(ranked: Ranked) -> list[str]:
    row = ranked.row
    return [row.model.name, *([row.base.name] if row.base else [])]


def _links(site: Site) -> Links:
    ranked = [one for group in site.groups for one in group.rows]
    tasks = sorted({group.task for group in site.groups})
    return Links(page_names(tasks), page_names(sorted({name for one in ranked for name in _names(one)})))


def _of_model(site: Site, name: str) -> list[Group]:
    """The groups in which a model stands, with those rows alone."""
    found = []
    for group in site.groups:
        wanted = {ranked.row.row_id for ranked in group.rows if name in _names(ranked)}
        if wanted:
            found.append(group.only(wanted))
    return found


def _weights(site: Site, name: str) -> list[str]:
    """Hashes of the weights that go by one name: more than one means different models."""
    rows = [ranked.row for group in site.groups for ranked in group.rows]
    sides = [side for row in rows for side in (row.model, row.base) if side is not None and side.name == name]
    return sorted({side.weight_hash for side in sides if side.weight_hash})


def _facts(site: Site) -> list[str]:
    rows = [ranked.row for group in site.groups for ranked in group.rows]
    models = {row.model.name for row in rows}
    tasks = {group.task for group in site.groups}
    runs = {row.digest for row in rows}
    parts = ((len(rows), "row"), (len(models), "model"), (len(tasks), "task"), (len(runs), "run"))
    return [plural(amount, noun) for amount, noun in parts]


def _filters(site: Site) -> list[tuple[str, str, list[str]]]:
    """Key, label and choices of each filter that has more than one choice."""
    seen: dict[str, set[str]] = {key: set() for key, _ in FILTERS}
    for group in site.groups:
        for ranked in group.rows:
            for key, value in _filter_values(ranked).items():
                if key in seen and value:
                    seen[key].add(value)
    order = {"k": lambda value: int(value)}
    return [(key, label, sorted(seen[key], key=order.get(key, str))) for key, label in FILTERS]


def _filter_values(ranked: Ranked) -> dict[str, str]:
    row = ranked.row
    return {
        "task": row.conditions.task,
        "family": family((row.base or row.model).name),
        "sampler": row.run["sampler"] or "unknown",
        "plan": row.run["plan"] or "unknown",
        "k": "" if row.conditions.k is None else str(row.conditions.k),
        "n": str(row.n or 0),
    }


def _sections(site: Site, links: Links, groups: Sequence[Group]) -> list[Section]:
    tasks = dict.fromkeys(group.task for group in groups)
    return [
        Section(task, links.tasks[task], [_table(site, links, group) for group in groups if group.task == task])
        for task in tasks
    ]


def _table(site: Site, links: Links, group: Group) -> Table:
    points = [point for ranked in group.rows for _, point in shown_points(ranked)]
    ks = {ranked.row.conditions.k for ranked in group.rows}
    k = next(iter(ks)) if len(ks) == 1 else None
    lines = [_line(site, links, ranked, _Drawing(columns(k), span(points))) for ranked in group.rows]
    return Table(
        group=group,
        anchor=f"g-{site.ids.group(group)}",
        heading=heading(group),
        conditions=[part for part in conditions(group) if part],
        explanation=explanation(group),
        columns=columns(k),
        gap_heading=f"Δ pass@{count(k)}" if k else "Δ pass@k",
        ranked=[line for line in lines if line.ranked.rank is not None],
        unranked=[line for line in lines if line.ranked.rank is None],
        forest=[drawing for drawing in (forest(group.rows, wide) for wide in (True, False)) if drawing],
    )


@dataclass(frozen=True, slots=True)
class _Drawing:
    columns: list[Column]
    reach: tuple[float, float]


def _line(site: Site, links: Links, ranked: Ranked, drawing: _Drawing) -> Line:
    row = ranked.row
    return Line(
        row_id=site.ids.row(row),
        ranked=ranked,
        gap=gap_cell(ranked),
        cells=[column.cell(ranked) for column in drawing.columns],
        plot=row_plot(ranked, drawing.reach),
        filters=_filter_values(ranked),
        model_page=links.models[row.model.name],
        base_page=links.models[row.base.name] if row.base else "",
        run_page=site.ids.run(row),
    )
