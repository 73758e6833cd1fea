"""The only writer of the run folder; `run_reader` reads it.

Parts are zstd Parquet, written under a temporary name, fsynced and renamed, so a reader never meets half a file. A run
that is killed loses at most what was appended in the last `COMMIT_EVERY_S` seconds.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr_harness.errors import RunFolderError
from rlvr_harness.records import Problem, Sample, Verdict

SCHEMA = "rlvr-harness/run/1"
COMMIT_EVERY_S = 2.0
Columns = Mapping[str, pa.DataType]
Row = tuple[Any, ...]
"""Values in the order of the columns."""
SAMPLE_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "index": pa.int32(),
    "seed": pa.int64(),
    "text": pa.large_string(),
    "finish_reason": pa.string(),
    "n_tokens": pa.int32(),
    "logprob_sum": pa.float64(),
}
VERDICT_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "index": pa.int32(),
    "outcome": pa.string(),
    "answer": pa.large_string(),
    "reason": pa.string(),
    "seconds": pa.float64(),
}
PROBLEM_SCHEMA: Columns = {
    "problem_id": pa.string(),
    "prompt": pa.large_string(),
    "reference": pa.large_string(),
    "metadata": pa.large_string(),
}


class RunStore:
    """An open run folder. Use as a context manager; one writer at a time, enforced by a lock the kernel releases."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Creates the folder where needed and takes its lock; raises RunFolderError when another process has it."""
        self.folder = folder
        self._clock = clock
        self._pending: dict[str, list[Row]] = defaultdict(list)
        self._columns: dict[str, Columns] = {}
        self._oldest: float | None = None
        self._next_part: dict[str, int] = {}
        with _disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise RunFolderError(f"{folder} is being written by another process; wait for it or end it") from error

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits what is pending and releases the lock."""
        try:
            self.commit()
        finally:
            self._lock.close()

    def write_run(self, run: Mapping[str, Any]) -> None:
        """run.json, replaced as a whole."""
        self.write_json("run.json", {"schema": SCHEMA, **run})

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """A JSON file of the folder, replaced as a whole. NaN is refused: unknown numbers are null."""
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        self._replace(self.folder / name, lambda path: path.write_text(text + "\n", encoding="utf-8"))

    def write_problems(self, task: str, problems: Sequence[Problem], role: str | None = None) -> None:
        """problems/<task>.parquet; problems/<task>@<role>.parquet for a model that is given prompts of its own."""
        rows = [
            (
                problem.problem_id,
                problem.prompt,
                problem.reference,
                json.dumps(dict(problem.metadata), ensure_ascii=False, default=str),
            )
            for problem in problems
        ]
        self._write_table(problems_file(self.folder, task, role), rows, PROBLEM_SCHEMA)

    def append_samples(self, samples: Iterable[Sample]) -> None:
        """Adds samples; they are on disk at the next commit."""
        for sample in samples:
            row = (
                sample.problem_id,
                sample.index,
                sample.seed,
                sample.text,
                sample.finish_reason.value,
                sample.n_tokens,
                sample.logprob_sum,
            )
            self._append(f"samples/{escape(sample.task)}/{escape(sample.model)}", SAMPLE_SCHEMA, row)

    def append_verdicts(self, task: str, model: str, verifier: str, verdicts: Iterable[Verdict]) -> None:
        """Adds verdicts; they are on disk at the next commit."""
        folder = f"verdicts/{escape(task)}/{escape(model)}/{escape(verifier)}"
        for verdict in verdicts:
            row = (
                verdict.problem_id,
                verdict.index,
                verdict.outcome.value,
                verdict.answer,
                verdict.reason,
                verdict.seconds,
            )
            self._append(folder, VERDICT_SCHEMA, row)

    def commit_if_due(self) -> None:
        """Commits when the oldest pending row has waited `COMMIT_EVERY_S`."""
        if self._oldest is not None and self._clock() - self._oldest >= COMMIT_EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Writes everything pending as new parts."""
        for folder in list(self._pending):
            path = self.folder / folder / f"part-{self._part_number(folder):06d}.parquet"
            self._write_table(path, self._pending[folder], self._columns[folder])
            del self._pending[folder]
        self._oldest = None

    def _append(self, folder: str, columns: Columns, row: Row) -> None:
        if self._oldest is None:
            self._oldest = self._clock()
        self._columns[folder] = columns
        self._pending[folder].append(row)

    def _write_table(self, path: Path, rows: Sequence[Row], columns: Columns) -> None:
        values = zip(*rows, strict=True) if rows else ((),) * len(columns)
        table = pa.table(
            [pa.array(column, kind) for column, kind in zip(values, columns.values(), strict=True)],
            schema=pa.schema(list(columns.items())),
        )
        self._replace(path, lambda target: pq.write_table(table, target, compression="zstd", write_page_checksum=True))

    def _part_number(self, folder: str) -> int:
        if folder not in self._next_part:
            existing = (self.folder / folder).glob("part-*.parquet")
            self._next_part[folder] = max((int(p.stem.split("-")[1]) for p in existing), default=-1) + 1
        number = self._next_part[folder]
        self._next_part[folder] = number + 1
        return number

    def _replace(self, path: Path, write: Callable[[Path], object]) -> None:
        temporary = path.with_name(f".{path.name}.tmp")
        with _disk_errors(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def problems_file(folder: Path, task: str, role: str | None = None) -> Path:
    """Where a task's problems lie; `role` for a model that is given prompts of its own."""
    return folder / "problems" / f"{escape(task)}{f'@{role}' if role else ''}.parquet"


@cache
def escape(name: str) -> str:
    """One path component: letters, digits and . _ - : as they are. `a/b` -> `a%2Fb`, `..` -> `%2E%2E`."""
    return quote(name, safe=":") if name.strip(".") else "%2E" * len(name)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFolderError(
                f"{folder}: the disk is full; free some space, then `rlvr-harness resume {folder}` goes on"
            ) from error
        raise RunFolderError(f"{folder} cannot be written: {error}") from error
