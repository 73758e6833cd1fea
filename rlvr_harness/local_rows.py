"""Local copies of data sets, read as rows: one file (.jsonl, .json, either gzipped), or one file per problem."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr_harness.errors import TaskError


def read_file(path: Path, task: str) -> list[dict[str, Any]]:
    """The rows of a .jsonl file, or of a .json file that holds a list or an object of rows."""
    return _parse(path, _read_text(path, task), task)


def read_each(folder: Path, file_name: str, fields: Mapping[str, str], task: str) -> list[dict[str, Any]]:
    """One row per `folder/*/file_name`, in the order of the folders' numbers.

    `fields`: field of the task -> jinja template over the file's own fields and `folder`, the path it lies in.
    """
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined)
    templates = {field: environment.from_string(template) for field, template in fields.items()}
    rows = []
    for path in sorted(folder.glob(f"*/{file_name}"), key=lambda path: (len(path.parent.name), path.parent.name)):
        try:
            content = json.loads(path.read_text(encoding="utf-8")) | {"folder": str(path.parent)}
            rows.append({field: template.render(content) for field, template in templates.items()})
        except (OSError, ValueError, TypeError, jinja2.TemplateError) as error:
            raise TaskError(f"task '{task}': {path} cannot be read as a problem: {error}") from error
    return rows


def _read_text(path: Path, task: str) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TaskError(f"task '{task}': {path} cannot be read: {error}") from error


def _parse(path: Path, text: str, task: str) -> list[dict[str, Any]]:
    if ".json" in path.suffixes or text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise TaskError(f"task '{task}': {path} line {error.lineno} is not JSON: {error.msg}") from error
        numbered = list(enumerate(rows.values() if isinstance(rows, dict) else rows, start=1))
    else:
        numbered = []
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    numbered.append((number, json.loads(line)))
                except json.JSONDecodeError as error:
                    raise TaskError(f"task '{task}': {path} line {number} is not JSON: {error.msg}") from error
    for number, row in numbered:
        if not isinstance(row, dict):
            raise TaskError(f"task '{task}': {path} row {number} is not an object with fields")
    return [row for _, row in numbered]
