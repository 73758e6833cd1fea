"""Frames between judge, zygote and program: a kind (one byte), a length (four bytes, little-endian), a body.

judge to zygote: C settings (JSON, once), J job (number, JSON: limits, no text), B its body (read by the child only),
    S stop (number)
zygote to judge: H hello (JSON, once), T one test (`Report`), D done (`clean`; empty: replace the box)
child to zygote: R body read, C confined and about to start, X could not confine, V value, E exception, L too large
All that follows C on the child's pipe may have been written by the program.
"""

from __future__ import annotations

import json
import marshal
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

_HEAD = struct.Struct("<cI")
_PARTS_VERSION = 2  # of marshal: every Python reads it, and it shares no object between two places
_REPORT = struct.Struct("<IdddBHI")
_ENDS = ("returned", "raised", "timeout", "memory", "output", "died", "lost")  # the values of `records.Exit`
_END_NUMBERS = {how: number for number, how in enumerate(_ENDS)}
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


def pack_reports(reports: Iterable[Report], peak_mb: float) -> bytes:
    """A frame that holds them all, with that much memory for each."""
    parts = list[bytes]()
    for test, cpu_s, wall_s, _, how, detail, output in reports:
        text = detail.encode("utf-8", "replace") if detail else b""
        parts.append(_REPORT.pack(test, cpu_s, wall_s, peak_mb, _END_NUMBERS[how], len(text), len(output)))
        parts += (text, output)
    return frame(b"T", b"".join(parts))


def unpack_reports(body: bytes) -> Iterator[Report]:
    """The reports in a frame. Raises ValueError or struct.error at bytes that are none."""
    at = 0
    while at < len(body):
        test, cpu_s, wall_s, peak_mb, how, detail_size, output_size = _REPORT.unpack_from(body, at)
        output_at = at + _REPORT.size + detail_size
        detail = body[output_at - detail_size : output_at].decode("utf-8", "replace")
        at = output_at + output_size
        if how >= len(_ENDS) or at > len(body):
            raise ValueError("not a report")
        yield Report(test, cpu_s, wall_s, peak_mb, _ENDS[how], detail, body[output_at:at])


def head(data: bytes | bytearray, at: int = 0) -> tuple[bytes, int]:
    """Kind and length of the body, from the first `HEAD_SIZE` bytes there."""
    kind, size = _HEAD.unpack_from(data, at)
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
    data = os.read(descriptor, min(size, 1 << 20))
    if len(data) == size:
        return data
    parts, part = [data], data
    while size := size - len(part):
        part = data and os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise Broken("the stream ended")
        parts.append(part)
    return b"".join(parts)


def read(descriptor: int) -> Frame:
    """The next frame; Broken at the end of the stream."""
    kind, size = head(read_exactly(descriptor, HEAD_SIZE))
    return Frame(kind, read_exactly(descriptor, size))


def pack_parts(parts: Sequence[bytes]) -> bytes:
    """Several byte strings as one."""
    return marshal.dumps(list(parts), _PARTS_VERSION)


def unpack_parts(data: bytes) -> list[bytes]:
    """The strings that `pack_parts` was given. Only for what the judge wrote: marshal trusts its bytes."""
    return marshal.loads(data)  # type: ignore[no-any-return]
