"""All samples of one task, found by problem and index: texts in a scratch file, 40 bytes a sample in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlvr_harness import FinishReason, ModelError, about_tokens
from rlvr_replay.reading import Batch, read_batches

REASONS = tuple(FinishReason)
LARGEST = 2**31 - 1
SHOWN = 3


@dataclass(frozen=True)
class Stored:
    """One sample as its file has it."""

    text: str
    finish_reason: FinishReason
    n_tokens: int
    logprob_sum: float | None


class Population:
    """The samples of a task's files. The scratch file lies in $TMPDIR, as long as the texts, and has no name there."""

    def __init__(self, files: Sequence[Path], task: str) -> None:
        """Reads every file once. Raises ModelError naming file and row of a fault."""
        self._source = str(files[0] if len(files) == 1 else files[0].parent)
        self._problems: dict[str, int] = {}
        self.estimated = False
        with ExitStack() as opened:
            self._scratch = opened.enter_context(tempfile.TemporaryFile(prefix="rlvr-replay-"))
            self._index(files, task)
            opened.pop_all()

    def close(self) -> None:
        """Drops the scratch file."""
        self._scratch.close()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._offsets)

    def get(self, problem_id: str, indices: Sequence[int]) -> list[Stored]:
        """Samples of a problem. Raises ModelError for an unknown problem, or where an index is missing."""
        code = self._problems.get(problem_id)
        if code is None:
            near = ", ".join(f"'{name}'" for name in list(self._problems)[:SHOWN])
            raise ModelError(
                f"samples '{self._source}' have no problem '{problem_id}'; they have {len(self._problems):,}, as {near}"
            )
        first, last = int(self._starts[code]), int(self._starts[code + 1])
        have = self._indices[first:last]
        wanted = np.asarray(indices, dtype=np.int64)
        places = np.searchsorted(have, wanted)
        missing = (places >= len(have)) | (have[np.minimum(places, len(have) - 1)] != wanted)
        if missing.any():
            raise ModelError(
                f"samples '{self._source}': problem '{problem_id}' has {len(have):,} samples, and not number "
                f"{int(wanted[missing][0]):,} (counted from 0); lower --n and --k, or give a file with more"
            )
        return [self._read(first + int(place)) for place in places]

    def _read(self, row: int) -> Stored:
        offset = int(self._offsets[row])
        content = os.pread(self._scratch.fileno(), int(self._lengths[row]), offset)
        logprob = float(self._logprobs[row])
        return Stored(
            content.decode("utf-8", "surrogatepass"),
            REASONS[self._reasons[row]],
            int(self._tokens[row]),
            logprob if logprob == logprob else None,
        )

    def _index(self, files: Sequence[Path], task: str) -> None:
        """Fills the scratch file, then sorts what is known of the rows by problem and index."""
        parts = [
            self._spool(batch, task) for file in files for batch in read_batches(file) if batch.columns["problem_id"]
        ]
        if not parts or not sum(len(part) for part in parts):
            raise ModelError(f"samples '{self._source}' hold none of task '{task}'")
        self._scratch.flush()
        rows: np.ndarray[Any, Any] = np.concatenate(parts)
        del parts
        _number(rows)
        rows = rows[np.lexsort((rows["index"], rows["problem"]))]
        twice = (rows["problem"][1:] == rows["problem"][:-1]) & (rows["index"][1:] == rows["index"][:-1])
        if twice.any():
            row = rows[1:][twice][0]
            name = list(self._problems)[row["problem"]]
            raise ModelError(f"samples '{self._source}': problem '{name}' has sample {row['index']:,} twice")
        self._starts = np.searchsorted(rows["problem"], np.arange(len(self._problems) + 1))
        self._indices, self._reasons = rows["index"].copy(), rows["reason"].copy()
        self._tokens, self._logprobs = rows["tokens"].copy(), rows["logprob"].copy()
        self._lengths = rows["length"].copy()
        self._offsets = rows["offset"].copy()

    def _spool(self, batch: Batch, task: str) -> np.ndarray[Any, Any]:
        """Writes the texts of a batch; what is known of its rows, index -1 where the file has none."""
        rows = np.zeros(len(batch.columns["problem_id"] or ()), dtype=ROW)
        filled = 0
        offset = self._scratch.tell()
        columns = [batch.columns[name] or [None] * len(rows) for name in ("problem_id", "text", "index", "task")]
        others = [batch.columns[name] or [None] * len(rows) for name in ("finish_reason", "n_tokens", "logprob_sum")]
        written: list[bytes] = []
        for number, (problem, text, index, of_task) in enumerate(zip(*columns, strict=True)):
            if of_task is not None and of_task != task:
                continue
            if problem is None or not isinstance(text, str):
                raise ModelError(f"samples {batch.row(number)}: problem_id and text must both be there")
            content = text.encode("utf-8", "surrogatepass")
            reason, tokens, logprob = (column[number] for column in others)
            self.estimated = self.estimated or tokens is None
            rows[filled] = (
                self._problems.setdefault(str(problem), len(self._problems)),
                _whole(batch, number, "index", index, -1),
                offset,
                len(content),
                _reason(batch, number, reason),
                _whole(batch, number, "n_tokens", tokens, 0) if tokens is not None else about_tokens(text),
                float("nan") if logprob is None else logprob,
            )
            filled, offset = filled + 1, offset + len(content)
            written.append(content)
        self._scratch.write(b"".join(written))
        return rows[:filled]


ROW = [
    *(("problem", "i4"), ("index", "i4"), ("offset", "i8"), ("length", "i4")),
    *(("reason", "i1"), ("tokens", "i4"), ("logprob", "f8")),
]


def _number(rows: np.ndarray[Any, Any]) -> None:
    """Numbers the samples of each problem in the order of the file, where no row has an index."""
    without = rows["index"] < 0
    if not without.any():
        return
    if not without.all():
        raise ModelError("samples: some rows have an index and some have none; give it in all rows or in none")
    order = np.argsort(rows["problem"], kind="stable")
    codes = rows["problem"][order]
    starts = np.searchsorted(codes, codes)
    rows["index"][order] = np.arange(len(rows)) - starts


def _whole(batch: Batch, number: int, name: str, value: object, absent: int) -> int:
    if value is None:
        return absent
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise ModelError(f"samples {batch.row(number)}: {name} is {value!r}, not a whole number from 0 on")
    return value


def _reason(batch: Batch, number: int, value: object) -> int:
    """ "length" -> the place of FinishReason.LENGTH; a row without one ended by itself."""
    try:
        return REASONS.index(FinishReason(str(value or "stop")))
    except ValueError as error:
        known = ", ".join(reason.value for reason in REASONS)
        raise ModelError(f"samples {batch.row(number)}: finish_reason is {value!r}, not one of {known}") from error
