"""Texts of a third party, to be scored by the models of a run: read from a file and tied to the run's problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rlvr_harness.errors import UsageError
from rlvr_harness.run_reader import read_problems
from rlvr_harness.run_spec import ROLE
from rlvr_harness.scored_samples import Record


@dataclass(frozen=True)
class ForeignText:
    """One text of a third party; `index` counts its texts on this problem under this name."""

    task: str
    problem_id: str
    index: int
    text: str


def read_texts_file(path: Path, folder: Path, record: Record) -> dict[str, list[ForeignText]]:
    """name -> its texts, of a JSONL file with rows {problem_id, text} and, where wanted, name and task.

    Texts without a name are named after the file. Raises UsageError naming the line of a fault.
    """
    tasks = {task: {problem.problem_id for problem in read_problems(folder, task)} for task in record["tasks"]}
    found: dict[str, list[ForeignText]] = {}
    counts: dict[tuple[str, str, str], int] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--text {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, task, problem_id, text = _text_row(f"--text {path} line {number}", line, path.stem, tasks)
        if name in record["models"]:
            raise UsageError(f"--text {path} line {number}: '{name}' is a model of the run; give the text another name")
        index = counts[name, task, problem_id] = counts.get((name, task, problem_id), -1) + 1
        found.setdefault(name, []).append(ForeignText(task, problem_id, index, text))
    if not found:
        raise UsageError(f'--text {path} holds no texts; rows are {{"problem_id": ..., "text": ...}}')
    return found


def _text_row(where: str, line: str, stem: str, tasks: Mapping[str, set[str]]) -> tuple[str, str, str, str]:
    """(name, task, problem_id, text) of one line."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or "problem_id" not in row:
        raise UsageError(f"{where} lacks problem_id or text")
    problem_id, name = str(row["problem_id"]), str(row.get("name") or stem)
    if not ROLE.fullmatch(name):
        raise UsageError(f"{where}: the name '{name}' must be letters, digits, . _ -")
    holding = [task for task, ids in tasks.items() if problem_id in ids and row.get("task") in (None, task)]
    if len(holding) != 1:
        why = f'is in {", ".join(holding)}; name one with "task"' if holding else "is in no task of the run"
        raise UsageError(f"{where}: problem '{problem_id}' {why}")
    return name, holding[0], problem_id, row["text"]


def text_digest(rows: Iterable[ForeignText]) -> str:
    """sha256 of texts in order, with the problems that they answer."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([row.task, row.problem_id, row.text]).encode() + b"\n")
    return digest.hexdigest()
