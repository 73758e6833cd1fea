"""Texts of samples by the place of their rows, one row group at a time, the last used ones kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rlvr_harness.parts.columns import MEBIBYTE, SAMPLES
from rlvr_harness.parts.naming import Part
from rlvr_harness.parts.reading import damage_named, open_part

CACHE_BYTES = 96 * MEBIBYTE
"""Decoded texts kept: a problem's thousand samples of each of several models, which turning pages asks for again."""
Where = tuple[int, int]
"""Number of the part, number of the row in it."""


@dataclass(frozen=True)
class _Group:
    path: Path
    number: int


class Texts:
    """Reads texts from the parts of a run folder; safe for many threads."""

    def __init__(self, root: Path, cache_bytes: int = CACHE_BYTES) -> None:
        """Nothing is read yet."""
        self._root = root
        self._limit = cache_bytes
        self._lock = threading.Lock()
        self._starts: dict[Path, np.ndarray] = {}
        self._held: OrderedDict[_Group, Any] = OrderedDict()
        self._bytes = 0

    def get(self, parts: Mapping[int, Part], places: Sequence[Where]) -> list[str]:
        """The texts of these rows, in their order. Raises PartVanished when a part was merged into another one."""
        return [_decoded(scalar) for scalar in self._scalars(parts, places)]

    def containing(self, parts: Mapping[int, Part], places: Sequence[Where], words: str) -> list[bool]:
        """For each of these rows whether its text contains the words, in whatever case."""
        sought = words.lower()
        return [sought in text.lower() for text in self.get(parts, places)]

    def _scalars(self, parts: Mapping[int, Part], places: Sequence[Where]) -> list[bytes]:
        found: dict[int, bytes] = {}
        by_group: dict[_Group, list[tuple[int, int]]] = {}
        for order, (part, row) in enumerate(places):
            path = parts[part].path
            starts = self._starts_of(path)
            number = int(np.searchsorted(starts, row, side="right")) - 1
            by_group.setdefault(_Group(path, number), []).append((order, row - int(starts[number])))
        for group, rows in by_group.items():
            held = self._group(group)
            for order, row in rows:
                found[order] = held[row].as_py() or b""
        return [found[order] for order in range(len(places))]

    def _starts_of(self, path: Path) -> np.ndarray:
        """Number of the first row of each row group."""
        if path not in self._starts:
            with damage_named(self._root, path, SAMPLES), open_part(path, SAMPLES) as file:
                sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            self._starts[path] = np.cumsum([0, *sizes[:-1]])
        return self._starts[path]

    def _group(self, group: _Group) -> Any:
        with self._lock:
            if group in self._held:
                self._held.move_to_end(group)
                return self._held[group]
        with damage_named(self._root, group.path, SAMPLES), open_part(group.path, SAMPLES) as file:
            column = file.read_row_group(group.number, columns=["text"]).column(0)
            # As bytes: a foreign writer may have stored what is no UTF-8, and one such text must not hide the others.
            read = pa.concat_arrays([_as_bytes(chunk) for chunk in column.chunks])
        with self._lock:
            if group not in self._held:
                self._held[group] = read
                self._bytes += read.nbytes
            while self._bytes > self._limit and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
        return read


def _as_bytes(chunk: Any) -> Any:
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    return chunk.cast(pa.large_binary())


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")
