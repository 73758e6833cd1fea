"""The audit queue and the marks of a run folder, as the pages show them."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_harness.errors import RunFolderError
from rlvr_harness.marks import MARKS_FILE, Mark, read_marks

QUEUE_FILE = Path("audit") / "queue.jsonl"
SampleKey = tuple[str, str, str, int]
"""Task, model, problem_id, index."""


@dataclass(frozen=True)
class Queued:
    """A sample that is to be judged, and why it was chosen."""

    sample: SampleKey
    why: str


@dataclass(frozen=True)
class Queue:
    """The queue in its order; `faults`: its lines that are no entry, in words."""

    entries: list[Queued]
    faults: list[str]
    there: bool


def read_queue(folder: Path) -> Queue:
    """The audit queue of a run folder; empty where there is none."""
    path = folder / QUEUE_FILE
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return Queue([], [], False)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror or error}") from error
    entries: dict[SampleKey, Queued] = {}
    faults = []
    for number, line in enumerate(lines, start=1):
        entry = _read_entry(line)
        if entry is not None:
            entries.setdefault(entry.sample, entry)
        elif line.strip():
            faults.append(f"{path} line {number} is no entry of the queue: task, model, problem_id, index, why")
    return Queue(list(entries.values()), faults, True)


def _read_entry(line: bytes) -> Queued | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    names = [row.get(name) for name in ("task", "model", "problem_id")]
    index, why = row.get("index"), row.get("why", "")
    if not all(isinstance(name, str) for name in names) or type(index) is not int or not isinstance(why, str):
        return None
    task, model, problem_id = map(storable, map(str, names))
    return Queued((task, model, problem_id, index), storable(why))


def storable(text: str) -> str:
    """The text with what no UTF-8 can hold, lone surrogates, as U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


class Marks:
    """The marks of a run folder, read again when their file has changed."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._stamp: tuple[int, int] | None = None
        self._by_sample: dict[SampleKey, list[Mark]] = {}
        self._lock = threading.Lock()

    def by_sample(self) -> dict[SampleKey, list[Mark]]:
        """Every judge's last mark on each sample."""
        path = self._folder / MARKS_FILE
        with self._lock:
            stamp = (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (0, 0)
            if stamp != self._stamp:
                found: dict[SampleKey, list[Mark]] = defaultdict(list)
                for mark in read_marks(self._folder):
                    found[mark.sample].append(mark)
                self._by_sample, self._stamp = dict(found), stamp
            return self._by_sample

    def of(self, sample: SampleKey) -> list[Mark]:
        """The marks on one sample."""
        return self.by_sample().get(sample, [])


def unmarked_first(entries: Sequence[Queued], marks: dict[SampleKey, list[Mark]]) -> list[Queued]:
    """The queue with what nobody has marked before the rest, each in its order."""
    return sorted(entries, key=lambda entry: entry.sample in marks)
