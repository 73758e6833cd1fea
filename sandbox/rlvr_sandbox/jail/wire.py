"""Frames between judge, zygote and program: a kind (one byte), a length (four bytes, little-endian), a body.

judge to zygote: C settings (JSON, once), J job (number, JSON: limits, no text), B its body (read by the child only),
    S stop (number)
zygote to judge: H hello (JSON, once), T one test (`Report`), D done (`clean`; empty: replace the box)
child to zygote: R body read, C confined and about to start, X could not confine, V value, E exception, L too large
All that follows C on the child's pipe may have been written by the program.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

_HEAD = struct.Struct("<cI")
_SIZE = struct.Struct("<I")
_REPORT = struct.Struct("<IdddHH")
HEAD_SIZE = _HEAD.size
NUMBER_SIZE = 4
"""Of a job's number, little-endian."""


class Broken(OSError):
    """The other end is gone, or wrote something that is not a frame."""


class Frame(NamedTuple):
    """One message."""

    kind: bytes
    body: bytes


class Report(NamedTuple):
    """How one test went. `how` is a value of `records.Exit`."""

    test: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    how: str
    detail: str
    output: bytes

    def packed(self) -> bytes:
        """As the body of a frame."""
        how, detail = self.how.encode(), self.detail.encode("utf-8", "replace")
        return b"".join((_REPORT.pack(*self[:4], len(how), len(detail)), how, detail, self.output))

    @classmethod
    def of(cls, body: bytes) -> Report:
        """From the body of a frame."""
        test, cpu_s, wall_s, peak_mb, how_size, detail_size = _REPORT.unpack_from(body)
        at = _REPORT.size + how_size
        end = at + detail_size
        how, detail = body[_REPORT.size : at].decode(), body[at:end].decode("utf-8", "replace")
        return cls(test, cpu_s, wall_s, peak_mb, how, detail, body[end:])


def head(data: bytes | bytearray) -> tuple[bytes, int]:
    """Kind and length of the body, from the first `HEAD_SIZE` bytes."""
    kind, size = _HEAD.unpack_from(data)
    return kind, size


def write_all(descriptor: int, data: bytes) -> None:
    """Writes everything, however many calls that takes."""
    sent = os.write(descriptor, data)
    if sent == len(data):
        return
    view = memoryview(data)[sent:]
    while view:
        view = view[os.write(descriptor, view) :]


def frame(kind: bytes, body: bytes = b"") -> bytes:
    """One message as bytes."""
    return _HEAD.pack(kind, len(body)) + body


def write(descriptor: int, kind: bytes, body: bytes = b"") -> None:
    """Sends one frame."""
    write_all(descriptor, frame(kind, body))


def write_json(descriptor: int, kind: bytes, body: Any) -> None:
    """Sends one frame that holds JSON."""
    write(descriptor, kind, json.dumps(body).encode())


def read_exactly(descriptor: int, size: int) -> bytes:
    """That many bytes; Broken when the stream ends before."""
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise Broken("the stream ended")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read(descriptor: int) -> Frame:
    """The next frame; Broken at the end of the stream."""
    kind, size = head(read_exactly(descriptor, HEAD_SIZE))
    return Frame(kind, read_exactly(descriptor, size))


def pack_parts(parts: Sequence[bytes]) -> bytes:
    """Several byte strings as one."""
    return b"".join([_SIZE.pack(len(parts)), *(piece for part in parts for piece in (_SIZE.pack(len(part)), part))])


def unpack_parts(data: bytes) -> list[bytes]:
    """The strings that `pack_parts` was given."""
    count, at, parts = _SIZE.unpack_from(data)[0], 4, []
    for _ in range(count):
        size = _SIZE.unpack_from(data, at)[0]
        parts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return parts
