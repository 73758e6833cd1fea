"""Opens the run folders of a site: each is named in one line where it cannot be shown, or stands there twice."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness.errors import RunFolderError
from rlvr_harness.report.reading import Results, at, comparisons, curve, mapping, text
from rlvr_harness.report.reading import tasks as tasks_of

RESULTS_SCHEMA = "rlvr-harness/results/1"
"""Schema of the results.json files that a site can be made of."""


@dataclass(frozen=True)
class Run:
    """One run folder. `digest`: sha256 of the content of its results; `options`: what run.json says was asked for."""

    folder: Path
    results: Results
    digest: str
    options: Mapping[str, Any]

    @property
    def about(self) -> Mapping[str, Any]:
        """The `run` part of the results."""
        return mapping(self.results, "run")

    @property
    def words(self) -> list[str]:
        """The command that repeats the run, in words; none where there is no such command."""
        command = self.about.get("command")
        try:
            return shlex.split(command) if isinstance(command, str) else []
        except ValueError:
            return []


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs of these folders, in an order that does not depend on theirs.

    Raises RunFolderError at the first folder that has no results, results of another schema or damaged ones, or that
    holds the same run as an earlier one.
    """
    runs: dict[str, Run] = {}
    seen: dict[str, Path] = {}
    for folder in folders:
        run = _open(folder)
        identity = _identity(run)
        if identity in seen:
            raise RunFolderError(f"{folder} holds the same run as {seen[identity]}; give each run once")
        seen[identity] = folder
        runs[run.digest] = run
    return [runs[digest] for digest in sorted(runs)]


def _open(folder: Path) -> Run:
    results = _read(folder, "results.json")
    schema = results.get("schema")
    if schema != RESULTS_SCHEMA:
        found = f"schema '{text(schema, 80)}'" if isinstance(schema, str) else "no schema"
        raise RunFolderError(f"{folder / 'results.json'} has {found}; a leaderboard reads {RESULTS_SCHEMA}")
    if not tasks_of(results):
        raise RunFolderError(f"{folder / 'results.json'} holds results of no task; leave that folder out")
    options = mapping(_read(folder, "run.json"), "spec") if (folder / "run.json").is_file() else {}
    return Run(folder, results, digest_of(results), options)


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunFolderError(f"{folder} holds no {name}; is it a run folder, and has the run got that far?") from error
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        # ValueError: broken JSON, text that is not UTF-8, or an integer of thousands of digits.
        reason = "nested too deeply" if isinstance(error, RecursionError) else text(error, 200)
        raise RunFolderError(f"{path} is damaged: {reason}") from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is damaged: not a JSON object")
    return content


def _finite(written: str) -> float:
    """The number; Python's reader also takes NaN, Infinity and 1e999, which no other reader would take from us."""
    value = float(written)
    if not math.isfinite(value):
        raise ValueError(f"{text(written, 40)} is no finite number")
    return value


def digest_of(content: object) -> str:
    """sha256 of JSON content, whatever the order of its keys."""
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _identity(run: Run) -> str:
    """Equal for two states of one run: begun at the same second with the same models, tasks, law, seed and largest k.

    Imported counts have no seed and are never added to: theirs is their content.
    """
    about = run.about
    if at(about, "sampling", "seed") is None or not about.get("created"):
        return run.digest
    tasks = {
        name: {
            key: value for key, value in mapping(about, "tasks", name).items() if key not in ("plan", "longest_prompt")
        }
        | {"models": {role: at(model, "name") for role, model in mapping(task, "models").items()}}
        | {"k": [max(curve(entry, "difference"), default=0) for entry in comparisons(task)]}
        for name, task in tasks_of(run.results).items()
    }
    fixed = {name: at(about, "sampling", name) for name in ("seed", "prompt")}
    return digest_of([about["created"], about.get("models"), fixed, tasks])
