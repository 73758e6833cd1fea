"""Merges many small parts into few large ones, sorted and without repeated rows, a step at a time."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rlvr_harness.parts import disk
from rlvr_harness.parts.columns import MEBIBYTE, VERDICTS, PartKind
from rlvr_harness.parts.naming import Part, live_parts, part_name
from rlvr_harness.parts.reading import KEY, Settling, damage_named, open_part, typed
from rlvr_harness.records import Outcome

FAN_IN = 32
"""Parts merged at once: a row is rewritten once for each power of 32 that the number of commits passes."""
MOST_AT_ONCE = 64
"""Parts read side by side at most: more would not fit into CACHE_BYTES and be read again and again."""
LEAST_AT_CLOSE = 16
"""Fewer small parts than this are not worth rewriting when a run ends."""
GROUP_BYTES = 4 * MEBIBYTE
"""Decoded bytes of a row group: a merge holds one of each source, and a reader streams."""
CACHE_BYTES = 160 * MEBIBYTE
"""Row groups held during a merge: one of each of FAN_IN sources, with room for uneven ones."""
ZSTD_LEVEL = 3


@dataclass(frozen=True)
class _Group:
    """One row group of one source and where its rows begin among all rows of the merge."""

    path: Path
    number: int
    start: int
    rows: int
    row_bytes: float


def next_merge(folder: Path, kind: PartKind, least: int) -> list[Part]:
    """The parts to merge next: neighbours that are not full, at least `least` of one level; or none.

    Parts of lower levels between them come along. Large ones wait for as many of their like, so that no row is
    rewritten with each few that follow it.
    """
    runs = _small_runs(folder, kind)
    for level in range(1 + max((_level(part) for run in runs for part in run), default=-1)):
        for run in runs:
            for low, neighbours in groupby(run, key=lambda part: _level(part) <= level):
                chosen = list(neighbours) if low else []
                if sum(_level(part) == level for part in chosen) >= least:
                    fitting = _fitting(chosen[:MOST_AT_ONCE], kind)
                    if len(fitting) > 1:
                        return fitting
    return []


def last_merge(folder: Path, kind: PartKind) -> list[Part]:
    """Neighbours that are not full, of whatever level; none where no two are left."""
    for run in _small_runs(folder, kind):
        fitting = _fitting(run[:MOST_AT_ONCE], kind)
        if len(fitting) > 1:
            return fitting
    return []


def _small_runs(folder: Path, kind: PartKind) -> list[list[Part]]:
    groups = groupby(live_parts(folder), key=lambda part: part.path.stat().st_size < kind.full_bytes)
    return [list(run) for small, run in groups if small]


def _level(part: Part) -> int:
    """How often a part was merged: 1 commit -> 0, 32 commits -> 1, 1,024 commits -> 2."""
    return int(math.log(part.commits, FAN_IN) + 1e-9)


def _fitting(parts: Sequence[Part], kind: PartKind) -> list[Part]:
    """The first of them that together stay below twice a full part."""
    sizes = np.cumsum([part.path.stat().st_size for part in parts])
    return list(parts[: int(np.searchsorted(sizes, 2 * kind.full_bytes))])


def merge(root: Path, parts: Sequence[Part], kind: PartKind) -> Generator[None]:
    """Replaces the parts by one; each step writes one row group, and what was written is dropped when it is closed.

    The new part's name says which numbers it stands for, so from the moment it is there the old ones are ignored, and
    it does not matter how many of them have been deleted.
    """
    folder = parts[0].path.parent
    target = folder / part_name(parts[-1].last, parts[0].first)
    temporary = disk.temporary_of(target)
    with disk.disk_errors(root):
        try:
            yield from _write_merged(root, parts, kind, temporary)
            disk.finish(temporary, target)
        finally:
            disk.remove(temporary)
        for part in parts:
            disk.remove(part.path)
        disk.sync_folder(folder)


def _write_merged(root: Path, parts: Sequence[Part], kind: PartKind, temporary: Path) -> Generator[None]:
    groups, order, schema = _plan(root, parts, kind)
    cache = _GroupCache(root, kind, schema)
    with part_writer(temporary, schema, kind) as writer:
        starts = np.array([group.start for group in groups])
        source = np.searchsorted(starts, order, side="right") - 1
        widths = np.array([group.row_bytes for group in groups])[source]
        pieces = (np.cumsum(widths) // GROUP_BYTES).astype(np.int64)
        for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(pieces)) + 1):
            if len(rows):
                wanted = [(groups[each], source[rows] == each) for each in np.unique(source[rows])]
                writer.write_table(_gather(wanted, order[rows], cache))
            yield


def _plan(root: Path, parts: Sequence[Part], kind: PartKind) -> tuple[list[_Group], np.ndarray, pa.Schema]:
    """Row groups of all parts, places of the rows that stay, sorted by problem and index, and columns of the result."""
    groups: list[_Group] = []
    settling = Settling()
    columns = {name: pa.field(name, of) for name, of in kind.columns.items()}
    problems: list[pa.Array[Any]] = []
    indices: list[np.ndarray] = []
    total = 0
    for part in parts:
        with damage_named(root, part.path, kind), open_part(part.path, kind) as file:
            columns = {field.name: field for field in file.schema_arrow} | columns
            for number in range(file.num_row_groups):
                keys = [*KEY, "outcome"] if kind is VERDICTS else list(KEY)
                for read in file.read_row_group(number, columns=keys).combine_chunks().to_batches():
                    batch = typed(read, kind, keys)
                    settling.add(batch, _void(batch, kind))
                    problems.append(batch.column(0).dictionary_encode())
                    indices.append(np.asarray(batch.column(1)))
                size = file.metadata.row_group(number)
                if size.num_rows:
                    width = size.total_byte_size / size.num_rows
                    groups.append(_Group(part.path, number, total, size.num_rows, width))
                total += size.num_rows
    added = [name for name in columns if name not in kind.columns]
    schema = pa.schema([columns[name] for name in (*kind.columns, *added)])
    return groups, _sorted_rows(settling.decide(), problems, indices), schema


def _void(batch: pa.RecordBatch, kind: PartKind) -> np.ndarray:
    """The rows that any later one settles: of samples all, since the first one counts."""
    if kind is not VERDICTS:
        return np.ones(len(batch), dtype=bool)
    return np.asarray(pc.equal(batch.column("outcome"), pa.scalar(Outcome.VOID.value)))


def _sorted_rows(stay: np.ndarray, problems: list[pa.Array[Any]], indices: list[np.ndarray]) -> np.ndarray:
    """Places of the rows that stay, by problem and index."""
    places = np.flatnonzero(stay)
    if not len(places):
        return places
    encoded: Any = pa.chunked_array(problems).unify_dictionaries().combine_chunks()
    ranks = np.argsort(np.argsort(np.array(encoded.dictionary.to_pylist(), dtype=object)))
    of_problem = ranks[np.asarray(encoded.indices)][places]
    return places[np.lexsort((np.concatenate(indices)[places], of_problem))]


class _GroupCache:
    """The row groups last used, up to CACHE_BYTES."""

    def __init__(self, root: Path, kind: PartKind, schema: pa.Schema) -> None:
        self._root = root
        self._kind = kind
        self._schema = schema
        self._held: OrderedDict[_Group, pa.Table] = OrderedDict()
        self._bytes = 0

    def get(self, group: _Group) -> pa.Table:
        """All rows of a row group, in the columns of the result."""
        if group not in self._held:
            with damage_named(self._root, group.path, self._kind), open_part(group.path, self._kind) as file:
                table = file.read_row_group(group.number)
                arrays = [
                    table[field.name].cast(field.type)
                    if field.name in table.column_names
                    else pa.nulls(len(table), field.type)
                    for field in self._schema
                ]
            self._held[group] = pa.table(arrays, schema=self._schema)
            self._bytes += self._held[group].nbytes
            while self._bytes > CACHE_BYTES and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
        self._held.move_to_end(group)
        return self._held[group]


def _gather(wanted: Sequence[tuple[_Group, np.ndarray]], order: np.ndarray, cache: _GroupCache) -> pa.Table:
    """The rows at `order`; `wanted`: row groups, each with the mask of the rows that come from it."""
    taken = [cache.get(group).take(order[mask] - group.start) for group, mask in wanted]
    if len(taken) == 1:
        return taken[0]
    back = np.argsort(np.concatenate([np.flatnonzero(mask) for _, mask in wanted]))
    return pa.concat_tables(taken).combine_chunks().take(back)


def part_writer(path: Path, schema: pa.Schema, kind: PartKind) -> pq.ParquetWriter:
    """Writes parts as all of them are written; use as a context manager."""
    coded: Any = [name for name in schema.names if name not in kind.plain]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=coded,
        write_page_checksum=True,
        data_page_size=GROUP_BYTES,
    )
