"""The `counts` importer: problem_id, n, c per line, from CSV or JSONL."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlvr_harness import Counts, ImportRequest, TaskError

FIELDS = ("problem_id", "n", "c")


class CountsImporter:
    """Counts of verified and right samples per problem, as published or made elsewhere."""

    name = "counts"
    description = "CSV (with a header) or JSONL rows of problem_id, n, c; one file per model"

    def recognises(self, path: Path) -> bool:
        """Whether the first line names problem_id, n and c."""
        try:
            with path.open(encoding="utf-8-sig") as opened:
                first = next((line for line in opened if line.strip()), "")
        except (OSError, UnicodeDecodeError):
            return False
        words = json.loads(first) if _is_json(first) else [word.strip(' "\r\n') for word in first.split(",")]
        return set(FIELDS) <= set(words)

    def read(self, request: ImportRequest) -> Iterator[tuple[str, Counts]]:
        """(role, counts) per file; raises TaskError naming file and line of a fault."""
        for role, path in request.files.items():
            yield role, read_counts(path)


def read_counts(path: Path) -> Counts:
    """The counts of one file, in its order."""
    ids: list[str] = []
    ns: list[int] = []
    cs: list[int] = []
    seen: dict[str, int] = {}
    for line, row in _rows(path):
        missing = [field for field in FIELDS if row.get(field) in (None, "")]
        if missing:
            raise TaskError(f"{path} line {line} lacks {', '.join(missing)}; expected {', '.join(FIELDS)}")
        problem_id, n, c = str(row["problem_id"]), _whole(row["n"], path, line, "n"), _whole(row["c"], path, line, "c")
        if problem_id in seen:
            raise TaskError(f"{path} line {line}: problem '{problem_id}' stands on line {seen[problem_id]} already")
        if not 0 <= c <= n or n < 1:
            raise TaskError(f"{path} line {line}: n = {n}, c = {c}; needs n >= 1 and 0 <= c <= n")
        seen[problem_id] = line
        ids.append(problem_id)
        ns.append(n)
        cs.append(c)
    if not ids:
        raise TaskError(f"{path} holds no counts; expected {', '.join(FIELDS)}")
    return Counts(tuple(ids), tuple(ns), tuple(cs))


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from error
    if text.lstrip().startswith("{"):
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise TaskError(f"{path} line {number} is not JSON: {error.msg}") from error
                if not isinstance(row, dict):
                    raise TaskError(f"{path} line {number} is not a JSON object")
                yield number, row
        return
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    for row in reader:
        yield reader.line_num, {str(key).strip(): value for key, value in row.items() if key is not None}


def _whole(value: object, path: Path, line: int, field: str) -> int:
    try:
        number = float(str(value))
    except ValueError as error:
        raise TaskError(f"{path} line {line}: {field} = {value!r} is not a number") from error
    if not number.is_integer():
        raise TaskError(f"{path} line {line}: {field} = {value} is not a whole number")
    return int(number)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
