"""The index of a run folder's samples and verdicts: one duckdb table a place, which says where each row's text lies.

Texts stay in the parts. A table holds the rows that count, as `docs/run-folder.md` has it: of samples the first, of
verdicts the last that is not void, sorted by problem and index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from rlvr_harness.errors import HarnessError
from rlvr_harness.parts.columns import SAMPLES, VERDICTS, PartKind
from rlvr_harness.parts.naming import Part, live_parts
from rlvr_harness.parts.reading import KEY, PartVanished, part_batches

Connection = duckdb.DuckDBPyConnection
SAMPLE_COLUMNS = ("finish_reason", "n_tokens")
VERDICT_COLUMNS = ("outcome", "answer", "reason")
_ROW = "(part::BIGINT << 32) + row"
_TYPES = {"finish_reason": "VARCHAR", "n_tokens": "INTEGER", "outcome": "VARCHAR", "answer": "VARCHAR"}


class Numbering:
    """Problem ids of a task by number: those of its problems file in their order, then others as they are met."""

    def __init__(self, ids: Sequence[str]) -> None:
        """Starts with these ids."""
        self.ids = list(ids)
        self._numbers = {problem_id: number for number, problem_id in enumerate(self.ids)}

    def get(self, problem_id: str) -> int | None:
        """The number of an id, or None."""
        return self._numbers.get(problem_id)

    def encode(self, column: pa.Array[pa.StringScalar]) -> np.ndarray:
        """Numbers of a column of ids; new ids get the next ones."""
        encoded = column.dictionary_encode()
        numbers = [self._number(str(problem_id)) for problem_id in encoded.dictionary.to_pylist()]
        found: np.ndarray = np.array(numbers, dtype=np.int32)[np.asarray(encoded.indices)]
        return found

    def _number(self, problem_id: str) -> int:
        number = self._numbers.setdefault(problem_id, len(self.ids))
        if number == len(self.ids):
            self.ids.append(problem_id)
        return number


@dataclass(frozen=True)
class Table:
    """One state of a place: the duckdb table of its rows, and the parts that they lie in by their last number."""

    name: str
    rows: int = 0
    parts: dict[int, Part] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A folder of parts."""

    root: Path
    folder: Path
    kind: PartKind

    @property
    def columns(self) -> tuple[str, ...]:
        """What is indexed of a row beside its key and where it lies."""
        return SAMPLE_COLUMNS if self.kind is SAMPLES else VERDICT_COLUMNS


def load_place(connection: Connection, place: Place, numbering: Numbering, before: Table | None, name: str) -> Table:
    """The present state of a place as table `name`; `before` itself where nothing has changed.

    Only parts that are new are read. Raises PartVanished when one goes away meanwhile: begin again.
    """
    live = {part.last: part for part in live_parts(place.folder)}
    if before is not None and live == before.parts:
        return before
    known = dict(before.parts) if before is not None else {}
    gone = [part for last, part in known.items() if live.get(last) != part]
    if any(not any(new.covers(part) for new in live.values()) for part in gone):
        # A part that went away without a successor may have hidden rows of others.
        known, gone = {}, []
    kept = [last for last, part in known.items() if live.get(last) == part]
    _stage(connection, place, before.name if before is not None else None, kept)
    faults = [fault for fault in before.faults if kept] if before is not None else []
    for last, part in live.items():
        if last not in kept:
            faults += _add_part(connection, place, part, numbering)
    rows = _settle(connection, place, name)
    return Table(name, rows, live, tuple(faults))


def _stage(connection: Connection, place: Place, before: str | None, kept: Sequence[int]) -> None:
    columns = ", ".join(f"{column} {_TYPES.get(column, 'VARCHAR')}" for column in place.columns)
    connection.execute("DROP TABLE IF EXISTS staged")
    connection.execute(f'CREATE TABLE staged (problem INTEGER, "index" INTEGER, {columns}, part INTEGER, row INTEGER)')
    if before is not None and kept:
        connection.execute(f"INSERT INTO staged SELECT * FROM {before} WHERE part IN (SELECT unnest(?))", [list(kept)])


def _add_part(connection: Connection, place: Place, part: Part, numbering: Numbering) -> list[str]:
    """Stages the rows of a part; in words what is wrong with it, where something is."""
    arrays: list[list[object]] = []
    try:
        start = 0
        for batch in part_batches(place.root, part.path, place.kind, (*KEY, *place.columns)):
            where = [np.full(len(batch), part.last, np.int32), np.arange(start, start + len(batch), dtype=np.int32)]
            problem: pa.Array[pa.StringScalar] = batch.column(0)
            arrays.append([pa.array(numbering.encode(problem)), *batch.columns[1:], *map(pa.array, where)])
            start += len(batch)
    except HarnessError as error:
        return [str(error)]
    if not arrays:
        return []
    names = ["problem", "index", *place.columns, "part", "row"]
    rows = pa.table([pa.chunked_array(column) for column in zip(*arrays, strict=True)], names=names)
    connection.register("arrived", rows)
    connection.execute("INSERT INTO staged SELECT * FROM arrived")
    connection.unregister("arrived")
    return []


def _settle(connection: Connection, place: Place, name: str) -> int:
    """Makes the table of the rows that count, and gives their number."""
    kept = ", ".join((*place.columns, "part", "row"))
    rank = f"CASE outcome WHEN 'void' THEN -1 - ({_ROW}) ELSE {_ROW} END" if place.kind is VERDICTS else f"-({_ROW})"
    twice = connection.execute(
        'SELECT count(*), count(DISTINCT (problem::BIGINT << 32) + "index") FROM staged'
    ).fetchone()
    chosen = "staged"
    if twice is not None and twice[0] != twice[1]:
        packed = ", ".join(f"{column} := {column}" for column in kept.split(", "))
        chosen = (
            f'(SELECT problem, "index", unnest(kept) FROM (SELECT problem, "index", '
            f"arg_max(struct_pack({packed}), {rank}) AS kept FROM staged GROUP BY ALL))"
        )
    connection.execute(
        f'CREATE TABLE {name} AS SELECT problem, "index", {kept} FROM {chosen} ORDER BY problem, "index"'
    )
    connection.execute("DROP TABLE staged")
    return 0 if twice is None else int(twice[1])


__all__ = ["Connection", "Numbering", "PartVanished", "Place", "Table", "load_place"]
