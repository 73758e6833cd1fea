"""Expected answers and time limits from a task's own right program, run in the same sandbox on the same machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.jail import tagged
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.oracles.evalplus import NOT_NONE
from rlvr_sandbox.preparing import UNCAPPED, prepare_to_observe
from rlvr_sandbox.records import CodeTask, Exit, Limits, TestRun

# evalplus's rule: at least a second a test, four times what the right program takes, a minute in all.
_LEAST_S, _FACTOR, _MOST_S = 1.0, 4.0, 60.0
# Of both data sets only answers of Mbpp/255, which lists all combinations, are larger; the largest takes over 1 GB.
_LARGEST_ANSWER = 16 << 20
_REFERENCE_LIMITS = Limits(cpu_s=60.0, total_cpu_s=300.0, output_bytes=_LARGEST_ANSWER)


def calibrate(task: CodeTask, solution: str, judge: Judge) -> CodeTask:
    """The task with `expected`, `limits_s` and the limit on all tests that its right program gives.

    Where evalplus looks only at "None or not", the expected answers are True for "not None". A test whose right answer
    takes more than 16 MiB is left out, and named in the setting `dropped` by its number in `task`. Raises TaskInvalid
    when the program fails, or when an answer of it is not plain data.
    """
    kept, dropped = task, list[int]()
    runs = _observed(kept, solution, judge)
    while runs and runs[-1].exit is Exit.OUTPUT:
        numbers = [index for index in range(len(task.inputs)) if index not in dropped]
        dropped.append(numbers[len(runs) - 1])
        kept = _without(task, dropped)
        runs = _observed(kept, solution, judge)
    failed = next((run for run in runs if run.exit is not Exit.RETURNED), None)
    if failed is not None or len(runs) != len(kept.inputs):
        how = f"{failed.exit.value} {failed.detail}".strip() if failed else "answers are missing"
        raise TaskInvalid(f"task {task.name}: its own solution fails at test {max(0, len(runs) - 1)}: {how}")
    expected = [_value(kept, index, run.output) for index, run in enumerate(runs)]
    limits_s = [max(_LEAST_S, _FACTOR * run.cpu_s) for run in runs]
    limits = replace(kept.limits, total_cpu_s=min(_MOST_S, sum(limits_s)))
    return replace(kept, expected=expected, limits_s=limits_s, limits=limits)


def _observed(task: CodeTask, solution: str, judge: Judge) -> list[TestRun]:
    """The runs of the solution, with room for what it takes."""
    room = {name: getattr(_REFERENCE_LIMITS, name) for name in ("cpu_s", "total_cpu_s", "output_bytes")}
    return judge.observe(solution, prepare_to_observe(replace(task, limits=replace(task.limits, **room))))


def _without(task: CodeTask, dropped: Sequence[int]) -> CodeTask:
    """The task without these tests; where evalplus's second run starts moves along."""
    inputs = [given for index, given in enumerate(task.inputs) if index not in dropped]
    settings = {**task.settings, "dropped": list(dropped)}
    if "starts" in settings:
        starts = [start - sum(index < start for index in dropped) for start in settings["starts"]]
        settings["starts"] = starts
    return replace(task, inputs=inputs, settings=settings)


def _value(task: CodeTask, index: int, output: bytes) -> Any:
    try:
        value = tagged.decode(output, UNCAPPED)
    except tagged.Malformed as error:
        raise TaskInvalid(f"task {task.name}: its own solution's answer {index} cannot be read: {error}") from error
    return value is not None if task.oracle == "evalplus" and task.entry in NOT_NONE else value
