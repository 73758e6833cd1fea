"""Tasks from a `tasks.json`: {"tasks": {name: {style, entry, oracle, atol, inputs, expected, time_limit_s, ...}}}."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.records import CodeTask, Limits, Style

# A verdict on a program that never ends should come a few seconds after its limit, though it is run twice.
_WALL_FACTOR, _WALL_SLACK_S = 1.5, 0.5
_SETTINGS = ("atol", "rtol", "dataset", "starts", "class_optional")
SECRET = "@SECRET@"


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises TaskInvalid."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TaskInvalid(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TaskInvalid(f"{path} is not JSON: {error}") from error


def read_tasks(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The tasks of a file, as it writes them. Raises TaskInvalid."""
    content = read_json(path)
    tasks = content.get("tasks") if isinstance(content, dict) else None
    if not isinstance(tasks, dict) or not all(isinstance(task, dict) for task in tasks.values()):
        raise TaskInvalid(f'{path} holds no tasks: it must be {{"tasks": {{NAME: {{...}}}}}}')
    return tasks


def read_program(path: Path) -> str:
    """A program's text; bytes that are no UTF-8 stay wrong, so that Python will refuse them. Raises TaskInvalid."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise TaskInvalid(f"{path} cannot be read: {error.strerror}") from error


def task_of(name: str, written: Mapping[str, Any], secret: str = SECRET) -> CodeTask:
    """The task, with `secret` in the place of @SECRET@. Raises TaskInvalid."""
    usual = Limits()
    try:
        written = json.loads(json.dumps(written).replace(SECRET, secret))
        limit_s = float(written.get("time_limit_s", usual.cpu_s))
        limits = Limits(
            cpu_s=limit_s,
            wall_factor=_WALL_FACTOR,
            wall_slack_s=_WALL_SLACK_S,
            total_cpu_s=limit_s * len(written["inputs"]),
            memory_mb=int(written.get("memory_limit_mb", usual.memory_mb)),
        )
        return CodeTask(
            name=name,
            style=Style(written["style"]),
            inputs=written["inputs"],
            expected=written["expected"],
            entry=written.get("entry"),
            oracle=str(written.get("oracle", "equal")),
            settings={key: written[key] for key in _SETTINGS if key in written},
            prelude=str(written.get("prelude", "")),
            limits=limits,
        )
    except KeyError as error:
        raise TaskInvalid(f"task {name} has no {error}") from error
    except (TypeError, ValueError) as error:
        raise TaskInvalid(f"task {name}: {error}") from error
