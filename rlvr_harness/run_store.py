"""The only writer of the run folder; `run_reader` reads it.

Parts are zstd Parquet, written under a temporary name, fsynced and renamed, so a reader never meets half a file. A run
that is killed loses at most what was appended in the last `COMMIT_EVERY_S` seconds. Small parts are merged into large
ones while the run goes on, a step after each commit, and when it ends.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from rlvr_harness.errors import RunFolderError
from rlvr_harness.parts import disk
from rlvr_harness.parts.checking import repair, repair_line
from rlvr_harness.parts.columns import (
    MEBIBYTE,
    PROBLEM_SCHEMA,
    PROBLEMS,
    SAMPLE_SCHEMA,
    SAMPLES,
    SCORED,
    VERDICT_SCHEMA,
    VERDICTS,
    Columns,
    PartKind,
)
from rlvr_harness.parts.compacting import (
    FAN_IN,
    GROUP_BYTES,
    LEAST_AT_CLOSE,
    last_merge,
    merge,
    next_merge,
    part_writer,
)
from rlvr_harness.parts.naming import (
    all_parts,
    escape,
    next_number,
    part_folders,
    part_name,
    problems_file,
    samples_folder,
    verdicts_folder,
)
from rlvr_harness.parts.versions import SCHEMA, check_schema
from rlvr_harness.records import Problem, Sample, Verdict

__all__ = [
    "COMMIT_EVERY_S",
    "PROBLEM_SCHEMA",
    "SAMPLE_SCHEMA",
    "SCHEMA",
    "VERDICT_SCHEMA",
    "Columns",
    "RunStore",
    "escape",
    "problems_file",
]

COMMIT_EVERY_S = 2.0
COMMIT_BYTES = 64 * MEBIBYTE
"""Text that waits is committed early from here on, so that memory stays bounded whatever the caller does."""
MERGE_S = 0.25
"""Time for merging after each commit: an eighth of the time between two, so that no commit comes late."""
Row = tuple[Any, ...]
"""Values in the order of the columns."""


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class RunStore:
    """An open run folder. Use as a context manager; one writer at a time, enforced by a lock the kernel releases."""

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.monotonic, warn: Callable[[str], None] = _to_stderr
    ) -> None:
        """Creates the folder where needed, takes its lock and sets damaged parts aside, with a line to `warn`.

        Raises RunFolderError when another process has the lock, or a newer version wrote the folder.
        """
        self.folder = folder
        self.lock = threading.RLock()  # for callers in several threads, and for what they have it write
        self._clock = clock
        self._warn = warn
        self._pending: dict[Path, list[Row]] = defaultdict(list)
        self._kinds: dict[Path, PartKind] = {}
        self._oldest: float | None = None
        self._waiting_bytes = 0
        self._next_part: dict[Path, int] = {}
        self._merges: dict[Path, Generator[None]] = {}
        self._merging = True
        self._lock = disk.FolderLock(folder)
        with ExitStack() as undo:
            undo.callback(self._lock.close)
            self._check_run()
            if found := repair(folder):
                warn(repair_line(folder, found))
            undo.pop_all()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits what is pending, merges small parts where the run ended well, and releases the lock."""
        try:
            self.commit()
            if kind is None:
                self._merge_all(LEAST_AT_CLOSE)
        finally:
            for under_way in self._merges.values():
                under_way.close()
            self._lock.close()

    def write_run(self, run: Mapping[str, Any]) -> None:
        """run.json, replaced as a whole, under the present schema."""
        with self.lock:
            self.write_json("run.json", {"schema": SCHEMA} | {key: run[key] for key in run if key != "schema"})

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """A JSON file of the folder, replaced as a whole. NaN is refused: unknown numbers are null."""
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        self._replace(self.folder / name, lambda path: path.write_text(text + "\n", encoding="utf-8"))

    def write_lines(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """A JSONL file of the folder, replaced as a whole."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._replace(self.folder / name, lambda path: path.write_text(text, encoding="utf-8"))

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
        self._write_table(problems_file(self.folder, task, role), rows, PROBLEMS)

    def clear_problems(self) -> None:
        """Removes the problems of every task."""
        for path in (self.folder / "problems").glob("*.parquet"):
            disk.remove(path)

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
            self._append(samples_folder(self.folder, sample.task, sample.model), SAMPLES, row)
            self._waiting_bytes += len(sample.text)
            if self._waiting_bytes >= COMMIT_BYTES:
                self.commit()

    def append_verdicts(self, task: str, model: str, verifier: str, verdicts: Iterable[Verdict]) -> None:
        """Adds verdicts; they are on disk at the next commit."""
        folder = verdicts_folder(self.folder, task, model, verifier)
        for verdict in verdicts:
            row = (
                verdict.problem_id,
                verdict.index,
                verdict.outcome.value,
                verdict.answer,
                verdict.reason,
                verdict.seconds,
            )
            self._append(folder, VERDICTS, row)

    def append_scores(self, folder: Path, kind: PartKind, rows: Iterable[Row]) -> None:
        """Adds what a model says of texts, values in the order of the kind's columns, to a `scores_folder`."""
        for row in rows:
            self._append(folder, kind, row)

    def commit_if_due(self) -> None:
        """Commits when the oldest pending row has waited `COMMIT_EVERY_S`."""
        if self._oldest is not None and self._clock() - self._oldest >= COMMIT_EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Writes everything pending as new parts; what could not be written stays pending. Then merges for a moment."""
        written = []
        for folder in list(self._pending):
            number = self._part_number(folder)
            self._write_table(folder / part_name(number), self._pending[folder], self._kinds[folder])
            # Only now: a commit that failed halfway is repeated under the same name, so its rows are stored once.
            self._next_part[folder] = number + 1
            del self._pending[folder]
            written.append(folder)
        self._oldest = None
        self._waiting_bytes = 0
        until = self._clock() + MERGE_S
        for folder in written:
            self._merge_some(folder, self._kinds[folder], until)

    def compact(self) -> None:
        """Commits, then merges all parts that are not full into as few as can be, sorted by problem and index."""
        self.commit()
        self._merge_all(FAN_IN)
        self._merge_all(None)

    def _append(self, folder: Path, kind: PartKind, row: Row) -> None:
        if self._oldest is None:
            self._oldest = self._clock()
        self._kinds[folder] = kind
        self._pending[folder].append(row)

    def _merge_some(self, folder: Path, kind: PartKind, until: float) -> None:
        """Takes the merge of a folder's parts further, or begins one that is worth it."""
        while self._merging:
            if folder not in self._merges:
                parts = next_merge(folder, kind, FAN_IN)
                if not parts:
                    return
                self._merges[folder] = merge(self.folder, parts, kind)
            if self._step(folder) and self._clock() >= until:
                return

    def _step(self, folder: Path) -> bool:
        """One step of a merge under way; whether there are more. A merge that fails is left, the parts as they are."""
        try:
            next(self._merges[folder])
            return True
        except StopIteration:
            del self._merges[folder]
        except RunFolderError as error:
            del self._merges[folder]
            self._merging = False
            self._warn(f"warning: small parts stay as they are, nothing is lost: {error}")
        return False

    def _merge_all(self, least: int | None) -> None:
        """Merges while there are `least` parts of a level; None: while there are any two."""
        for kind in (SAMPLES, VERDICTS, *SCORED):
            for folder in part_folders(self.folder, kind.top):
                while self._merging:
                    if folder not in self._merges:
                        parts = next_merge(folder, kind, least) if least else last_merge(folder, kind)
                        if not parts:
                            break
                        self._merges[folder] = merge(self.folder, parts, kind)
                    while self._step(folder):
                        pass

    def _check_run(self) -> None:
        with suppress(FileNotFoundError, ValueError):  # a damaged run.json is the reader's to report
            content = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
            if isinstance(content, dict):
                check_schema(self.folder, content)

    def _write_table(self, path: Path, rows: Sequence[Row], kind: PartKind) -> None:
        values = zip(*rows, strict=True) if rows else ((),) * len(kind.columns)
        schema = pa.schema(list(kind.columns.items()))
        table = pa.table([pa.array(column, of) for column, of in zip(values, schema.types, strict=True)], schema=schema)
        per_group = max(1, len(rows) * GROUP_BYTES // max(1, table.nbytes))

        def write(target: Path) -> None:
            with part_writer(target, schema, kind) as writer:
                writer.write_table(table, row_group_size=per_group)

        self._replace(path, write)

    def _part_number(self, folder: Path) -> int:
        if folder not in self._next_part:
            self._next_part[folder] = next_number(all_parts(folder))
        return self._next_part[folder]

    def _replace(self, path: Path, write: Callable[[Path], object]) -> None:
        self._lock.check()
        disk.write_whole(self.folder, path, write)
