"""`export`: a run folder's results in the forms of other programs. `exporters.py` says which there are."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness.errors import TaskError, UsageError
from rlvr_harness.lm_eval_bridge import write_lm_eval_results
from rlvr_harness.logged_numbers import entries_of
from rlvr_harness.records import Outcome, Problem, Sample
from rlvr_harness.run_reader import read_json, read_problems, read_samples, read_verdicts
from rlvr_harness.run_store import escape
from rlvr_harness.schemas.checking import read_results

Results = Mapping[str, Any]
METRIC = "pass@1"
"""The score of an exported sample: the mean over a problem's samples is its share of pass@1."""
POINT = ("value", "low", "high", "sampling_low", "sampling_high")


@dataclass(frozen=True)
class Export:
    """What is exported, and where to. `datasets`: task -> id of its data set on the Hub."""

    folder: Path
    target: Path
    results: Results
    datasets: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path, target: Path, datasets: Mapping[str, str]) -> Export:
        """The export of a run folder that has results. Raises RunFolderError, UsageError."""
        results = read_results(folder, whole=True)
        if unknown := sorted(set(datasets) - set(results["tasks"])):
            raise UsageError(f"--dataset: {folder} has no task '{unknown[0]}'; it has {', '.join(results['tasks'])}")
        return cls(folder, target, results, datasets)

    @property
    def roles(self) -> list[str]:
        """The models of all tasks, each once."""
        return list(dict.fromkeys(role for entry in self.results["tasks"].values() for role in entry["models"]))

    def of_role(self, role: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(task, the model's entry) for the tasks that the model has."""
        return entries_of(self.results, role)


def export_lm_eval(export: Export) -> Iterator[Path]:
    """A results_<time>.json per model and, where samples are stored, a samples_<task>_<time>.jsonl per task."""
    record = read_json(export.folder, "run.json")
    for role in export.roles:
        path = write_lm_eval_results(export.results, role, export.target)
        yield path
        for task, _ in export.of_role(role):
            verifier = record.get("tasks", {}).get(task, {}).get("verifier")
            if verifier is None:
                continue
            time = path.stem.removeprefix("results_")
            target = path.with_name(f"samples_{task.replace('/', '_')}_{time}.jsonl")
            if _write_samples(export.folder, (task, role, verifier), target):
                yield target


def _write_samples(folder: Path, what: tuple[str, str, str], target: Path) -> int:
    """Writes a row per sample with a verdict that is not void; their number, no file where it is 0."""
    task, role, verifier = what
    settled = {
        (verdict.problem_id, verdict.index): (verdict.outcome is Outcome.RIGHT, verdict.answer)
        for verdict in read_verdicts(folder, task, role, verifier)
        if verdict.outcome is not Outcome.VOID
    }
    if not settled:
        return 0
    problems = {p.problem_id: (at, p) for at, p in enumerate(read_problems(folder, task, role))}
    written = 0
    try:
        with target.open("w", encoding="utf-8", errors="replace") as opened:
            for sample in read_samples(folder, task, role):
                found = settled.get((sample.problem_id, sample.index))
                if found is not None:
                    at, problem = problems[sample.problem_id]
                    opened.write(json.dumps(_sample_row(at, problem, sample, found), ensure_ascii=False) + "\n")
                    written += 1
    except OSError as error:
        raise TaskError(f"{target} cannot be written: {error.strerror}") from error
    return written


def _sample_row(at: int, problem: Problem, sample: Sample, found: tuple[bool, str | None]) -> dict[str, Any]:
    """A row as lm-eval logs it, with the problem's id and the sample's number beside its own fields."""
    right, answer = found
    doc = dict(problem.metadata)
    return {
        "doc_id": at,
        "problem_id": problem.problem_id,
        "sample_index": sample.index,
        "doc": doc,
        "target": problem.reference,
        "arguments": {"gen_args_0": {"arg_0": problem.prompt, "arg_1": {}}},
        "resps": [[sample.text]],
        "filtered_resps": [answer if answer is not None else "[invalid]"],
        "filter": "none",
        "metrics": [METRIC],
        "doc_hash": _sha256(json.dumps(doc, indent=2, default=str, ensure_ascii=False)),
        "prompt_hash": _sha256(problem.prompt),
        "target_hash": _sha256(problem.reference),
        METRIC: float(right),
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def export_csv(export: Export) -> Iterator[Path]:
    """pass_at_k.csv of all models and tasks, and per model and task the counts that `import --format counts` takes."""
    rows = [
        [task, role, entry["name"], k, *(point[name] for name in POINT)]
        for role in export.roles
        for task, entry in export.of_role(role)
        for k, point in entry["pass_at_k"].items()
    ]
    yield _write_csv(export.target / "pass_at_k.csv", ["task", "model", "name", "k", *POINT], rows)
    for role in export.roles:
        for task, entry in export.of_role(role):
            counts = entry["counts"]
            columns = ("problem_id", "n", "c")
            path = export.target / f"counts_{escape(task)}_{escape(role)}.csv"
            table = [list(row) for row in zip(*(counts[name] for name in columns), strict=True) if row[1] > 0]
            yield _write_csv(path, columns, table)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise TaskError(f"{path} cannot be written: {error.strerror}") from error
    return path


def sequential_warning(export: Export) -> str | None:
    """What must be known of counts whose n was decided by outcomes; None where it was not."""
    for role in export.roles:
        for task, entry in export.of_role(role):
            if entry["plan"].get("kind") == "sequential":
                return (
                    f"{role} on {task} was sampled by a sequential plan, which stops a problem by what was found: "
                    "pass@k of its counts alone is biased; take pass_at_k.csv, or export the samples"
                )
    return None
