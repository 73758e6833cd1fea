"""The interpreter's own code in huge pages, which a forked child has without a page fault; else it has some eighty."""

# pathlib would lie in the memory of every program; these are a few plain calls.
# ruff: noqa: PTH123

from __future__ import annotations

import ctypes
import re
from typing import NamedTuple

_HUGE = 2 << 20
_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE_ANONYMOUS = 0x22
_MADV_HUGEPAGE, _MREMAP_MAYMOVE, _MREMAP_FIXED = 14, 1, 2
_ROLLUP = re.compile(r"^AnonHugePages:\s*([0-9]+) kB", re.MULTILINE)
_FAILED = ctypes.c_void_p(-1).value


class _Span(NamedTuple):
    """Addresses of the mapped file that holds the interpreter, up to the first page that is written to."""

    start: int
    end: int


def _interpreter() -> _Span | None:
    """Its headers, code and constants, where they lie in a row. None where that is not how they lie."""
    inside = ctypes.cast(ctypes.pythonapi.Py_GetVersion, ctypes.c_void_p).value or 0
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        rows = [row for row in (line.rstrip("\n").split(None, 5) for line in file) if len(row) == 6]
    run, run_path = _Span(0, 0), ""
    for addresses, rights, *_, path in rows:
        start, end = (int(text, 16) for text in addresses.split("-"))
        goes_on = path == run_path and start == run.end and rights in ("r--p", "r-xp")
        if not goes_on and run.start <= inside < run.end:
            break
        run, run_path = _Span(run.start if goes_on else start, end), path if rights in ("r--p", "r-xp") else ""
    return run if run.start <= inside < run.end and run_path else None


def _huge_kb() -> int:
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        found = _ROLLUP.search(file.read())
    return int(found[1]) if found else 0


def use() -> bool:
    """Puts a copy in huge pages in the place of this process's code; False, and nothing done, where there are none.

    What is in use is never writable.
    """
    try:
        span, before = _interpreter(), _huge_kb()
    except (OSError, ValueError):
        return False
    if span is None or span.end - span.start < _HUGE:
        return False
    return _move(_libc(), span, before)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    address, size = ctypes.c_void_p, ctypes.c_size_t
    libc.mmap.restype = libc.mremap.restype = address
    libc.mmap.argtypes = [address, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mremap.argtypes = [address, size, size, ctypes.c_int, address]
    libc.mprotect.argtypes = libc.madvise.argtypes = [address, size, ctypes.c_int]
    libc.munmap.argtypes = [address, size]
    return libc


def _move(libc: ctypes.CDLL, span: _Span, huge_kb: int) -> bool:
    length = span.end - span.start
    room = libc.mmap(None, length + _HUGE, _READ | _WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if room is None or room == _FAILED:
        return False
    copy, end = room + (span.start - room) % _HUGE, room + length + _HUGE  # a huge page begins where it will begin
    libc.madvise(copy, length, _MADV_HUGEPAGE)
    ctypes.memmove(copy, span.start, length)
    moved = (
        _huge_kb() > huge_kb
        and libc.mprotect(copy, length, _READ | _EXECUTE) == 0
        and libc.mremap(copy, length, length, _MREMAP_MAYMOVE | _MREMAP_FIXED, span.start) == span.start
    )
    left_over = [(room, copy), (copy + length, end)] if moved else [(room, end)]
    for first, last in left_over:
        if last > first:
            libc.munmap(first, last - first)
    return moved
