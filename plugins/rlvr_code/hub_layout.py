"""HumanEval+ and MBPP+ in the layout of the data hub, where the tests are a Python program: read, never run.

The native layout has more: which tests are the base ones. evalplus starts each of its two runs with the tolerance of
the row, so that a verdict can differ where an answer is a float that is off by less than 1e-6.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

from rlvr_sandbox.datasets import evalplus_task
from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.records import CodeTask

_FIND_ZERO_ATOL = 1e-4  # HumanEval/32 is written without the call that holds the tolerance


def native_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the fields of evalplus's own layout, less the tests. Raises TaskInvalid for any other layout."""
    try:
        if "entry_point" in row:
            return {key: row[key] for key in ("task_id", "prompt", "entry_point", "canonical_solution", "test")}
        tree = ast.parse(str(row["test"]))
        prompt = f'"""\n{row["prompt"]}\n{next(iter(row["test_list"]))}\n"""\n'
        return {
            "task_id": f"Mbpp/{row['task_id']}",
            "prompt": prompt,
            "entry_point": _tested_name(tree),
            "canonical_solution": str(row["code"]),
            "test": str(row["test"]),
        }
    except (KeyError, StopIteration, TypeError, ValueError, SyntaxError) as error:
        raise TaskInvalid(f"row {row.get('task_id', '?')} is not in the hub's layout: {error!r}") from error


def hub_task(row: Mapping[str, Any]) -> CodeTask:
    """The task of a row as `native_row` gives it, with `expected` empty until it is calibrated. Raises TaskInvalid."""
    try:
        tree = ast.parse(str(row["test"]))
        inputs = next(
            _value(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "inputs"
        )
        whole = {**row, "base_input": [], "plus_input": [], "atol": _tolerance(tree)}
        task = evalplus_task(whole)
    except (KeyError, StopIteration, TypeError, ValueError, SyntaxError, RecursionError) as error:
        raise TaskInvalid(f"row {row.get('task_id', '?')} is not in the hub's layout: {error!r}") from error
    return CodeTask(
        name=task.name,
        style=task.style,
        inputs=[list(arguments) for arguments in inputs],
        expected=(),
        entry=task.entry,
        oracle=task.oracle,
        settings={**task.settings, "starts": [0]},
        limits=task.limits,
    )


def _comparison(tree: ast.Module) -> ast.Call | None:
    """`assertion(f(*inp), exp, 0)`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 3)
    return next((call for call in calls if ast.unparse(call.func) == "assertion"), None)


def _tested_name(tree: ast.Module) -> str:
    call = _comparison(tree)
    if call is None or not isinstance(call.args[0], ast.Call) or not isinstance(call.args[0].func, ast.Name):
        raise ValueError("its test names no function")
    return call.args[0].func.id


def _tolerance(tree: ast.Module) -> float:
    call = _comparison(tree)
    return _FIND_ZERO_ATOL if call is None else float(_value(call.args[2]))


def _value(node: ast.expr) -> Any:
    """What a literal stands for; `inf`, `nan` and complex numbers too. Raises ValueError for anything else."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
    return _unusual(node)


def _unusual(node: ast.expr) -> Any:
    match node:
        case ast.Name(id="inf" | "nan" as name):
            return math.inf if name == "inf" else math.nan
        case ast.Call(func=ast.Name(id="set"), args=[], keywords=[]):
            return set()
        case ast.BinOp(left=left, op=ast.Add(), right=right):  # 1 + 2j
            return _value(left) + _value(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _value(left) - _value(right)
    raise ValueError(f"{ast.unparse(node)[:80]} is no literal")
