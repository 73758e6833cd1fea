"""What a run folder says of itself beside its samples: its tasks, models, verifiers, comparisons and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rlvr_harness.errors import RunFolderError
from rlvr_harness.parts.naming import escape, problems_file
from rlvr_harness.records import Problem
from rlvr_harness.report import reading
from rlvr_harness.report.problems import problem_counts
from rlvr_harness.run_reader import read_json, read_problems

UNFINISHED = ("prompting", "sampling", "verifying")


@dataclass(frozen=True)
class Pair:
    """Two models that a run compares; `undecided`: ids of problems whose quadrant chance may have made."""

    base: str
    model: str
    undecided: frozenset[str]


@dataclass(frozen=True)
class RunFolder:
    """The JSON files of a run folder as they were when it was opened."""

    root: Path
    run: Mapping[str, Any]
    results: Mapping[str, Any]

    @classmethod
    def open(cls, root: Path) -> RunFolder:
        """Reads run.json, which must be there, and results.json, which a run that goes on does not have yet."""
        run = read_json(root, "run.json")
        results = read_json(root, "results.json") if (root / "results.json").is_file() else {}
        return cls(root, run, results)

    @property
    def title(self) -> str:
        """The run's title, else its models' names."""
        return reading.title(self.results or {"run": self.run})

    @property
    def unfinished(self) -> bool:
        """Whether some stage that adds samples or verdicts has not come to its end."""
        status = reading.mapping(self.run, "status")
        return any(status.get(stage) not in (None, "done") for stage in UNFINISHED) or not self.results

    def tasks(self) -> list[str]:
        """Every task that has a record, problems or samples."""
        recorded = [str(task) for block in (self.run, self.results) for task in reading.mapping(block, "tasks")]
        files = [path.stem for path in sorted((self.root / "problems").glob("*.parquet")) if "@" not in path.stem]
        files += _folders(self.root / "samples")
        return list(dict.fromkeys([*recorded, *map(unquote, files)]))

    def models(self, task: str) -> list[str]:
        """The models that have samples, verdicts or results of a task: base, model, then the others."""
        found = [*reading.mapping(self.results, "tasks", task, "models")]
        for top in ("samples", "verdicts"):
            found += map(unquote, _folders(self.root / top / escape(task)))
        roles = [*reading.mapping(self.run, "models"), *found]
        present = [role for role in dict.fromkeys(map(str, roles)) if role in found]
        return sorted(present, key=lambda role: {"base": 0, "model": 1}.get(role, 2))

    def verifiers(self, task: str, model: str) -> list[str]:
        """The verifiers that have judged, the task's own first."""
        own = reading.at(self.run, "tasks", task, "verifier")
        found = [unquote(name) for name in _folders(self.root / "verdicts" / escape(task) / escape(model))]
        return sorted(found, key=lambda name: (name != own, name))

    def name_of(self, model: str) -> str:
        """The checkpoint behind a role, '' where it is not recorded."""
        return reading.text(reading.at(self.run, "models", model, "path") or "", 200)

    def pairs(self, task: str) -> list[Pair]:
        """The comparisons that were measured; where none was yet, base against each other model."""
        block = reading.mapping(self.results, "tasks", task)
        found = [
            Pair(
                *reading.compared_roles(entry), frozenset(map(str, reading.listed(entry, "coverage", "undecided_ids")))
            )
            for entry in reading.comparisons(block)
        ]
        models = self.models(task)
        if found or "base" not in models:
            return found
        return [Pair("base", model, frozenset()) for model in models if model != "base"]

    def measured_counts(self, task: str, model: str) -> dict[str, tuple[int, int]]:
        """problem_id -> (n, c) as results.json has them: all there is of a run that was imported as counts."""
        return problem_counts(reading.mapping(self.results, "tasks", task), model)

    def problems(self, task: str) -> dict[str, Problem]:
        """The problems with the prompts that all models share, or else the first model's own."""
        roles = [None, *self.models(task)]
        role = next((role for role in roles if problems_file(self.root, task, role).is_file()), None)
        return {problem.problem_id: problem for problem in read_problems(self.root, task, role)}

    def own_problems(self, task: str, model: str) -> dict[str, Problem]:
        """The problems with the prompts that one model alone was given; empty where it was given those of all."""
        if not problems_file(self.root, task, model).is_file():
            return {}
        return {problem.problem_id: problem for problem in read_problems(self.root, task, model)}


def open_folder(root: Path) -> RunFolder:
    """The run folder; raises RunFolderError where it is none."""
    if not root.is_dir():
        raise RunFolderError(f"{root} is no folder; give the folder that `rlvr-harness run -o` wrote")
    return RunFolder.open(root)


def _folders(place: Path) -> list[str]:
    return sorted(_names(place)) if place.is_dir() else []


def _names(place: Path) -> Iterator[str]:
    for path in place.iterdir():
        if path.is_dir() and not path.name.startswith("."):
            yield path.name
