"""What happened to each problem: the per-problem table and the four quadrants that link into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlvr_harness.report.reading import Results, compared_roles, comparisons, label, listed, mapping, roles, text, whole
from rlvr_harness.report.wording import NONE

ID_LENGTH = 80
CHIPS = 150
"""Problem ids listed in one quadrant before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A problem id in a quadrant; `anchor` is its row in the per-problem table, '' where it has none."""

    problem_id: str
    anchor: str
    undecided: bool


@dataclass(frozen=True, slots=True)
class Quadrant:
    """One cell: `amount` problems, of which `chips` are listed and `unlisted` are not."""

    name: str
    class_: str
    amount: int | None
    share: str
    chips: list[Chip]
    unlisted: int


@dataclass(frozen=True, slots=True)
class Quadrants:
    """Both, base only, model only and neither, of one comparison; `undecided` counts the ids marked so."""

    base: str
    model: str
    n: int | None
    cells: list[Quadrant]
    undecided: int


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One problem: c of n right, a cell a model; `group` is its quadrant in the first comparison."""

    anchor: str
    problem_id: str
    cells: list[str]
    group: str


@dataclass(frozen=True, slots=True)
class ProblemTable:
    """The problems that have counts; `hidden` more are left to results.json. `anchors`: problem_id -> row anchor."""

    models: list[str]
    rows: list[ProblemRow]
    hidden: int
    anchors: dict[str, str]
    group_header: str


def problem_counts(task: Results, role: str) -> dict[str, tuple[int, int]]:
    """problem_id -> (n, c) of a model; empty where the lists are missing or do not fit together."""
    ids, ns, cs = (listed(task, "models", role, "counts", key) for key in ("problem_id", "n", "c"))
    whole_numbers = all(isinstance(entry, int) for entry in (*ns, *cs))
    if not len(ids) == len(ns) == len(cs) or not whole_numbers:
        return {}
    return {str(problem_id): (n, c) for problem_id, n, c in zip(ids, ns, cs, strict=True)}


def solved_groups(task: Results, comparison: Results) -> dict[str, list[str]]:
    """Quadrant -> problem ids: the recorded ids, the rest from the counts of both models."""
    base, model = (problem_counts(task, role) for role in compared_roles(comparison))
    groups: dict[str, list[str]] = {"both": [], "base_only": [], "model_only": [], "neither": []}
    for problem_id in base.keys() & model.keys():
        groups[_group(base[problem_id][1], model[problem_id][1])].append(problem_id)
    order = {problem_id: place for place, problem_id in enumerate(base)}
    for name in groups:
        recorded = listed(comparison, "coverage", f"{name}_ids")
        groups[name] = [str(entry) for entry in recorded] or sorted(groups[name], key=lambda entry: order[entry])
    return groups


def group_amounts(comparison: Results) -> dict[str, int]:
    """Quadrant -> number of problems; all 0 unless all four are recorded."""
    found = {name: whole(comparison, "coverage", name) for name in ("both", "base_only", "model_only", "neither")}
    known = all(amount is not None and amount >= 0 for amount in found.values())
    return {name: amount or 0 if known else 0 for name, amount in found.items()}


def problem_table(task: Results, anchor: str, most: int) -> ProblemTable:
    """The per-problem table of at most `most` rows; problems that only one model solved come first when it is cut."""
    counts = {role: found for role in roles(task) if (found := problem_counts(task, role))}
    ids = list(dict.fromkeys(problem_id for found in counts.values() for problem_id in found))
    headline = comparisons(task)[:1]
    group_of = {
        problem_id: name
        for entry in headline
        for name, members in solved_groups(task, entry).items()
        for problem_id in members
    }
    if len(ids) > most:
        shown = set(sorted(ids, key=lambda entry: group_of.get(entry) not in ("base_only", "model_only"))[:most])
        ids = [problem_id for problem_id in ids if problem_id in shown]
    names = _group_names(task, headline[0]) if headline else {}
    rows = [
        ProblemRow(
            anchor=f"{anchor}-p{place}",
            problem_id=text(problem_id, ID_LENGTH),
            cells=[_cell(found.get(problem_id)) for found in counts.values()],
            group=names.get(group_of.get(problem_id, ""), ""),
        )
        for place, problem_id in enumerate(ids)
    ]
    total = len({problem_id for found in counts.values() for problem_id in found})
    anchors = {problem_id: row.anchor for problem_id, row in zip(ids, rows, strict=True)}
    header = "solved by" + "".join(
        f", of {label(task, b)} and {label(task, m)}" for b, m in map(compared_roles, headline)
    )
    return ProblemTable([label(task, role) for role in counts], rows, total - len(ids), anchors, header)


def quadrants(task: Results, comparison: Results, table: ProblemTable) -> Quadrants:
    """The quadrants of a comparison with links into `table`."""
    base, model = (label(task, role) for role in compared_roles(comparison))
    coverage = mapping(comparison, "coverage")
    undecided = {str(entry) for entry in listed(coverage, "undecided_ids")}
    groups = solved_groups(task, comparison)
    amounts = {name: whole(coverage, name) for name in groups}
    total = sum(amount for amount in amounts.values() if amount)
    cells = []
    for name, shown in _group_names(task, comparison).items():
        amount = amounts[name]
        members = groups[name] if amount is None or len(groups[name]) == amount else []
        chips = _chips(members[:CHIPS], table, undecided)
        share = f"{100 * amount / total:.0f} %" if amount is not None and total else NONE
        cells.append(Quadrant(shown, name.replace("_", "-"), amount, share, chips, (amount or 0) - len(chips)))
    return Quadrants(base, model, whole(coverage, "k"), cells, len(undecided))


def _chips(members: Sequence[str], table: ProblemTable, undecided: Iterable[str]) -> list[Chip]:
    marked = set(undecided)
    return [Chip(text(entry, ID_LENGTH), table.anchors.get(entry, ""), entry in marked) for entry in members]


def _group_names(task: Results, comparison: Results) -> dict[str, str]:
    base, model = (label(task, role) for role in compared_roles(comparison))
    return {"both": "both", "base_only": f"{base} only", "model_only": f"{model} only", "neither": "neither"}


def _group(base_right: int, model_right: int) -> str:
    if base_right and model_right:
        return "both"
    if base_right:
        return "base_only"
    return "model_only" if model_right else "neither"


def _cell(found: tuple[int, int] | None) -> str:
    return NONE if found is None else f"{found[1]:,} / {found[0]:,}"
