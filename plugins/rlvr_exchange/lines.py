"""Rows of JSONL files, plain or compressed, with what a message calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness import TaskError, first_line

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON object of a file; `where` is its file and line."""

    where: str
    content: Mapping[str, Any]

    def need(self, name: str, *kinds: type) -> Any:
        """A field of one of these types. Raises TaskError saying what was expected."""
        value = self.content.get(name)
        if name not in self.content or not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            found = f"is {shown(value)}" if name in self.content else "is missing"
            expected = " or ".join(_KIND_NAMES.get(kind, kind.__name__) for kind in kinds)
            raise TaskError(f"{self.where}: '{name}' {found}; expected {expected}")
        return value


_KIND_NAMES = {str: "a text", list: "a list", dict: "an object", int: "a number", float: "a number", bool: "true/false"}


def shown(value: object) -> str:
    """A value as a message shows it, cut to 60 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_jsonl(path: Path) -> bool:
    """Whether the file's name says JSONL."""
    return path.is_file() and path.name.endswith(ENDINGS)


def read_rows(path: Path) -> Iterator[Row]:
    """The objects of a JSONL file, blank lines left out. Raises TaskError naming file and line."""
    for number, line in _lines(path):
        where = f"{path} line {number}"
        try:
            content = json.loads(line)
        except ValueError as error:
            raise TaskError(f"{where} is not JSON: {first_line(error)}") from error
        if not isinstance(content, dict):
            raise TaskError(f"{where} is {shown(content)}, not a JSON object")
        yield Row(where, content)


def first_row(path: Path) -> Mapping[str, Any]:
    """The first object of a JSONL file; empty where there is none. Never raises."""
    try:
        return next((row.content for row in read_rows(path)), {}) if is_jsonl(path) else {}
    except TaskError:
        return {}


def read_object(path: Path) -> Mapping[str, Any]:
    """A small JSON file that may be missing or of another kind; empty then."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    import pyarrow as pa

    rest, number = b"", 0
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            while block := stream.read(BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    number += 1
                    if line.strip():
                        yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    except (pa.ArrowException, OSError) as error:
        raise TaskError(f"{path} cannot be read: {first_line(error)}") from error
    if rest.strip():
        yield number + 1, rest.removeprefix(b"\xef\xbb\xbf") if number == 0 else rest
