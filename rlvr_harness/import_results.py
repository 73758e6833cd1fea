"""From an import of samples to its run folder: run.json and results.json."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlvr_harness import provenance
from rlvr_harness.assembling import SCHEMA, check_enough
from rlvr_harness.exchange_contracts import SampleImporter
from rlvr_harness.fairness import Fairness
from rlvr_harness.foreign_files import ImportChoice, check_target, wanted_tasks
from rlvr_harness.importing import ImportedTask, import_task
from rlvr_harness.requests import Counts, ImportRequest
from rlvr_harness.run_store import RunStore
from rlvr_harness.stages.measuring import TaskTallies, measure_task

Results = dict[str, Any]


def import_samples(importer: SampleImporter, request: ImportRequest, folder: Path, how: ImportChoice) -> Results:
    """Stores and measures foreign samples in a new run folder. A fault leaves nothing behind.

    `request.task` may be empty: then every task that all files name is imported.
    """
    check_target(folder)
    wanted = wanted_tasks(importer, request)
    aside = folder.with_name(f".{folder.name}.importing-{os.getpid()}")
    try:
        with RunStore(aside) as store:
            tasks = [
                import_task(store, importer, replace(request, task=task), in_files, how)
                for task, in_files in wanted.items()
            ]
            store.compact()
            record = _record(importer.name, request, tasks, how)
            results = _results(record, tasks, how)
            store.write_run(record)
            store.write_json("results.json", results)
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return results


def _record(form: str, request: ImportRequest, tasks: Sequence[ImportedTask], how: ImportChoice) -> dict[str, Any]:
    """The content of run.json. Without stored texts it has no `tasks`, so that nothing looks for samples."""
    files = {role: str(path) for role, path in request.files.items()}
    record: dict[str, Any] = {
        "imported": {"format": form, "files": files, "k": how.k, "metric": how.metric, "threshold": how.threshold},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(form, request, how),
        "models": {role: {"path": path} for role, path in files.items()},
        "versions": provenance.library_versions(),
        "git_commit": provenance.git_commit(),
        "notes": [line for task in tasks for line in task.warnings],
    }
    facts = {task.name: _facts(task, how) for task in tasks}
    return record | ({"tasks": facts} if any(task.stored for task in tasks) else {"counted": facts})


def _facts(task: ImportedTask, how: ImportChoice) -> dict[str, Any]:
    return {
        "problems": len({i for model in task.models for i in model.problems}),
        "verifier": task.verifier,
        "verifier_version": how.verifier.version if how.verifier else None,
        "judged_by": {model.role: model.judge for model in task.models},
        "estimated_tokens": [model.role for model in task.models if model.texts and not model.tokens_known],
        "unknown_ends": [model.role for model in task.models if model.texts and not model.ends_known],
    }


def _results(record: Mapping[str, Any], tasks: Sequence[ImportedTask], how: ImportChoice) -> Results:
    entries = {task.name: _entry(task, how) for task in tasks}
    run = {
        "schema": SCHEMA,
        "title": f"imported from {record['imported']['format']}",
        "harness_version": record["versions"].get("rlvr-harness"),
        "tasks": record.get("tasks", record.get("counted")),
        **{key: record[key] for key in ("created", "command", "models", "versions", "git_commit", "imported")},
    }
    return {"schema": SCHEMA, "run": run, "tasks": entries}


def _entry(task: ImportedTask, how: ImportChoice) -> dict[str, Any]:
    if how.k is not None:
        columns = {
            model.role: [[getattr(tally, name) for tally in model.tallies] for name in ("problem_id", "n", "c")]
            for model in task.tallies
        }
        check_enough({role: Counts(*map(tuple, of_role)) for role, of_role in columns.items()}, how.k)
    order = sorted(task.tallies, key=lambda model: (model.role != "base", model.role != "model"))
    fairness = Fairness(same_prompt=task.same_prompt, warnings=tuple(task.warnings))
    return measure_task(TaskTallies(task=task.name, models=order, k=how.k, fairness=fairness))


def _command(form: str, request: ImportRequest, how: ImportChoice) -> str:
    words = ["rlvr-harness", "import", "--format", form, *(["--task", request.task] if request.task else [])]
    for role, path in request.files.items():
        words += [f"--{role}", str(path)] if role in ("base", "model") else ["--also", f"{role}={path}"]
    for name in ("k", "metric", "threshold"):
        if (value := getattr(how, name)) is not None:
            words += [f"--{name}", str(value)]
    words += ["--verifier", how.verifier.name] if how.verifier else []
    words += ["--allow_unfair"] if how.allow_unfair else []
    return shlex.join(words)
