"""evalplus's own verdicts on programs: run by a Python that has evalplus, which this project does not need.

    VENV/bin/python benchmarks/evalplus_verdicts.py humaneval HumanEvalPlus.jsonl.gz < programs.jsonl > verdicts.jsonl

A line in: {"task_id", "program"}; a line out for it: {"task_id", "base", "plus", "failed"}. `base` and `plus` are
evalplus's words (pass, fail, timeout), `failed` the number of tests it had looked at when it stopped, base ones before
plus ones, less one; null where all passed. Expected answers and time limits are those of evalplus's own run of the
right program in this process, the comparison and the limits are evalplus's defaults; lines of a task come together.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any


def without_downloads() -> None:
    """Lets evalplus load where `datasets`, with which it would fetch what is read from files here, is not installed."""
    if importlib.util.find_spec("datasets") is None:
        sys.modules["datasets"] = ModuleType("datasets")
        vars(sys.modules["datasets"])["load_dataset"] = None


def rows(dataset: str, path: Path) -> Iterator[Mapping[str, Any]]:
    """The file's rows with arguments of the types that the functions take."""
    without_downloads()
    from evalplus.data.mbpp import mbpp_deserialize_inputs

    for line in gzip.decompress(path.read_bytes()).splitlines():
        row = json.loads(line)
        for name in ("base_input", "plus_input"):
            row[name] = list(row[name] or [])
            if dataset == "mbpp":
                row[name] = mbpp_deserialize_inputs(row["task_id"], row[name])
        yield row


def verdict(dataset: str, row: Mapping[str, Any], truth: Mapping[str, Any], program: str) -> dict[str, Any]:
    """evalplus's verdict on the base tests and on the plus tests."""
    from evalplus.eval import untrusted_check

    said: dict[str, Any] = {"task_id": row["task_id"], "failed": None}
    before = 0
    for part in ("base", "plus"):
        answers, seconds = truth[part]
        said[part], looked_at = untrusted_check(
            dataset, program, row[f"{part}_input"], row["entry_point"], answers, row["atol"], seconds, fast_check=True
        )
        if said[part] != "pass" and said["failed"] is None:
            said["failed"] = before + max(0, len(looked_at) - (said[part] == "fail"))
        before += len(row[f"{part}_input"])
    return said


def truth_of(row: Mapping[str, Any]) -> dict[str, tuple[list[Any], list[float]]]:
    """Answers and seconds of the right program, for each of the two parts."""
    from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
    from evalplus.gen.util import trusted_exec

    solution, entry = row["prompt"] + row["canonical_solution"], row["entry_point"]
    only_none = entry in MBPP_OUTPUT_NOT_NONE_TASKS
    return {
        part: trusted_exec(solution, row[f"{part}_input"], entry, record_time=True, output_not_none=only_none)
        for part in ("base", "plus")
    }


def main() -> None:
    """Reads every program first, then works through the tasks in the file's order."""
    dataset, path = sys.argv[1], Path(sys.argv[2])
    lines = map(json.loads, sys.stdin)
    wanted = {task_id: [line["program"] for line in group] for task_id, group in groupby(lines, lambda x: x["task_id"])}
    for row in rows(dataset, path):
        if row["task_id"] in wanted:
            truth = truth_of(row)
            for program in wanted[row["task_id"]]:
                print(json.dumps(verdict(dataset, row, truth, program)), flush=True)


if __name__ == "__main__":
    main()
