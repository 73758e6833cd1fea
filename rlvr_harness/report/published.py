"""Numbers that a paper published, set beside those of a run: `report --published FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import escape
from pathlib import Path
from typing import Any

from rlvr_harness.errors import UsageError, first_line
from rlvr_harness.report.reading import (
    Results,
    at,
    compared_roles,
    comparisons,
    label,
    mapping,
    measurement,
    number,
    tasks,
    text,
)
from rlvr_harness.report.tables import Table
from rlvr_harness.report.terminal import render_table
from rlvr_harness.report.wording import MINUS, NONE
from rlvr_harness.schemas.checking import read_results

SCHEMA = "rlvr-harness/published/1"
HEADING = "Beside published numbers"
_HEADER = ["quantity", "measured", "published", "difference", "where"]
_CAPTION = (
    "Measured, published, and measured minus published, as fractions; the brackets hold the 95 % interval of new "
    "problems. Published numbers have no interval here, so a difference of a few points need not mean anything."
)
_HOLDERS = ("base", "model", "comparison")
"""What the first part of a quantity's path may be; the rest leads through that part of results.json."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One comparison on one task as a paper has it; `base` and `model` are patterns of the models' names.

    `given`, `values`: path of a quantity, as `base.pass_at_k.1`, -> number. What is given must be equal in the run for
    quantities of the comparison to compare; those of one model name their k themselves.
    """

    where: str
    task: str
    base: str
    model: str
    given: Mapping[str, float]
    values: Mapping[str, float]


def read_published(path: Path) -> list[PublishedRow]:
    """The rows of a YAML file that name task, base and model. Raises UsageError for any that is malformed."""
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--published {path}: {error.strerror}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, or a date such as 2026-13-45
        raise UsageError(f"--published {path} is not YAML: {first_line(error)}") from error
    if not isinstance(loaded, dict) or loaded.get("schema") != SCHEMA or not isinstance(loaded.get("rows"), list):
        raise UsageError(f"--published {path}: expected `schema: {SCHEMA}` and a list `rows`")
    sources = mapping(loaded, "sources")
    found = [_row(path, place, row, sources) for place, row in enumerate(loaded["rows"], start=1)]
    return [row for row in found if row.task and row.base and row.model]


def _row(path: Path, place: int, row: Any, sources: Mapping[str, Any]) -> PublishedRow:
    if not isinstance(row, dict):
        raise UsageError(f"--published {path}: row {place} is not a mapping")
    words = {name: row.get(name, "") for name in ("source", "where", "label", "task", "base", "model")}
    if odd := [name for name, value in words.items() if not isinstance(value, str)]:
        raise UsageError(f"--published {path}: row {place}: '{odd[0]}' is not text")
    source = str(sources.get(words["source"], words["source"]))
    told = ", ".join(part for part in (source, words["where"], words["label"]) if part)
    numbers = [_numbers(path, place, name, row.get(name, {})) for name in ("given", "values")]
    return PublishedRow(told, words["task"], words["base"], words["model"], *numbers)


def _numbers(path: Path, place: int, name: str, block: Any) -> dict[str, float]:
    where = f"--published {path}: row {place}: '{name}'"
    if not isinstance(block, dict):
        raise UsageError(f"{where} is not a mapping of quantities to numbers")
    for quantity in block:
        if str(quantity).partition(".")[0] not in _HOLDERS or "." not in str(quantity):
            raise UsageError(f"{where}: '{quantity}' does not begin with base., model. or comparison.")
        if number(block, quantity) is None:
            raise UsageError(f"{where}: {quantity} is no number")
    return {str(quantity): float(value) for quantity, value in block.items()}


def published_table(rows: Sequence[PublishedRow], name: str, task: Results) -> Table:
    """Every published quantity of the comparisons on this task, beside the run's own."""
    found = [
        _cells(row, quantity, value, task, entry)
        for row in rows
        if row.task == name
        for entry in comparisons(task)
        if _meant(row, task, entry)
        for quantity, value in row.values.items()
    ]
    return Table(_CAPTION, list(_HEADER), found)


