"""data.json and data.csv: the rows of a site in full precision."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rlvr_harness.leaderboard.grouping import Group, Ranked
from rlvr_harness.leaderboard.naming import enough_digits
from rlvr_harness.leaderboard.rows import LAW, Row, Side, family
from rlvr_harness.records import Measurement
from rlvr_harness.report.reading import Curve, at, mapping, number, whole

SCHEMA = "rlvr-harness/leaderboard/1"
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula, full-width forms included."""


def site_data(title: str, date: str | None, groups: Sequence[Group]) -> dict[str, Any]:
    """The content of data.json, but for the list of files."""
    ids = Identifiers(groups)
    rows = [_row_data(group, ranked, ids) for group in groups for ranked in group.rows]
    return {
        "schema": SCHEMA,
        "title": title,
        "date": date,
        "groups": [_group_data(group, ids) for group in groups],
        "rows": rows,
    }


def json_text(data: Mapping[str, Any]) -> str:
    """JSON that any reader takes: ASCII only, no NaN."""
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


class Identifiers:
    """Short forms of the hashes of runs, groups and rows, unique on a site."""

    def __init__(self, groups: Sequence[Group]) -> None:
        """For all rows of these groups."""
        rows = [ranked.row for group in groups for ranked in group.rows]
        self._runs = enough_digits(row.digest for row in rows)
        self._rows = enough_digits(row.row_id for row in rows)
        self._groups = enough_digits(group.group_id for group in groups)

    def run(self, row: Row) -> str:
        """The id of a row's run, the name of its folder on the site."""
        return row.digest[: self._runs]

    def row(self, row: Row) -> str:
        """The id of a row."""
        return row.row_id[: self._rows]

    def group(self, group: Group) -> str:
        """The id of a group."""
        return group.group_id[: self._groups]


def _group_data(group: Group, ids: Identifiers) -> dict[str, Any]:
    conditions: dict[str, Any] = {"task": group.task}
    if group.kind == "ranked":
        conditions = asdict(group.conditions) | {"law": _law(group.rows[0].row)}
    return {
        "id": ids.group(group),
        "kind": group.kind,
        "conditions": conditions,
        "differs": list(group.differs),
        "rows": [ids.row(ranked.row) for ranked in group.rows],
    }


def _row_data(group: Group, ranked: Ranked, ids: Identifiers) -> dict[str, Any]:
    row, conditions = ranked.row, ranked.row.conditions
    run_id = ids.run(row)
    return {
        "id": ids.row(row),
        "group": ids.group(group),
        "rank": ranked.rank,
        "unranked_because": ranked.reason or None,
        "task": conditions.task,
        "model": _side_data(row.model, conditions.k),
        "base": None if row.base is None else _side_data(row.base, conditions.k),
        "problems": row.problems,
        "n": row.n,
        "k": conditions.k,
        "difference": _curve_data(row.difference),
        "crossover": _crossover_data(row),
        "coverage": _coverage_data(row),
        "support": {key: number(row.comparison, "support", key) for key in ("srr", "ndr", "sds", "nscr")},
        "delta_se": {key: number(row.comparison, "delta_se", key) for key in ("k", "value", "low", "high")},
        "conditions": asdict(conditions) | {"law": _law(row)},
        "fairness": {
            "same_prompt": _answer(row, "same_prompt"),
            "same_sampling": _answer(row, "same_sampling"),
            "unfair": row.unfair or None,
            "warnings": list(row.warnings),
        },
        "run": {
            "id": run_id,
            **row.run,
            "report": f"runs/{run_id}/report.html",
            "results": f"runs/{run_id}/results.json",
        },
    }


def _answer(row: Row, key: str) -> bool | None:
    answer = at(row.comparison, "fairness", key)
    return answer if isinstance(answer, bool) else None


def _law(row: Row) -> dict[str, float] | None:
    law = row.conditions.law
    return None if law is None else dict(zip(LAW, law, strict=True))


def _crossover_data(row: Row) -> dict[str, Any]:
    found = mapping(row.comparison, "crossover")
    verdict = found.get("verdict")
    known = verdict if verdict in ("crossed", "not_crossed", "undecided") else None
    return {"verdict": known} | {key: number(found, key) for key in ("k", "low", "high")}


def _coverage_data(row: Row) -> dict[str, Any]:
    found = mapping(row.comparison, "coverage")
    names = {"k": "k", "both": "both", "gained": "model_only", "lost": "base_only", "neither": "neither"}
    counts = {ours: whole(found, theirs) for ours, theirs in names.items()}
    return counts | {"mcnemar_p": number(found, "mcnemar_p")}


def _side_data(side: Side, k: int | None) -> dict[str, Any]:
    return {
        "role": side.role,
        "name": side.name,
        "family": family(side.name),
        "weight_hash": side.weight_hash,
        "revision": side.revision,
        "n": side.n,
        "samples": side.samples,
        "void_share": side.void_share,
        "truncated_share": side.truncated_share,
        "pass_at_1": _point(side.pass_at_k.get(1)),
        "pass_at_k": _point(side.pass_at_k.get(k) if k is not None else None),
        "curve": _curve_data(side.pass_at_k),
    }


def _curve_data(points: Curve) -> dict[str, Any]:
    return {str(k): _point(point) for k, point in points.items()}


def _point(point: Measurement | None) -> dict[str, float | None] | None:
    return None if point is None else {"value": point.value, "low": point.low, "high": point.high}


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of data.json as CSV: a column per leaf, nested names joined by dots; numbers in full, null as nothing."""
    flat = [dict(_leaves(_without_curves(row))) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in flat)
    return out.getvalue()


def _without_curves(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with each curve cut down to k = 1 and the largest k, under names that all rows share."""
    gaps = row["difference"]
    ends = {"difference_at_1": gaps.get("1"), "difference_at_k": gaps.get(str(row["k"]))}
    empty = dict.fromkeys(("value", "low", "high"))
    slim: dict[str, Any] = {}
    for key, value in row.items():
        if key == "difference":
            slim |= {name: point or empty for name, point in ends.items()}
        elif key in ("model", "base"):
            slim[key] = _slim_side(value, empty)
        elif key == "conditions":
            law = value["law"] or dict.fromkeys(LAW)
            slim[key] = {name: part for name, part in value.items() if name not in ("task", "k", "law")} | law
        else:
            slim[key] = value
    return slim


def _slim_side(side: Mapping[str, Any] | None, empty: Mapping[str, None]) -> dict[str, Any]:
    if side is None:
        return {"name": None}
    points = {name: side[name] or empty for name in ("pass_at_1", "pass_at_k")}
    return {name: value for name, value in side.items() if name != "curve"} | points


def _leaves(block: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in block.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _cell(value: object) -> object:
    """Text that a spreadsheet would compute gets an apostrophe in front; numbers, also written as text, do not."""
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return "" if value is None else value
    return f"'{value}" if value.lstrip().startswith(FORMULA) and not _is_number(value) else value


def _is_number(words: str) -> bool:
    try:
        float(words)
    except ValueError:
        return False
    return True
