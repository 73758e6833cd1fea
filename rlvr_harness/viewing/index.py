"""The index of a whole run folder: made when the server starts, brought up to date while a run writes."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from rlvr_harness.errors import RunFolderError
from rlvr_harness.parts.columns import SAMPLES, VERDICTS
from rlvr_harness.parts.naming import samples_folder, verdicts_folder
from rlvr_harness.parts.reading import again_when_compacted
from rlvr_harness.records import Problem
from rlvr_harness.viewing.folder import RunFolder, open_folder
from rlvr_harness.viewing.tables import Connection, Numbering, Place, Table, load_place

MEMORY = "512MB"
"""What duckdb may hold; what is more lies in its file in the temporary folder."""
Key = tuple[str, str, str]
"""Task, model and verifier; samples have the verifier ''."""


@dataclass(frozen=True)
class TaskProblems:
    """The problems of a task, and their numbers in the index."""

    problems: dict[str, Problem]
    numbering: Numbering
    own: dict[str, dict[str, Problem]] = field(default_factory=dict)
    """Model -> its problems, where it was given prompts of its own."""


@dataclass(frozen=True)
class Snapshot:
    """One state of the folder; requests that began with it go on with it."""

    generation: int
    folder: RunFolder
    tasks: dict[str, TaskProblems]
    tables: dict[Key, Table]

    @property
    def samples(self) -> int:
        """Number of stored samples."""
        return sum(table.rows for (_, _, verifier), table in self.tables.items() if not verifier)

    @property
    def faults(self) -> list[str]:
        """Parts that could not be read, in words."""
        return [fault for table in self.tables.values() for fault in table.faults]

    def models(self, task: str) -> list[str]:
        """The models of a task."""
        return self.folder.models(task)

    def verifiers(self, task: str, model: str) -> list[str]:
        """The verifiers of a model's samples, the task's own first."""
        return [verifier for named, of, verifier in self.tables if (named, of) == (task, model) and verifier]


class Index:
    """The snapshots of one run folder and the duckdb file behind them; a context manager, safe for many threads."""

    def __init__(self, root: Path) -> None:
        """Reads every key, verdict and count of the folder once; texts are left where they lie."""
        open_folder(root)
        self.root = root
        self._scratch = Path(tempfile.mkdtemp(prefix="rlvr-view-"))
        self._lock = threading.Lock()
        self._tables_made = 0
        self._outdated: list[str] = []
        self._took_s = 0.0
        self._checked = 0.0
        self._connection: Connection = duckdb.connect(str(self._scratch / "index.duckdb"))
        self._connection.execute(f"SET memory_limit = '{MEMORY}'")
        self._snapshot: Snapshot | None = None
        with ExitStack() as undo:
            undo.callback(self._close)
            self.refresh()
            undo.pop_all()

    def __enter__(self) -> Self:
        """The index itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes the duckdb file."""
        self._close()

    def _close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def snapshot(self) -> Snapshot:
        """The latest state."""
        assert self._snapshot is not None
        return self._snapshot

    def cursor(self) -> Connection:
        """A connection for one thread."""
        return self._connection.cursor()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._connection.cursor() as cursor:
            return cursor.execute(query, list(values)).fetchall()

    def due(self, every_s: float) -> bool:
        """Whether the last look at the folder is so long ago, and ten times as long as that look took."""
        return time.monotonic() - self._checked > max(every_s, 10 * self._took_s)

    def refresh(self) -> Snapshot:
        """Looks for new parts, problems and results; the snapshot stays the same where there are none."""
        with self._lock:
            started = time.monotonic()
            before = self._snapshot
            folder = RunFolder.open(self.root)
            tasks = self._tasks(folder)
            tables = self._load(folder, tasks)
            if before is None or tables != before.tables or folder != before.folder:
                generation = 0 if before is None else before.generation + 1
                self._drop_outdated()
                used = {table.name for table in tables.values()}
                old = before.tables.values() if before is not None else ()
                # A request that is under way still reads these: they go with the next change.
                self._outdated = [table.name for table in old if table.name not in used]
                self._snapshot = Snapshot(generation, folder, tasks, tables)
            self._checked = time.monotonic()
            self._took_s = self._checked - started
            return self.snapshot

    def _drop_outdated(self) -> None:
        for name in self._outdated:
            self._connection.execute(f"DROP TABLE IF EXISTS {name}")

    def _tasks(self, folder: RunFolder) -> dict[str, TaskProblems]:
        known = self._snapshot.tasks if self._snapshot is not None else {}
        return {
            task: known[task] if task in known and known[task].problems else _read_task(folder, task)
            for task in folder.tasks()
        }

    def _load(self, folder: RunFolder, tasks: dict[str, TaskProblems]) -> dict[Key, Table]:
        tables: dict[Key, Table] = {}
        for task, held in tasks.items():
            for model in folder.models(task):
                place = Place(self.root, samples_folder(self.root, task, model), SAMPLES)
                tables[task, model, ""] = self._table((task, model, ""), place, held.numbering)
                for verifier in folder.verifiers(task, model):
                    judged = Place(self.root, verdicts_folder(self.root, task, model, verifier), VERDICTS)
                    tables[task, model, verifier] = self._table((task, model, verifier), judged, held.numbering)
        return tables

    def _table(self, key: Key, place: Place, numbering: Numbering) -> Table:
        before = self._snapshot.tables.get(key) if self._snapshot is not None else None
        self._tables_made += 1
        name = f"rows_{self._tables_made}"
        try:
            return again_when_compacted(
                place.folder, lambda: load_place(self._connection, place, numbering, before, name)
            )
        except duckdb.Error as error:
            reason = str(error).strip().partition("\n")[0]
            raise RunFolderError(f"{place.folder} was not indexed in {self._scratch}: {reason}") from error


def _read_task(folder: RunFolder, task: str) -> TaskProblems:
    try:
        problems = folder.problems(task)
    except ValueError as error:
        raise RunFolderError(f"{folder.root}: the metadata of task {task!r} is no JSON: {error}") from error
    measured = [problem_id for model in folder.models(task) for problem_id in folder.measured_counts(task, model)]
    ids = list(dict.fromkeys([*problems, *measured]))
    own = {model: folder.own_problems(task, model) for model in folder.models(task)}
    return TaskProblems(problems, Numbering(ids), own)