def published_tables(rows: Sequence[PublishedRow], results: Results) -> Iterator[tuple[str, Table]]:
    """(task, table) for the tasks that have published numbers."""
    for name, task in tasks(results).items():
        table = published_table(rows, name, task)
        if table.rows:
            yield name, table


def _meant(row: PublishedRow, task: Results, entry: Results) -> bool:
    names = [str(at(task, "models", role, "name") or "") for role in compared_roles(entry)]
    return all(fnmatchcase(name, pattern) for name, pattern in zip(names, (row.base, row.model), strict=True))


def _cells(row: PublishedRow, quantity: str, value: float, task: Results, entry: Results) -> list[str]:
    shown = [_shown(quantity, task, entry)]
    for condition, wanted in row.given.items() if quantity.startswith("comparison.") else ():
        here = number({"": _found(condition, task, entry)}, "")
        if here != wanted:
            told = "unknown" if here is None else f"{here:g}"
            other = f"not comparable: {_shown(condition, task, entry)} is {told}, published with {wanted:g}"
            return [*shown, other, f"{value:g}", NONE, text(row.where, 120)]
    measured = measurement(_found(quantity, task, entry))
    if measured is None:
        return [*shown, "not measured", f"{value:g}", NONE, text(row.where, 120)]
    sides = "" if measured.low is None or measured.high is None else f" [{measured.low:.3g}, {measured.high:.3g}]"
    return [*shown, f"{measured.value:.3g}{sides}", f"{value:g}", _signed(measured.value - value), text(row.where, 120)]


def _signed(difference: float) -> str:
    if abs(difference) < 5e-4:
        return "0.000"
    size = f"{abs(difference):.3f}" if abs(difference) < 1 else f"{abs(difference):g}"
    return f"{MINUS if difference < 0 else '+'}{size}"


def _found(quantity: str, task: Results, entry: Results) -> object:
    """What the run has under the quantity's path; None where it has nothing."""
    holder, *keys = quantity.split(".")
    base, model = compared_roles(entry)
    role = {"base": base, "model": model}.get(holder)
    return at(entry, *keys) if role is None else at(task, "models", role, *keys)


def _shown(quantity: str, task: Results, entry: Results) -> str:
    """The quantity in words. "base.pass_at_k.256" -> "base pass@256", "comparison.support.srr" -> "support srr"."""
    holder, *keys = quantity.split(".")
    base, model = compared_roles(entry)
    role = {"base": base, "model": model}.get(holder)
    words = " ".join(keys).replace("pass_at_k ", "pass@").replace("_", " ").removesuffix(" value")
    return words if role is None else f"{label(task, role)} {words}"


@dataclass(frozen=True)
class PublishedSection:
    """The section of the report with the published numbers; a `ReportSection`."""

    rows: Sequence[PublishedRow]
    name: str = "published"
    title: str = HEADING

    @classmethod
    def read(cls, path: Path) -> PublishedSection:
        """The section of a file. Raises UsageError for one that is malformed."""
        return cls(read_published(path))

    def lines(self, folders: Sequence[Path]) -> Iterator[str]:
        """A table for each task of the runs of which there are numbers, or a line that there is none."""
        reports = [read_results(folder) for folder in folders]
        each = [found for results in reports for found in published_tables(self.rows, results)]
        yield from (render_table(f"{name}: {HEADING.lower()}", table) for name, table in each)
        if not each:
            yield "nothing is published of these tasks and models"

    def render_html(self, task: str, results: Results) -> str:
        """The table of one task, or an empty string where nothing is published of it."""
        table = published_table(self.rows, task, tasks(results).get(task, {}))
        if not table.rows:
            return ""
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
        body = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
            for row in table.rows
        )
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(HEADING)}"><table>'
            f"<caption>{escape(table.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
