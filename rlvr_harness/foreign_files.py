"""What stands before an import: which format the files have, which of their tasks are meant, and where they may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_harness.contracts import Importer, Verifier
from rlvr_harness.errors import RunFolderError, TaskError, UsageError
from rlvr_harness.exchange_contracts import RecognisingImporter, SampleImporter
from rlvr_harness.registry import Registry
from rlvr_harness.requests import ImportRequest

AUTO = "auto"


@dataclass(frozen=True)
class ImportChoice:
    """How foreign files are to be read. `verifier` judges their texts in place of the verdicts that they hold."""

    k: int | None = None
    metric: str | None = None
    threshold: float | None = None
    verifier: Verifier | None = None
    workers: int = 1
    allow_unfair: bool = False


def find_importer(registry: Registry, form: str, files: Mapping[str, Path]) -> Importer:
    """The importer of that name, or with `auto` the only one that recognises every file. Raises UsageError."""
    offered: Mapping[str, Importer] = registry.offered["importer"]
    for path in files.values():
        if not path.exists():
            raise TaskError(f"{path}: no such file or folder")
    if form != AUTO:
        near = [name for name in offered if name.replace("_", "-") == form.replace("_", "-")]
        found: Importer = offered[near[0]] if near else registry.get("importer", form)
        return found
    able = {name: one for name, one in sorted(offered.items()) if isinstance(one, RecognisingImporter)}
    for role, path in files.items():
        fitting = {name: one for name, one in able.items() if one.recognises(path)}
        if not fitting:
            others = "" if role == next(iter(files)) else f" of the {role} model"
            raise UsageError(
                f"{path}: the format{others} is none of {', '.join(able)}; name it with --format "
                "(`rlvr-harness ls importers` describes them)"
            )
        able = fitting
    if len(able) > 1:
        raise UsageError(f"{next(iter(files.values()))} may be {' or '.join(able)}; name it with --format")
    return next(iter(able.values()))


def wanted_tasks(importer: SampleImporter, request: ImportRequest) -> dict[str, dict[str, str | None]]:
    """Task of the report -> role -> the task's name in that model's file. Raises UsageError where it is in doubt."""
    named = {role: list(importer.tasks(path)) for role, path in request.files.items()}
    if request.task:
        return {request.task: {role: _chosen(request, role, there) for role, there in named.items()}}
    if lacking := next((role for role, there in named.items() if not there), None):
        raise UsageError(f"{request.files[lacking]} does not name its task; name it with --task")
    first, *others = named.values()
    shared = [task for task in first if all(task in there for there in others)]
    if not shared:
        listed = "; ".join(f"{role}: {', '.join(there)}" for role, there in named.items())
        raise UsageError(f"the files have no task in common ({listed}); name the report's task with --task")
    return {task: dict.fromkeys(named, task) for task in shared}


def _chosen(request: ImportRequest, role: str, there: Sequence[str]) -> str | None:
    if request.task in there:
        return request.task
    if len(there) > 1:
        raise UsageError(
            f"{request.files[role]} holds no task '{request.task}'; it holds {', '.join(there)}; choose with --task"
        )
    return there[0] if there else None


def check_target(folder: Path) -> None:
    """Raises RunFolderError where samples cannot be imported into this folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(f"{folder} is not empty; choose another folder with -o")
