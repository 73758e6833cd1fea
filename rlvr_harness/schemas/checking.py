"""Reads results.json, and says in one line what is wrong with it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rlvr_harness.errors import RunFolderError
from rlvr_harness.run_reader import read_json
from rlvr_harness.schemas.results import Results

SHOWN = 60
"""Characters of a wrong value that the line shows: enough to know it by."""


def read_results(folder: Path, whole: bool = False) -> dict[str, Any]:
    """The results.json of a folder; raises RunFolderError where something in it is of another type or out of range.

    What is absent is no fault unless they must be `whole`, so that results of earlier versions are read; but schema and
    tasks must be there.
    """
    path = folder / "results.json"
    try:
        content = read_json(folder, "results.json")
    except RunFolderError as error:
        if not path.is_file():
            raise
        raise RunFolderError(f"{error}; {_way_out(folder)}") from error
    try:
        Results.model_validate(content)
    except ValidationError as error:
        faults = [fault for fault in error.errors(include_url=False) if whole or _counts(fault)]
        if faults:
            more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
            raise RunFolderError(f"{path} is damaged: {_line(faults[0])}{more}; {_way_out(folder)}") from error
    return content


def _way_out(folder: Path) -> str:
    again = f"`rlvr-harness resume {shlex.quote(str(folder))}`"
    return f"{again} writes it anew from the samples, an import is to be repeated"


def _counts(fault: Any) -> bool:
    return fault["type"] != "missing" or fault["loc"] in (("schema",), ("tasks",))


def _line(fault: Any) -> str:
    """The place, and what is wrong there: "tasks.t.problems: Input should be a valid integer, not \\"x\\""."""
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return f"'{where}' is missing"
    shown = json.dumps(fault["input"], default=str)
    return f"{where}: {fault['msg']}, not {shown if len(shown) <= SHOWN else shown[:SHOWN] + '...'}"
