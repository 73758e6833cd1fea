"""Marks on chains of thought, by people or judge models: `audit/marks.jsonl` of a run folder, only ever appended to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from rlvr_harness.errors import RunFolderError

Judgement = Literal["right", "wrong", "unsure"]
MARKS_FILE = Path("audit") / "marks.jsonl"


@dataclass(frozen=True, slots=True)
class Mark:
    """What one judge says of one sample's chain of thought. `at` is UTC in ISO 8601."""

    task: str
    model: str
    problem_id: str
    index: int
    judgement: Judgement
    by: str
    at: str
    note: str = ""

    @property
    def sample(self) -> tuple[str, str, str, int]:
        """Which sample it is about: task, model, problem_id, index."""
        return self.task, self.model, self.problem_id, self.index


def add_mark(folder: Path, mark: Mark) -> None:
    """Appends the mark and waits until it is on the disk. Several processes may do so at once."""
    path = folder / MARKS_FILE
    line = json.dumps(asdict(mark), ensure_ascii=False).encode() + b"\n"
    try:
        path.parent.mkdir(exist_ok=True)
        # One write in append mode is not interleaved with another's; a line torn by a full disk is ended by the next.
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            data = b"\n" * torn + line
            if os.write(handle, data) != len(data):
                raise OSError("the disk is full")
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise RunFolderError(f"{path}: the mark was not stored: {error.strerror or error}") from error


def read_marks(folder: Path) -> list[Mark]:
    """The last mark of each judge on each sample, in the order of the first; torn lines are left out."""
    path = folder / MARKS_FILE
    if not path.is_file():
        return []
    latest: dict[tuple[tuple[str, str, str, int], str], Mark] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        mark = _read_mark(path, number, line)
        if mark is not None:
            latest[mark.sample, mark.by] = mark
    return list(latest.values())


def _read_mark(path: Path, number: int, line: bytes) -> Mark | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    kinds = {field.name: int if field.name == "index" else str for field in fields(Mark)}
    given = {"note": "", **row} if isinstance(row, dict) else {}
    typed = all(type(given.get(name)) is kind for name, kind in kinds.items())
    if not typed or given["judgement"] not in get_args(Judgement):
        raise RunFolderError(f"{path} line {number} is no mark; mend or remove that line")
    return Mark(**{name: given[name] for name in kinds})


def agreed(marks: Sequence[Mark]) -> dict[tuple[str, str, str, int], Judgement]:
    """One judgement per sample: what most of its judges say, `unsure` where they are even."""
    votes: dict[tuple[str, str, str, int], list[Judgement]] = {}
    for mark in marks:
        votes.setdefault(mark.sample, []).append(mark.judgement)
    return {sample: _majority(given) for sample, given in votes.items()}


def _majority(given: Sequence[Judgement]) -> Judgement:
    right, wrong = given.count("right"), given.count("wrong")
    if right == wrong or max(right, wrong) < given.count("unsure"):
        return "unsure"
    return "right" if right > wrong else "wrong"
