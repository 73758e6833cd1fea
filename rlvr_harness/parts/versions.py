"""The schema of run.json, and which schemas this version reads.

A minor number rises when something is added that may be absent (a column, a key of run.json): all folders of the same
major number and the same or an older minor number are read as they are, and written on under the present number. The
major number rises when the meaning of something stored changes: a folder of another one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr_harness.errors import RunFolderError

SCHEMA = "rlvr-harness/run/1.1"
"""1.1 added parts that replace others (`part-000031-from-000000.parquet`); 1 is 1.0."""
_FORM = re.compile(r"rlvr-harness/run/(\d+)(?:\.(\d+))?")


def check_schema(folder: Path, run: Mapping[str, Any]) -> None:
    """Raises RunFolderError unless this version reads folders of the schema that `run`, a run.json, names."""
    found = run.get("schema", SCHEMA)
    match, own = _FORM.fullmatch(str(found)), _FORM.fullmatch(SCHEMA)
    assert own is not None
    if match is None:
        raise RunFolderError(f"{folder}/run.json has schema '{found}', this version reads '{SCHEMA}' and older ones")
    major, minor = int(match[1]), int(match[2] or 0)
    if (major, minor) > (int(own[1]), int(own[2] or 0)):
        raise RunFolderError(
            f"{folder} was written under schema '{found}', this version reads up to '{SCHEMA}'; "
            "install a newer rlvr-harness"
        )
    if major != int(own[1]):
        raise RunFolderError(
            f"{folder} was written under schema '{found}', this version reads '{SCHEMA}' and older ones of the same "
            "major number; use the rlvr-harness that wrote it"
        )
