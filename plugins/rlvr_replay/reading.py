"""Rows of sample files, one batch of columns at a time: JSONL (plain, .gz, .zst) and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness import ModelError, first_line

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
COLUMNS = ("problem_id", "text", "index", "finish_reason", "n_tokens", "logprob_sum", "task")
BATCH_ROWS = 2048
"""Rows in memory at once: 6 MB of texts of 3 kB."""


@dataclass(frozen=True)
class Batch:
    """Columns of some rows of one file, all equally long; a column that the file lacks is None."""

    where: str
    first_row: int
    columns: Mapping[str, list[Any] | None]

    def row(self, number: int) -> str:
        """What a message calls a row: file and line, counted from 1."""
        return f"{self.where}, row {self.first_row + number + 1:,}"


def sample_files(path: str, task: str, role: str) -> list[Path]:
    """The files that hold a task's samples, in order of name. Raises ModelError where there is none.

    PATH is a file, a folder of files, a run folder (`samples/<task>/<role>`), or a folder with a file or folder that is
    named after the task.
    """
    place = Path(path)
    if place.is_file():
        if not place.name.endswith(ENDINGS):
            raise ModelError(f"samples '{path}': not one of {', '.join(ENDINGS)}")
        return [place]
    if not place.is_dir():
        raise ModelError(f"samples '{path}': no such file or folder")
    if (place / "samples").is_dir():
        place = place / "samples" / task / role
        if not place.is_dir():
            raise ModelError(f"samples '{path}': this run has no samples of model '{role}' on task '{task}'")
    named = [place / f"{task}{ending}" for ending in ENDINGS if (place / f"{task}{ending}").is_file()]
    if named:
        return named
    folder = place / task if (place / task).is_dir() else place
    found = sorted(file for file in folder.iterdir() if file.is_file() and file.name.endswith(ENDINGS))
    if not found:
        raise ModelError(f"samples '{folder}': no {', '.join(ENDINGS)} file in this folder")
    return found


def read_batches(file: Path) -> Iterator[Batch]:
    """The rows of a file. Raises ModelError naming file and row of a fault."""
    yield from _parquet(file) if file.suffix == ".parquet" else _jsonl(file)


def _parquet(file: Path) -> Iterator[Batch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            names = [name for name in COLUMNS if name in opened.schema_arrow.names]
            _check_names(file, names)
            first = 0
            for batch in opened.iter_batches(batch_size=BATCH_ROWS, columns=names):
                columns = {name: batch.column(name).to_pylist() if name in names else None for name in COLUMNS}
                yield Batch(str(file), first, columns)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise ModelError(f"samples '{file}': damaged or no Parquet file: {first_line(error)}") from error


def _jsonl(file: Path) -> Iterator[Batch]:
    rows: list[dict[str, Any]] = []
    first = 0
    for number, line in enumerate(_lines(file)):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ModelError(f"samples '{file}', row {number + 1:,}: not JSON: {first_line(error)}") from error
        if not isinstance(row, dict):
            raise ModelError(f"samples '{file}', row {number + 1:,}: not an object with problem_id and text")
        _check_names(file, row, number)
        rows.append(row)
        if len(rows) == BATCH_ROWS:
            yield _as_batch(file, first, rows)
            first, rows = number + 1, []
    if rows:
        yield _as_batch(file, first, rows)


def _lines(file: Path) -> Iterator[bytes]:
    """Lines that are not blank, unpacked as the file's name says."""
    import pyarrow as pa

    rest = b""
    try:
        with pa.input_stream(str(file), compression="detect") as stream:
            while block := stream.read(1 << 20):
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                yield from (line for line in lines if line.strip())
    except (pa.ArrowException, OSError) as error:
        raise ModelError(f"samples '{file}': cannot be read: {first_line(error)}") from error
    if rest.strip():
        yield rest


def _as_batch(file: Path, first: int, rows: list[dict[str, Any]]) -> Batch:
    columns = {name: [row.get(name) for row in rows] if any(name in row for row in rows) else None for name in COLUMNS}
    return Batch(str(file), first, columns)


def _check_names(file: Path, names: Any, number: int | None = None) -> None:
    lacking = [name for name in ("problem_id", "text") if name not in names]
    if lacking:
        where = f"samples '{file}'" + (f", row {number + 1:,}" if number is not None else "")
        raise ModelError(f"{where}: lacks the column '{lacking[0]}'; needed are problem_id and text")
