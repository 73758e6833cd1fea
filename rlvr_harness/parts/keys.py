"""Which samples there are, in some bytes a problem rather than some hundred a sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr_harness.planning import SampleKey

Column: TypeAlias = "pa.Array[Any]"
_PAGE = 4096
"""Indices in one bitmap: the usual n fits into one page, and a lone large index costs at most 512 bytes."""


class KeySet(Set[SampleKey]):
    """A growing set of (problem_id, index): one bitmap for each problem and 4,096 indices.

    Compares equal to, and combines with, any other set of such pairs.
    """

    def __init__(self, keys: Iterable[SampleKey] = ()) -> None:
        """Holds `keys`."""
        self._pages: dict[int, dict[str, int]] = {}
        self._size = 0
        for key in keys:
            self.add(key)

    def __contains__(self, key: object) -> bool:
        """Whether the pair is held."""
        if not (isinstance(key, tuple) and len(key) == 2):
            return False
        problem_id, index = key
        page = self._pages.get(index // _PAGE)
        return page is not None and bool(page.get(problem_id, 0) >> index % _PAGE & 1)

    def __len__(self) -> int:
        """Number of pairs."""
        return self._size

    def __iter__(self) -> Iterator[SampleKey]:
        """The pairs, in no order to rely on."""
        for number, page in self._pages.items():
            for problem_id, bits in page.items():
                yield from ((problem_id, number * _PAGE + place) for place in _places(bits))

    def __repr__(self) -> str:
        """What it is and how large, not what it holds."""
        return f"<KeySet of {self._size:,} samples>"

    def add(self, key: SampleKey) -> bool:
        """Adds a pair; whether it is new."""
        problem_id, index = key
        page = self._pages.setdefault(index // _PAGE, {})
        bits = page.get(problem_id, 0)
        if bits >> index % _PAGE & 1:
            return False
        page[problem_id] = bits | 1 << index % _PAGE
        self._size += 1
        return True

    def add_columns(self, problem_ids: Column, indices: Column) -> np.ndarray:
        """Adds the pairs of two columns; bool, shape (rows,): which rows are the first of their pair."""
        if _scattered(problem_ids):
            rows: Iterator[Any] = zip(problem_ids.to_pylist(), indices.to_pylist(), strict=True)
            return np.fromiter((self.add(key) for key in rows), bool, len(problem_ids))
        new = np.ones(len(problem_ids), dtype=bool)
        index = np.asarray(indices, dtype=np.int64)
        for problem_id, number, at in _groups(problem_ids, index):
            places = index[at] % _PAGE
            flags = np.zeros(_PAGE, dtype=bool)
            flags[places] = True
            added = int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")
            held = self._pages.setdefault(number, {}).get(problem_id, 0)
            if held & added or added.bit_count() < len(at):
                new[at] = [self.add((problem_id, each)) for each in index[at].tolist()]
            else:
                self._pages[number][problem_id] = held | added
                self._size += len(at)
        return new

    def holds_columns(self, problem_ids: Column, indices: Column) -> np.ndarray:
        """Bool, shape (rows,): which rows' pairs are held."""
        if _scattered(problem_ids):
            rows = zip(problem_ids.to_pylist(), indices.to_pylist(), strict=True)
            return np.fromiter((key in self for key in rows), bool, len(problem_ids))
        held = np.zeros(len(problem_ids), dtype=bool)
        index = np.asarray(indices, dtype=np.int64)
        for problem_id, number, at in _groups(problem_ids, index):
            bits = self._pages.get(number, {}).get(problem_id, 0)
            flags = np.frombuffer(bits.to_bytes(_PAGE // 8, "little"), dtype=np.uint8)
            held[at] = np.unpackbits(flags, bitorder="little")[index[at] % _PAGE].astype(bool)
        return held

    @classmethod
    def _from_iterable(cls, it: Iterable[SampleKey]) -> KeySet:  # type: ignore[override]
        return cls(it)


def _scattered(problem_ids: Column) -> bool:
    """Whether the rows of a problem are so few that going one by one is quicker than problem by problem."""
    return len(problem_ids) < 64 * pc.count_distinct(problem_ids).as_py()


def _groups(problem_ids: Column, index: np.ndarray) -> Iterator[tuple[str, int, np.ndarray]]:
    """(problem, page, its rows in rising order) for every problem and page that occur."""
    if not len(problem_ids):
        return
    encoded = problem_ids.dictionary_encode()
    names: list[Any] = encoded.dictionary.to_pylist()
    pages = index // _PAGE
    low = int(pages.min())
    combined = np.asarray(encoded.indices, dtype=np.int64) + (pages - low) * len(names)
    order = np.argsort(combined, kind="stable")
    starts = np.flatnonzero(np.diff(combined[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        page, code = divmod(int(combined[rows[0]]), len(names))
        yield names[code], page + low, rows


def _places(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
