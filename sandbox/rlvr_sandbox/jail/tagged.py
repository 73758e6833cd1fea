"""Python values as tagged bytes and back: how inputs enter the jail and outputs leave it. Never pickle, never repr.

`encode` goes by the exact base type and the base class's own methods, so a subclass (defaultdict, Counter, namedtuple,
np.float64) arrives as its base content, whatever its methods claim. `decode` distrusts every byte. A value is a tag
byte and its body; containers give a count, and their items follow: the order is that of a walk from the root.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .reading import DTYPE, MAX_DEPTH, MAX_EQUAL_HASHES, MAX_EXPONENT, Caps, Malformed, Opaque, decode

__all__ = [
    "MAX_DEPTH",
    "MAX_EQUAL_HASHES",
    "MAX_EXPONENT",
    "Caps",
    "Malformed",
    "Opaque",
    "TooLarge",
    "decode",
    "encode",
]

_LENGTH = struct.Struct("<I")
_FLOAT = struct.Struct("<d")
_COMPLEX = struct.Struct("<dd")


class TooLarge(ValueError):
    """The value does not fit the size limit, or nests deeper than `MAX_DEPTH` (a cycle ends here)."""


def _counted(tag: bytes, body: bytes) -> bytes:
    return tag + _LENGTH.pack(len(body)) + body


def _array(value: Any, numpy: Any) -> bytes:
    """A numpy array or scalar: dtype, then (array) the dimensions, then the values as they lie in memory."""
    array = numpy.asarray(value) if issubclass(type(value), numpy.generic) else value.view(numpy.ndarray)
    kind = array.dtype.str.encode()
    if not DTYPE.fullmatch(kind):
        return _opaque(value)
    tag = b"S" if issubclass(type(value), numpy.generic) else b"A"
    shape = b",".join(b"%x" % n for n in array.shape)
    return tag + _counted(b"", kind) + _counted(b"", shape) + _counted(b"", array.tobytes())


def _opaque(value: object) -> bytes:
    name = type.__dict__["__name__"].__get__(type(value))
    return _counted(b"o", name[:100].encode("utf-8", "surrogatepass"))


def _fraction(value: Any) -> bytes:
    return _counted(b"Q", b"%x/%x" % (int.__index__(value._numerator), int.__index__(value._denominator)))


# Order matters: bool is an int. A leaf gives its bytes; a container gives its items.
_LEAVES: tuple[tuple[type, Callable[[Any], bytes]], ...] = (
    (type(None), lambda _: b"N"),
    (bool, lambda v: b"T" if v else b"F"),
    (int, lambda v: _counted(b"i", b"%x" % int.__index__(v))),
    (float, lambda v: b"f" + _FLOAT.pack(float.__float__(v))),
    (str, lambda v: _counted(b"s", str.encode(v, "utf-8", "surrogatepass"))),
    (complex, lambda v: b"c" + _COMPLEX.pack(complex.real.__get__(v), complex.imag.__get__(v))),
    (bytes, lambda v: _counted(b"b", bytes.__getitem__(v, slice(None)))),
    (bytearray, lambda v: _counted(b"y", bytes(bytearray.__getitem__(v, slice(None))))),
    (range, lambda v: _counted(b"r", b"%x,%x,%x" % (v.start, v.stop, v.step))),
    (Decimal, lambda v: _counted(b"D", Decimal.__str__(v).encode())),
    (Fraction, _fraction),
)
_CONTAINERS: tuple[tuple[type, bytes, Callable[[Any], list[Any]]], ...] = (
    (list, b"l", lambda v: list.__getitem__(v, slice(None))),
    (tuple, b"t", lambda v: [*tuple.__iter__(v)]),
    (dict, b"d", lambda v: [part for pair in dict.items(v) for part in pair]),
    (set, b"e", lambda v: [*set.__iter__(v)]),
    (frozenset, b"z", lambda v: [*frozenset.__iter__(v)]),
)
_EXACT_LEAVES = dict(_LEAVES)
_SIZED = (str, list, tuple, dict, bytes, bytearray, set, frozenset)
_SHORT = 1 << 62  # integers up to here are written without looking further


def _least_size(value: Any) -> int:
    """Bytes that the value takes at least, told without making a copy of it."""
    kind = type(value)
    if kind in _SIZED:
        return len(value)
    if issubclass(kind, int):
        return int.bit_length(value) // 4
    return next((base.__len__(value) for base in _SIZED if issubclass(kind, base)), 0)


def _leaf(value: Any) -> bytes:
    write = next((write for base, write in _LEAVES if issubclass(type(value), base)), None)
    numpy = sys.modules.get("numpy")
    if write is None and numpy is not None and issubclass(type(value), (numpy.ndarray, numpy.generic)):
        return _array(value, numpy)
    return write(value) if write is not None else _opaque(value)


def _parts(value: Any) -> tuple[bytes, list[Any]] | None:
    """The tag and the items of a container; None for anything else."""
    if type(value) is list:
        return b"l", value[:]
    return next(((tag, items(value)) for base, tag, items in _CONTAINERS if issubclass(type(value), base)), None)


def encode(value: Any, limit: int) -> bytes:
    """The value as at most `limit` bytes. Raises TooLarge beyond that, or for nesting deeper than `MAX_DEPTH`."""
    out: list[bytes] = []
    size = 0
    items: Iterator[Any] = iter((value,))
    outer: list[Iterator[Any]] = []
    while True:
        for item in items:
            if type(item) is int and -_SHORT < item < _SHORT:
                digits = b"%x" % item
                body = b"i%c\0\0\0%b" % (len(digits), digits)
            else:
                if size + _least_size(item) > limit:
                    raise TooLarge(f"encodes to more than {limit} bytes")
                write = _EXACT_LEAVES.get(type(item))
                container = _parts(item) if write is None else None
                if container is not None:
                    if len(outer) >= MAX_DEPTH:
                        raise TooLarge(f"nests deeper than {MAX_DEPTH}")
                    out.append(container[0] + _LENGTH.pack(len(container[1])))
                    size += 5
                    outer.append(items)
                    items = iter(container[1])
                    break
                body = write(item) if write is not None else _leaf(item)
            size += len(body)
            out.append(body)
        else:
            if not outer:
                break
            items = outer.pop()
    if size > limit:
        raise TooLarge(f"encodes to more than {limit} bytes")
    return b"".join(out)
