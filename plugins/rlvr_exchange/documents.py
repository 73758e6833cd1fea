"""Large JSON files read piece by piece: the elements of a list, or the members of an object, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rlvr_harness import TaskError, first_line

BLOCK_CHARACTERS = 1 << 20
_BLANK = " \t\r\n"


class JsonStream:
    """A cursor in an open JSON text; holds one value and a block in memory."""

    def __init__(self, opened: TextIO, path: Path) -> None:
        """Starts before the first character."""
        self._opened, self._path = opened, path
        self._decoder = json.JSONDecoder()
        self._buffer, self._place, self._line, self._ended = "", 0, 1, False

    @property
    def where(self) -> str:
        """File and line of the cursor."""
        return f"{self._path} line {self._line}"

    def peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            start = self._place
            while self._place < len(self._buffer) and self._buffer[self._place] in _BLANK:
                self._place += 1
            self._line += self._buffer.count("\n", start, self._place)
            if self._place < len(self._buffer) or not self._fill():
                return self._buffer[self._place : self._place + 1]

    def expect(self, mark: str) -> None:
        """Steps over a mark. Raises TaskError where another character stands."""
        if (found := self.peek()) != mark:
            raise TaskError(f"{self.where}: expected '{mark}', found {found!r}" if found else self._cut_off())
        self._place += 1

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                found, end = self._decoder.raw_decode(self._buffer, self._place)
            except json.JSONDecodeError as error:
                if self._fill():
                    continue
                if error.pos >= len(self._buffer):
                    raise TaskError(self._cut_off()) from error
                line = self._line + self._buffer.count("\n", self._place, error.pos)
                raise TaskError(f"{self._path} line {line} is not JSON: {error.msg}") from error
            # A number at the end of the block may go on in the next one.
            if end < len(self._buffer) or not self._fill():
                break
        self._line += self._buffer.count("\n", self._place, end)
        self._place = end
        return found

    def elements(self) -> Iterator[Any]:
        """The elements of the list at the cursor."""
        self.expect("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self.expect(",")
        self.expect("]")

    def members(self) -> Iterator[str]:
        """The keys of the object at the cursor; the caller must take each one's value before it asks for the next."""
        self.expect("{")
        while self.peek() != "}":
            key = self.value()
            if not isinstance(key, str):
                raise TaskError(f"{self.where}: expected a key in quotes, found {key!r}")
            self.expect(":")
            yield key
            if self.peek() != "}":
                self.expect(",")
        self.expect("}")

    def _fill(self) -> bool:
        """Reads on; twice as much each time one value needs it, so that a long value is not parsed over and over."""
        if self._ended:
            return False
        self._buffer = self._buffer[self._place :]
        self._place = 0
        block = self._opened.read(max(BLOCK_CHARACTERS, len(self._buffer)))
        self._buffer += block
        self._ended = not block
        return bool(block)

    def _cut_off(self) -> str:
        return f"{self._path} ends in the middle, at line {self._line}; is the file complete?"


def open_text(path: Path) -> TextIO:
    """The file as text. Raises TaskError."""
    try:
        return path.open(encoding="utf-8-sig")
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {first_line(error)}") from error


def list_elements(path: Path) -> Iterator[tuple[str, Any]]:
    """(file and line, element) of a JSON file that is one list. Raises TaskError."""
    with open_text(path) as opened:
        stream = JsonStream(opened, path)
        try:
            for element in stream.elements():
                yield stream.where, element
        except UnicodeDecodeError as error:
            raise TaskError(f"{path} is not UTF-8: {error.reason}") from error


def top_keys(path: Path, at_most: int = 4) -> list[str]:
    """The first keys of a JSON file that is one object, or of the first object of a list; never raises."""
    try:
        with open_text(path) as opened:
            stream = JsonStream(opened, path)
            if stream.peek() == "[":
                first = next(stream.elements(), None)
                return list(first) if isinstance(first, dict) else []
            found: list[str] = []
            for key in stream.members():
                found.append(key)
                if len(found) == at_most:
                    break
                stream.value()
            return found
    except (TaskError, UnicodeDecodeError):
        return []
