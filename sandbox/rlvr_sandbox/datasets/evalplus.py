"""HumanEval+ and MBPP+ in evalplus's own file layout. Expected answers come from `rlvr_sandbox.calibrate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvr_sandbox.datasets.mbpp_inputs import mbpp_arguments
from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.records import CodeTask, Limits, Style

# evalplus gives a program 60 s in all and 4 GiB of address space.
_LIMITS = Limits(cpu_s=1.0, total_cpu_s=60.0, memory_mb=4096)


def evalplus_task(row: Mapping[str, Any], *, plus: bool = True) -> CodeTask:
    """The task of a row of HumanEvalPlus.jsonl or MbppPlus.jsonl, with `expected` empty until it is calibrated.

    Tests are the base ones, then with `plus` the added ones. Raises TaskInvalid for a row of another layout.
    """
    try:
        name = str(row["task_id"])
        source, _, number = name.partition("/")
        dataset = {"HumanEval": "humaneval", "Mbpp": "mbpp"}[source]
        base, added = list(row["base_input"]), list(row["plus_input"] or []) if plus else []
        inputs = [*base, *added]
        return CodeTask(
            name=name,
            style=Style.FUNCTION,
            inputs=mbpp_arguments(int(number), inputs) if dataset == "mbpp" else inputs,
            expected=(),
            entry=str(row["entry_point"]),
            oracle="evalplus",
            settings={"dataset": dataset, "atol": row["atol"], "starts": [0, len(base)] if added else [0]},
            limits=_LIMITS,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TaskInvalid(f"row {row.get('task_id', '?')} is not in evalplus's layout: {error!r}") from error


def evalplus_solution(row: Mapping[str, Any]) -> str:
    """The row's own right program. Raises TaskInvalid for a row of another layout."""
    try:
        return str(row["prompt"]) + str(row["canonical_solution"])
    except KeyError as error:
        raise TaskInvalid(f"row {row.get('task_id', '?')} has no {error}") from error
