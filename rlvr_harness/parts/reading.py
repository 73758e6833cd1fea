"""Rows of parts, batch by batch in bounded memory, whatever the length of the texts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rlvr_harness.errors import RunFolderError
from rlvr_harness.parts.columns import MEBIBYTE, PROBLEMS, SAMPLES, SCORED, PartKind, fault_of_schema
from rlvr_harness.parts.keys import KeySet
from rlvr_harness.parts.naming import live_parts

BATCH_BYTES = 8 * MEBIBYTE
"""Decoded bytes handed over at once; as Python strings they take up to four times that."""
KEY = ("problem_id", "index")
Found = TypeVar("Found")


class PartDamaged(RunFolderError):
    """A part that does not read as what was written."""


class PartVanished(Exception):
    """A part went away while it was read: the run that writes the folder has compacted it."""


@contextmanager
def damage_named(root: Path, path: Path, kind: PartKind) -> Iterator[None]:
    """Turns what goes wrong with reading a part into PartDamaged, or into RunFolderError where the disk is at fault."""
    try:
        yield
    except FileNotFoundError as error:
        raise PartVanished(path) from error
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise RunFolderError(f"{path} cannot be read: {error.strerror or error}") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PartDamaged(f"{path} is damaged ({reason}); {_way_out(root, path, kind)}") from error


def _way_out(root: Path, path: Path, kind: PartKind) -> str:
    resume = f"`rlvr-harness resume {shlex.quote(str(root))}`"
    if kind is PROBLEMS:
        return f"{resume} writes it anew"
    if kind in SCORED:
        return f"{resume} sets it aside, and the command that wrote it works it out again"
    again = "samples again what it held" if kind is SAMPLES else "works its verdicts out again"
    return f"{resume} sets it aside and {again}"


def open_part(path: Path, kind: PartKind) -> pq.ParquetFile:
    """The file, for use as a context manager; raises ArrowInvalid where its columns are not those of its kind."""
    part = pq.ParquetFile(path, page_checksum_verification=True)
    if fault := fault_of_schema(part.schema_arrow, kind):
        part.close()
        raise pa.ArrowInvalid(fault)
    return part


def part_batches(
    root: Path, path: Path, kind: PartKind, columns: Sequence[str], skip: KeySet | None = None
) -> Iterator[pa.RecordBatch]:
    """These columns of one file, of the types of its kind, without row groups of which `skip` holds every row.

    Raises PartDamaged, or PartVanished where the file is gone.
    """
    with damage_named(root, path, kind), open_part(path, kind) as part:
        present = [name for name in columns if name in part.schema_arrow.names]
        for group in range(part.num_row_groups):
            size = part.metadata.row_group(group)
            if skip is not None and _all_held(part, group, kind, skip):
                continue
            rows = max(1, BATCH_BYTES * size.num_rows // max(1, size.total_byte_size))
            for batch in part.iter_batches(batch_size=min(rows, 1 << 16), row_groups=[group], columns=present):
                yield typed(batch, kind, columns)


def _all_held(part: pq.ParquetFile, group: int, kind: PartKind, keys: KeySet) -> bool:
    batches = part.iter_batches(row_groups=[group], columns=list(KEY))
    return all(keys.holds_columns(*typed(batch, kind, KEY).columns).all() for batch in batches)


def typed(batch: pa.RecordBatch, kind: PartKind, columns: Sequence[str]) -> pa.RecordBatch:
    """The batch with these columns in this order, missing ones null; raises ArrowInvalid on values no writer gives."""
    arrays = []
    for name in columns:
        wanted = kind.columns[name]
        array: Any = batch.column(name) if name in batch.schema.names else pa.array([None] * len(batch), wanted)
        array = array if array.type == wanted else array.cast(wanted)
        if array.null_count and name not in kind.nullable | kind.optional:
            raise pa.ArrowInvalid(f"its {name} is null in {array.null_count} rows")
        if name in kind.allowed:
            known = sorted(kind.allowed[name])
            if len(array) and not pc.all(pc.is_in(array, value_set=pa.array(known, wanted))).as_py():
                raise pa.ArrowInvalid(f"its {name} holds other values than {', '.join(known)}")
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def folder_batches(
    root: Path, folder: Path, kind: PartKind, columns: Sequence[str], skip: KeySet | None = None
) -> Iterator[pa.RecordBatch]:
    """These columns of every part of a folder, oldest part first, as `part_batches` gives them; rows may repeat."""
    for part in live_parts(folder):
        yield from part_batches(root, part.path, kind, columns, skip)


def again_when_compacted(folder: Path, read: Callable[[], Found]) -> Found:
    """What `read` returns, begun anew as often as a writer compacts parts under its eyes."""
    before: object = None
    while True:
        try:
            return read()
        except PartVanished as error:
            check_progress(folder, before, error)
            before = live_parts(folder)


def check_progress(folder: Path, before: object, error: PartVanished) -> None:
    """Raises RunFolderError when a part vanished and nothing has changed since the last time: no compaction is that."""
    if live_parts(folder) == before:
        raise RunFolderError(f"{folder} cannot be read: {error} is listed but not there") from error


def first_rows(
    root: Path, folder: Path, columns: Sequence[str], skip: KeySet | None = None, kind: PartKind = SAMPLES
) -> Iterator[pa.RecordBatch]:
    """Rows of samples or scores, the first of each (problem_id, index), without `skip`; `columns` begin with KEY."""
    given = KeySet()
    before: object = None
    while True:
        try:
            for batch in folder_batches(root, folder, kind, columns, skip):
                new = given.add_columns(batch.column(0), batch.column(1))
                if skip is not None:
                    new &= ~skip.holds_columns(batch.column(0), batch.column(1))
                if new.any():
                    yield batch if new.all() else batch.filter(pa.array(new))
            return
        except PartVanished as error:
            check_progress(folder, before, error)
            before = live_parts(folder)


def to_rows(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    """The batch as tuples of Python values."""
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


class Settling:
    """Which of many rows settles each (problem_id, index): the last that is not void, else the first void one.

    Holds 17 bytes a row, 40 while it decides.
    """

    def __init__(self) -> None:
        """No rows yet."""
        self._codes: dict[str, int] = {}
        self._keys: list[np.ndarray] = []
        self._void: list[np.ndarray] = []

    def add(self, batch: pa.RecordBatch, void: np.ndarray) -> None:
        """Takes the next rows; columns problem_id and index first."""
        encoded = batch.column(0).dictionary_encode()
        names: list[Any] = encoded.dictionary.to_pylist()
        codes = np.array([self._codes.setdefault(name, len(self._codes)) for name in names], dtype=np.int64)
        index = np.asarray(batch.column(1), dtype=np.int64)
        if len(index):
            self._keys.append((codes[np.asarray(encoded.indices)] << 32) + index)
            self._void.append(void)

    def decide(self) -> np.ndarray:
        """Bool, shape (rows,): the rows that settle."""
        wins = np.zeros(sum(map(len, self._keys)), dtype=bool)
        if len(wins):
            keys = np.concatenate(self._keys)
            place = np.arange(len(keys))
            # Rows that count rank by place; void ones below all of them, the first of them highest.
            order = np.lexsort((np.where(np.concatenate(self._void), -1 - place, place), keys))
            wins[order[np.append(np.flatnonzero(np.diff(keys[order])), len(order) - 1)]] = True
        return wins
