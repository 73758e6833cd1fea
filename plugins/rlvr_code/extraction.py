"""Where the program stands in a completion. Nothing is run; every function is pure and takes any text."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPENING = re.compile(r"```[ \t]*(?P<label>[A-Za-z0-9+#_.-]*)[ \t]*\Z")  # "So: ```python"
_ANSWER = re.compile(r"<answer>((?:(?!</?answer>).)*)</answer>", re.DOTALL)
_THOUGHT_END = "</think>"
_THOUGHT_BEGIN = "<think>"
_PYTHON_LABELS = frozenset({"python", "python3", "py", "py3"})


@dataclass(frozen=True, slots=True)
class Block:
    """A complete fenced block: its label in small letters, empty where there is none, and what stands in it."""

    label: str
    code: str

    @property
    def is_python(self) -> bool:
        """Whether it says so itself."""
        return self.label in _PYTHON_LABELS


def fenced_blocks(text: str) -> list[Block]:
    """All complete blocks between lines of three backticks, in order.

    A line that opens a Python block ends no block: what stands before it was never closed, and is dropped.
    """
    blocks: list[Block] = []
    label: str | None = None
    indent, lines = 0, list[str]()
    for line in text.replace("\r\n", "\n").split("\n"):
        opening = _OPENING.search(line)
        starts = opening is not None and (label is None or opening["label"].lower() in _PYTHON_LABELS)
        if opening is not None and starts:
            label, lines = opening["label"].lower(), []
            indent = len(line) - len(line.lstrip()) if line.lstrip().startswith("```") else 0
        elif label is not None and line.lstrip().startswith("```"):
            blocks.append(Block(label, "\n".join(lines) + "\n"))
            label = None
        elif label is not None:
            lines.append(line[indent:] if not line[:indent].strip() else line)
    return [block for block in blocks if block.code.strip()]


def last_program(text: str, entry: str | None = None) -> str | None:
    """The last complete Python block; with `entry` the last that defines it, where there is one.

    A block without a label counts where none says that it is Python.
    """
    blocks = [block for block in fenced_blocks(text) if block.is_python or not block.label]
    named = [block for block in blocks if entry and defines(block.code, entry)]
    chosen = named or [block for block in blocks if block.is_python] or blocks
    return chosen[-1].code if chosen else None


def defines(code: str, entry: str) -> bool:
    """Whether a line of the code begins to define that name, or for `Solution.f` the class or the function."""
    names = "|".join(map(re.escape, entry.split(".")))
    return (
        re.search(rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+(?:{names})\b|^(?:{names})[ \t]*=", code, re.M)
        is not None
    )


def after_thought(text: str) -> str | None:
    """What follows the last `</think>`; the whole text where nothing was thought, None where thinking never ended."""
    _, ended, rest = text.rpartition(_THOUGHT_END)
    if ended:
        return rest
    return None if _THOUGHT_BEGIN in text else text


def last_answer(text: str) -> str | None:
    """What the last complete, non-empty `<answer>...</answer>` holds."""
    found = [match[1] for match in _ANSWER.finditer(text) if match[1].strip()]
    return found[-1] if found else None
