"""train.json, the record of a training: what was asked for, the plan, and versions; it decides what may go on."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlvr_harness.errors import RunFolderError, UsageError
from rlvr_harness.rewards.files import write_whole
from rlvr_harness.training_contracts import TrainingData, TrainingPlan, TrainingSpec
from rlvr_harness.training_problems import TrainingChoice, TrainingProblems, as_plain

NAME = "train.json"
MACHINE = ("python", "gpus", "nodes", "output")
"""Of a spec, what may differ when a training goes on: where it runs."""


def record_of(
    asked: tuple[str, TrainingChoice], spec: TrainingSpec, problems: TrainingProblems, data: TrainingData
) -> dict[str, Any]:
    """All that decides the training; `asked`: the backend's name and the choice of problems."""
    backend, choice = asked
    plain = {name: value for name, value in dataclasses.asdict(spec).items() if name not in MACHINE}
    return {
        "schema": 1,
        "backend": backend,
        "problems": as_plain(choice),
        "spec": {**plain, "options": dict(spec.options)},
        "data": {
            "rows": data.rows,
            "sha256": data.digest,
            "tasks": list(data.tasks),
            "sources": dict(problems.sources),
        },
        "contamination": [dataclasses.asdict(overlap) for overlap in problems.overlaps],
    }


def write_record(folder: Path, record: Mapping[str, Any], plan: TrainingPlan) -> None:
    """Writes train.json with the plan and the versions of now."""
    planned = {
        "command": list(plan.command),
        "environment": dict(plan.environment),
        "folder": str(plan.folder) if plan.folder else None,
        "notes": list(plan.notes),
        "config": dict(plan.config),
    }
    versions = {"rlvr-harness": version("rlvr-harness"), "python": platform.python_version()}
    whole = {**record, "plan": planned, "versions": versions}
    write_whole(folder / NAME, json.dumps(whole, indent=1, ensure_ascii=False, default=str) + "\n")


def check_same(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether a training of these very options was begun in the folder. Raises UsageError where it was another one."""
    path = folder / NAME
    if not path.is_file():
        return False
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); train into another folder with -o") from error
    now = json.loads(json.dumps(record, default=str))
    for part in ("backend", "problems", "spec"):
        if (fault := _difference(part, earlier.get(part), now[part])) is not None:
            raise UsageError(
                f"{folder} holds a training with {fault}; give the same options, or another folder with -o"
            )
    if earlier["data"]["sha256"] != now["data"]["sha256"]:
        raise UsageError(
            f"the training problems are not those that {folder} was begun with (sha256 {now['data']['sha256'][:12]}, "
            f"was {earlier['data']['sha256'][:12]}); bring the old data back, or train into another folder with -o"
        )
    return True


def _difference(part: str, before: Any, now: Any) -> str | None:
    """The first thing that differs, in words."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return None if before == now else f"{part}={before}, and {now} is asked for"
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    return f"{changed[0]}={before.get(changed[0])}, and {now.get(changed[0])} is asked for" if changed else None
