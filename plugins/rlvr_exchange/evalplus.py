"""The `evalplus` importer: `*_eval_results.json`, found also by the samples file that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.deciding import SampleFormat, one_file, one_of, program_answer, same_length
from rlvr_exchange.documents import JsonStream, open_text, top_keys
from rlvr_exchange.lines import shown
from rlvr_harness import ForeignChoice, ForeignRow, ForeignSample, Outcome, TaskError

TASK_NAMES = {"HumanEval": "humanevalplus", "Mbpp": "mbppplus"}
"""What stands before the slash of a problem's id -> our name of the task."""
PASS = "pass"


class EvalPlusResults(SampleFormat):
    """Programs with evalplus's verdicts; right is what passes the base and the plus tests."""

    name = "evalplus"
    description = "*_eval_results.json of evalplus.evaluate, its samples .jsonl, or their folder; --metric base|plus"

    def recognises(self, path: Path) -> bool:
        """By the member `eval` of the JSON file."""
        return bool(found := _files(path)) and "eval" in top_keys(found[0])

    def tasks(self, path: Path) -> Sequence[str]:
        """By the ids of the problems; one name for each file."""
        return list(dict.fromkeys(task for file in _files(path) if (task := _task(file))))

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """One ForeignRow per problem."""
        found: dict[str, list[Path]] = {}
        for file in _files(path):
            found.setdefault(_task(file), []).append(file)
        if not found:
            raise TaskError(f"{path}: no *_eval_results.json; run evalplus.evaluate on the samples first")
        file = one_file(found, choice.task if choice.task in found else None, path)
        for where, problem_id, results in _problems(file):
            yield _row(where, problem_id, results, choice)


def _files(path: Path) -> list[Path]:
    """The results files. "x.jsonl" -> "x_eval_results.json" beside it."""
    if path.is_dir():
        return sorted(path.glob("*eval_results.json"))
    if path.name.endswith(".jsonl"):
        beside = path.with_name(f"{path.name.removesuffix('.jsonl')}_eval_results.json")
        return [beside] if beside.is_file() else []
    return [path] if path.suffix == ".json" and path.is_file() else []


def _task(file: Path) -> str:
    try:
        first = next((problem_id for _, problem_id, _ in _problems(file)), "")
    except TaskError:
        return ""
    return TASK_NAMES.get(first.partition("/")[0], "")


def _problems(file: Path) -> Iterator[tuple[str, str, Any]]:
    """(file and line, problem id, its results) in the order of the file."""
    with open_text(file) as opened:
        stream = JsonStream(opened, file)
        seen = False
        for key in stream.members():
            if key != "eval":
                stream.value()
                continue
            seen = True
            for problem_id in stream.members():
                yield stream.where, problem_id, stream.value()
        if not seen:
            raise TaskError(f"{file} has no member 'eval'; expected the results file of evalplus.evaluate")


def _row(where: str, problem_id: str, results: Any, choice: ForeignChoice) -> ForeignRow:
    if isinstance(results, dict):
        results = _of_old_version(where, problem_id, results)
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise TaskError(f"{where}: '{problem_id}' is {shown(results)}; expected a list of results")
    has_plus = all(result.get("plus_status") is not None for result in results)
    there = ["base", "plus"] if has_plus else ["base"]
    metric = one_of(choice.metric, there, where, "metric") if choice.metric else there[-1]
    samples = [_sample(f"{where}: '{problem_id}'", result, metric) for result in results]
    return ForeignRow(where, problem_id, samples, judge=metric)


def _sample(where: str, result: Mapping[str, Any], metric: str) -> ForeignSample:
    base, plus = result.get("base_status"), result.get("plus_status")
    if not isinstance(base, str) or (metric == "plus" and not isinstance(plus, str)):
        raise TaskError(f"{where}: 'base_status' is {shown(base)}; expected pass, fail or timeout")
    status = str(plus) if metric == "plus" and base == PASS else base
    program = result.get("solution")
    program = program if isinstance(program, str) else None
    outcome = Outcome.RIGHT if status == PASS else Outcome.WRONG
    return ForeignSample(program, outcome, program_answer(program), status)


def _of_old_version(where: str, problem_id: str, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{"base": [["pass", [..]], ..], "plus": [..]} -> one result a sample, without programs."""
    base, plus = results.get("base"), results.get("plus")
    if not isinstance(base, list) or not all(isinstance(one, list) and one for one in [*base, *(plus or [])]):
        raise TaskError(f"{where}: '{problem_id}' is {shown(results)}; expected a list of results")
    same_length(where, {"base": base, "plus": plus or None})
    plus_statuses = [one[0] for one in plus] if plus else [None] * len(base)
    return [{"base_status": b[0], "plus_status": p} for b, p in zip(base, plus_statuses, strict=True)]
