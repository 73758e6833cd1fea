"""Tagged bytes back to values, every byte distrusted. `tagged` says what they look like."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

MAX_DEPTH = 200
# Deeper numbers cost more than linear time to compare or normalise, and no task has such an answer.
MAX_EXPONENT = 10_000
MAX_FRACTION_DIGITS = 4_096
# Keys with one hash make a dict quadratic; honest data has -1 and -2, 1 and 1.0, and little else.
MAX_EQUAL_HASHES = 64
_LENGTH = struct.Struct("<I")
_FLOAT = struct.Struct("<d")
_COMPLEX = struct.Struct("<dd")
DTYPE = re.compile(rb"[<>|=][biufcSU][0-9]{1,4}")  # '<f8', '|S10'; never objects or records
_is_hex = re.compile(rb"-?[0-9a-f]+").fullmatch
_DECIMAL = re.compile(rb"-?(s?NaN[0-9]*|Infinity|[0-9.]+(E[+-]?[0-9]{1,9})?)")


class Malformed(ValueError):
    """The bytes are not an encoded value within the caps."""


class Opaque:
    """A value of a type that has no encoding; equal to nothing, itself included."""

    def __init__(self, type_name: str) -> None:
        """`type_name` is what the program called the type."""
        self.type_name = type_name

    def __eq__(self, other: object) -> bool:
        """False for everything."""
        return False

    def __hash__(self) -> int:
        """By identity, so that a set may hold one."""
        return id(self)


class Caps(NamedTuple):
    """What `decode` accepts: total bytes, nesting, values in all, and hex digits of one integer."""

    size: int
    depth: int = MAX_DEPTH
    nodes: int = 1_000_000
    digits: int = 100_000


class _Reader:
    """A cursor over distrusted bytes."""

    def __init__(self, data: bytes, caps: Caps) -> None:
        self.data, self.caps, self.at = data, caps, 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Malformed("cut short")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def counted(self) -> bytes:
        at = self.at + 4
        end = at + self.number()
        if end > len(self.data):
            raise Malformed("cut short")
        self.at = end
        return self.data[at:end]

    def number(self) -> int:
        at = self.at
        self.at += 4
        if self.at > len(self.data):
            raise Malformed("cut short")
        return _LENGTH.unpack_from(self.data, at)[0]  # type: ignore[no-any-return]

    def integer(self, text: bytes, digits: int | None = None) -> int:
        if len(text) > (self.caps.digits if digits is None else digits) or not _is_hex(text):
            raise Malformed("not an integer within the digits allowed")
        return int(text, 16)


def _read_range(reader: _Reader) -> Any:
    parts = [reader.integer(text) for text in reader.counted().split(b",")]
    if len(parts) != 3 or not parts[2]:
        raise Malformed("not a range")
    span = range(*parts)
    # Walking a range of 10**12 numbers would hold up the judge.
    return span if not span or (span[-1] - span[0]) // span.step < reader.caps.nodes else Opaque("range")


def _read_decimal(reader: _Reader) -> Any:
    text = reader.counted()
    if len(text) > reader.caps.digits or not _DECIMAL.fullmatch(text):
        raise Malformed("not a decimal number")
    value = Decimal(text.decode())
    if value.is_snan() or (value.is_finite() and abs(value.adjusted()) > MAX_EXPONENT):
        return Opaque("Decimal")
    return value


def _read_fraction(reader: _Reader) -> Any:
    over, _, under = reader.counted().partition(b"/")
    top, bottom = (reader.integer(text, MAX_FRACTION_DIGITS) for text in (over, under))
    return Fraction(top, bottom)


def _read_array(reader: _Reader) -> Any:
    kind, shape, body = reader.counted(), reader.counted(), reader.counted()
    if not DTYPE.fullmatch(kind):
        raise Malformed("not a dtype that is allowed")
    dims = [reader.integer(n, 16) for n in shape.split(b",") if n]
    try:
        import numpy
    except ImportError:
        return Opaque("ndarray")
    dtype = numpy.dtype(kind.decode())
    if len(dims) > 32 or len(body) > dtype.itemsize * reader.caps.nodes or any(not 0 <= n < 1 << 31 for n in dims):
        raise Malformed("an array beyond the caps")
    return numpy.frombuffer(body, dtype).reshape(dims).copy()


_READERS: dict[bytes, Callable[[_Reader], Any]] = {
    b"N": lambda _: None,
    b"T": lambda _: True,
    b"F": lambda _: False,
    b"i": lambda r: r.integer(r.counted()),
    b"f": lambda r: _FLOAT.unpack(r.take(8))[0],
    b"c": lambda r: complex(*_COMPLEX.unpack(r.take(16))),
    b"s": lambda r: r.counted().decode("utf-8", "surrogatepass"),
    b"b": lambda r: r.counted(),
    b"y": lambda r: bytearray(r.counted()),
    b"r": _read_range,
    b"D": _read_decimal,
    b"Q": _read_fraction,
    b"A": _read_array,
    b"S": lambda r: _read_array(r)[()],
    b"o": lambda r: Opaque(r.counted()[:100].decode("utf-8", "replace")),
}
_CONTAINER_TAGS = frozenset((b"l", b"t", b"d", b"e", b"z"))


def _keyed(items: list[Any], build: Callable[[Any], Any], source: Any) -> Any:
    hashes = [hash(item) for item in items]  # TypeError for a list or a dict, as in Python
    if len(items) - len(set(hashes)) > MAX_EQUAL_HASHES:
        raise Malformed("too many keys with one hash")
    return build(source)


def _build(tag: bytes, items: list[Any]) -> Any:
    if tag == b"l":
        return items
    if tag == b"t":
        return tuple(items)
    if tag == b"d":
        return _keyed(items[::2], dict, zip(items[::2], items[1::2], strict=True))
    return _keyed(items, set if tag == b"e" else frozenset, items)


def _walk(reader: _Reader) -> Any:
    data, nodes_left = reader.data, reader.caps.nodes
    open_: list[tuple[bytes, int, list[Any]]] = []
    tag, count, items = b"l", 1, list[Any]()  # what all is in
    while True:
        while len(items) == count:
            if not open_:
                return items[0]
            value = _build(tag, items)
            tag, count, items = open_.pop()
            items.append(value)
        kind = data[reader.at : reader.at + 1]
        reader.at += 1
        nodes_left -= 1
        if nodes_left < 0:
            raise Malformed(f"more than {reader.caps.nodes} values")
        if kind == b"i":
            items.append(reader.integer(reader.counted()))
        elif kind in _CONTAINER_TAGS:
            open_.append((tag, count, items))
            tag, count, items = kind, reader.number(), []
            if count > len(data) - reader.at or len(open_) > reader.caps.depth or (count % 2 and tag == b"d"):
                raise Malformed("a container beyond its bytes or the caps")
        elif kind in _READERS:
            items.append(_READERS[kind](reader))
        else:
            raise Malformed("an unknown tag" if kind else "cut short")


def read_leaf(data: bytes, at: int, caps: Caps) -> tuple[Any, int]:
    """The value, no container, that is found there, and where it ends."""
    reader = _Reader(data, caps)
    reader.at = at + 1
    return _READERS[data[at : at + 1]](reader), reader.at


def decode(data: bytes, caps: Caps) -> Any:
    """The value that the bytes stand for. Raises Malformed, and nothing else, on anything else."""
    if len(data) > caps.size:
        raise Malformed(f"more than {caps.size} bytes")
    reader = _Reader(data, caps)
    try:
        value = _walk(reader)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Malformed(str(error)) from error
    if reader.at != len(data):
        raise Malformed("bytes after the value")
    return value
