"""`lines`: standard output as text."""

from __future__ import annotations

from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.oracles.contract import Accepts
from rlvr_sandbox.records import CodeTask


def stripped_lines(text: str) -> list[str]:
    """The lines of the stripped text, each stripped: '1 2 \\n\\n' -> ['1 2']."""
    return [line.strip() for line in text.strip().split("\n")]


def as_text(output: bytes) -> str:
    """Standard output as text; bytes that are not UTF-8 stay told apart."""
    return output.decode("utf-8", "surrogateescape")


def expected_lines(task: CodeTask) -> list[list[str]]:
    """The expected texts of a task as lines. Raises TaskInvalid where one is not a text."""
    if not all(isinstance(text, str) for text in task.expected):
        raise TaskInvalid(f"task {task.name}: oracle {task.oracle} needs texts as expected answers of stdin tests")
    return [stripped_lines(text) for text in task.expected]


def lines(task: CodeTask) -> Accepts:
    """The same number of lines, each the same, blanks around the text and around each line left out."""
    expected = expected_lines(task)
    return lambda index, output: stripped_lines(as_text(output)) == expected[index]
