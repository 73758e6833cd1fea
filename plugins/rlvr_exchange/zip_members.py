"""Members of a zip file packed with deflate or zstd; the standard library of Python 3.11 unpacks no zstd."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rlvr_harness import TaskError, first_line

ZSTD = 93
"""Compression method number of the zip format."""
_LOCAL_HEADER = struct.Struct("<26x2H")
"""A member's own header is 30 bytes, the last four the lengths of its name and of its extra field."""


def member_names(path: Path) -> list[str]:
    """Names of the members, each once. Raises TaskError where the file is no zip file or is cut off."""
    try:
        with zipfile.ZipFile(path) as opened:
            return list(dict.fromkeys(opened.namelist()))
    except (OSError, zipfile.BadZipFile) as error:
        raise TaskError(f"{path} cannot be read as a zip file: {first_line(error)}") from error


def read_members(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of these members; of a name that stands twice the last one. Raises TaskError."""
    import pyarrow as pa

    try:
        with zipfile.ZipFile(path) as opened, path.open("rb") as raw:
            for name in names:
                info = opened.getinfo(name)
                content = _zstd(raw, info) if info.compress_type == ZSTD else opened.read(info)
                yield name, content
    except KeyError as error:
        raise TaskError(f"{path} lacks the member {error}") from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, struct.error, pa.ArrowException) as error:
        raise TaskError(f"{path} is damaged: {first_line(error)}") from error


def _zstd(raw: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    import pyarrow as pa

    raw.seek(info.header_offset)
    name_length, extra_length = _LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size))
    raw.seek(info.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
    packed = pa.py_buffer(raw.read(info.compress_size))
    with pa.input_stream(packed, compression="zstd") as stream:
        content = bytes(stream.read())
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename} has {len(content)} bytes, not {info.file_size}")
    return content
