"""What an oracle is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.records import CodeTask

Accepts = Callable[[int, Any], bool]
"""Called with (test index, output): the decoded value of a function, or the bytes of standard output."""

Oracle = Callable[[CodeTask], Accepts]


def tolerance(task: CodeTask, name: str, default: float) -> float:
    """A setting that is a number of at least 0. Raises TaskInvalid."""
    value = task.settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise TaskInvalid(f"task {task.name}: setting {name} must be a number of at least 0, not {value!r}")
    return float(value)
