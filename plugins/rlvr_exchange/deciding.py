"""From another program's score to an outcome, and what all importers of samples share."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.lines import shown
from rlvr_harness import (
    Counts,
    ForeignChoice,
    ForeignRow,
    ForeignSample,
    ImportRequest,
    Outcome,
    TaskError,
    UsageError,
)


class SampleFormat(ABC):
    """One foreign format. The name is the value of `--format`."""

    name: str
    description: str

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether the file or folder looks like this format."""

    @abstractmethod
    def tasks(self, path: Path) -> Sequence[str]:
        """Names of the tasks that the file or folder says it holds."""

    @abstractmethod
    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """The samples of one task, as a stream."""

    def read(self, request: ImportRequest) -> Iterator[tuple[str, Counts]]:
        """(role, counts) per file, for callers that want no texts."""
        for role, path in request.files.items():
            task = request.task if request.task in self.tasks(path) else None
            yield role, count_rows(self.rows(path, ForeignChoice(task)))


def count_rows(rows: Iterator[ForeignRow]) -> Counts:
    """Judged and right samples by problem, in the order of the rows; void ones are left out."""
    counted: dict[str, list[int]] = {}
    for row in rows:
        of_problem = counted.setdefault(row.problem_id, [0, 0])
        outcomes = [sample.outcome for sample in row.samples]
        if row.right is None and None in outcomes:
            raise TaskError(f"{row.where}: problem '{row.problem_id}' has samples without a verdict")
        of_problem[0] += len(outcomes) - outcomes.count(Outcome.VOID)
        of_problem[1] += outcomes.count(Outcome.RIGHT) if row.right is None else row.right
    return Counts(tuple(counted), tuple(n for n, _ in counted.values()), tuple(c for _, c in counted.values()))


def outcome_of(value: object, threshold: float | None, what: str, where: str) -> Outcome:
    """RIGHT or WRONG by a score; NaN is VOID. Raises UsageError for a score between 0 and 1 without threshold."""
    if isinstance(value, bool):
        value = float(value)
    if not isinstance(value, int | float):
        raise TaskError(f"{where}: {what} is {shown(value)}, neither a number nor true or false")
    if math.isnan(value):
        return Outcome.VOID
    if threshold is not None:
        return Outcome.RIGHT if value >= threshold else Outcome.WRONG
    if value not in (0, 1):
        raise UsageError(
            f"{where}: {what} is {value:g}, neither 0 nor 1; say from where on a sample is right with --threshold T"
        )
    return Outcome.RIGHT if value else Outcome.WRONG


def one_of(wanted: str | None, there: Sequence[str], where: str, what: str = "score") -> str:
    """The name asked for, or the only one there is. Raises UsageError naming the candidates."""
    if wanted is not None and wanted in there:
        return wanted
    listed = ", ".join(there) or "none"
    if wanted is not None:
        raise UsageError(f"{where}: there is no {what} '{wanted}'; there is {listed}")
    if len(there) != 1:
        raise UsageError(f"{where}: which {what} decides? There is {listed}; name one with --metric")
    return there[0]


def one_file(found: Mapping[str, Sequence[Path]], task: str | None, path: Path) -> Path:
    """The one file of a task. Raises UsageError naming the candidates."""
    if task is None:
        if len(found) != 1:
            raise UsageError(f"{path} holds {len(found)} tasks ({', '.join(found)}); name one with --task")
        task = next(iter(found))
    files = found[task]
    if len(files) > 1:
        listed = ", ".join(str(file.relative_to(path)) for file in files[:4])
        raise UsageError(
            f"{path} holds {len(files)} files of task '{task}' ({listed}); name one file, or join them into one where "
            "they are further samples of the same model"
        )
    return files[0]


def program_answer(program: str | None) -> str | None:
    """What stands for a program where answers are compared: the beginning of its sha256; None for an empty one."""
    return hashlib.sha256(program.encode("utf-8", "surrogatepass")).hexdigest()[:16] if program else None


def text_of(content: Any) -> str:
    """The text of a chat message's content, a text or a list of parts; reasoning stands before the answer."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part if isinstance(part, str) else _part(part) for part in content]
    return "\n".join(part for part in parts if part)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    if part.get("type") in ("reasoning", "thinking"):
        return f"<think>\n{part.get('reasoning') or part.get('thinking') or ''}\n</think>"
    return str(part.get("text") or "")


def same_length(where: str, lists: Mapping[str, Sequence[Any] | None]) -> int:
    """The length that all given lists share. Raises TaskError naming those that differ."""
    lengths = {name: len(values) for name, values in lists.items() if values is not None}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise TaskError(f"{where}: lists of different lengths ({listed}); expected one entry a sample in each")
    return next(iter(lengths.values()))


def unjudged(text: str | None, reason: str) -> ForeignSample:
    """A sample without verdict, and why it has none."""
    return ForeignSample(text, None, reason=reason)
