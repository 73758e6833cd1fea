"""`evalplus`: the comparison of evalplus 0.3.x (evalplus/eval/__init__.py), on decoded values, outside the program.

Settings: `dataset` (`humaneval` or `mbpp`), `atol`, and `starts`, the index of the first test of each of evalplus's own
runs (base, plus). Two of its quirks, and what is done here:

- An `atol` of 0 becomes 1e-6 at the first expected value that is a float or a flat sequence of floats, and stays so
  for all later tests of that run. Kept, as published scores rest on it; `starts` says where it is 0 again.
- In 0.3.1 HumanEval/32 (`find_zero`) can never pass. Its later fix is what is done here.

A subclass arrives as its base (np.float64 as float), so that the demand for one type is milder here; a generator or
another value without an encoding equals nothing and is not None.
"""

from __future__ import annotations

import importlib.util
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.oracles.contract import Accepts, tolerance
from rlvr_sandbox.records import CodeTask

NOT_NONE = frozenset({"check_str", "text_match_three", "text_starta_endb"})
"""MBPP functions of which only None or not None is checked; their expected answers are True for "not None"."""

AS_SETS = frozenset({
    "similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
    "intersection_array", "find_dissimilar", "Diff",
})  # fmt: skip
"""MBPP functions whose answers are compared as sets."""

WEAK_TASKS: Mapping[str, str] = {
    "Mbpp/164": "any answer is accepted",
    "Mbpp/295": "the constant 0 is accepted",
    "Mbpp/737": "of the answer only whether it is None is checked",
    "Mbpp/787": "of the answer only whether it is None is checked",
    "Mbpp/794": "of the answer only whether it is None is checked",
}
"""Tasks that this oracle holds to little, and how: drop them where a reward must mean something."""

_RTOL = 1e-7
_FLOAT_ATOL = 1e-6


def _is_floats(value: Any) -> bool:
    """A float, a flat non-empty list or tuple of floats, or an array of them."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    if isinstance(value, float):
        return True
    return type(value).__name__ == "ndarray" and str(value.dtype) in ("float64", "float32")


def _leaks(expected: Sequence[Any], starts: Sequence[int]) -> list[int]:
    """For each run, the first test whose expected value turns an `atol` of 0 into 1e-6; past the end when none does."""
    ends = [*starts[1:], len(expected)]
    return [
        next((index for index in range(start, end) if _is_floats(expected[index])), len(expected))
        for start, end in zip(starts, ends, strict=True)
    ]


def _starts(task: CodeTask) -> list[int]:
    """The setting of that name. Raises TaskInvalid."""
    starts = task.settings.get("starts", (0,))
    whole = isinstance(starts, list | tuple) and all(type(start) is int for start in starts)
    if not whole or list(starts[:1]) != [0] or list(starts) != sorted(starts) or starts[-1] > len(task.expected):
        raise TaskInvalid(f"task {task.name}: setting starts must begin with 0 and ascend within the tests")
    return list(starts)


def evalplus(task: CodeTask) -> Accepts:
    """See the module. Raises TaskInvalid for settings that make no sense, and where numpy is not installed."""
    if importlib.util.find_spec("numpy") is None:
        raise TaskInvalid(f"task {task.name}: oracle evalplus needs numpy; pip install numpy")
    dataset = task.settings.get("dataset")
    if dataset not in ("humaneval", "mbpp"):
        raise TaskInvalid(f"task {task.name}: setting dataset must be 'humaneval' or 'mbpp', not {dataset!r}")
    starts = _starts(task)
    atol = tolerance(task, "atol", 0.0)
    leaks = _leaks(task.expected, starts)
    special = _special(dataset, task.entry or "")
    if special is _root_found:
        return lambda index, output: _root_found(False, output, None, task.inputs[index], atol)

    def accepts(index: int, output: Any) -> bool:
        leak = leaks[bisect_right(starts, index) - 1]
        expected = task.expected[index]
        before = _FLOAT_ATOL if atol == 0 and leak < index else atol
        after = _FLOAT_ATOL if atol == 0 and leak <= index else atol
        matches = output == expected
        if special is not None:
            matches = special(matches, output, expected, task.inputs[index], before)
        return bool(matches) or (after != 0 and _all_close(output, expected, after))

    return accepts


def _all_close(output: Any, expected: Any, atol: float) -> bool:
    """numpy's `allclose` between values of one type and length."""
    import numpy

    if type(output) is not type(expected):
        return False
    if isinstance(expected, list | tuple) and len(output) != len(expected):
        return False
    with numpy.errstate(all="ignore"):
        return bool(numpy.allclose(output, expected, rtol=_RTOL, atol=atol))


Special = Callable[[Any, Any, Any, Sequence[Any], float], Any]
"""Called with (equal, output, expected, arguments, atol)."""


def _special(dataset: str, entry: str) -> Special | None:
    """The rule of a function that is not compared by equality alone."""
    if dataset == "humaneval":
        return _root_found if entry == "find_zero" else None
    if entry in AS_SETS:
        return _same_set
    if entry in NOT_NONE:
        return _same_noneness
    rules: dict[str, Special] = {
        "are_equivalent": lambda equal, *_: equal or True,
        "sum_div": lambda equal, output, *_: equal or output == 0,
        "surface_Area": lambda equal, out, _, args, atol: equal or abs(out - _pyramid_surface(*args)) <= atol,
        "digit_distance_nums": lambda equal, output, _, args, __: equal or output == _digit_distance(*args),
    }
    return rules.get(entry)


def _same_set(_: Any, output: Any, expected: Any, *__: Any) -> bool:
    """set(output) == set(expected), without a set of the program's choosing: keys of one hash would hold us up."""
    wanted = set(expected)
    found = [item for item in output if item in wanted]
    return len(found) == len(output) and set(found) == wanted


def _same_noneness(_: Any, output: Any, expected: Any, *__: Any) -> Any:
    return output == expected if isinstance(output, bool) else expected == (output is not None)


def _root_found(_: Any, output: Any, __: Any, arguments: Sequence[Any], atol: float) -> bool:
    """|p(output)| <= atol for the polynomial with those coefficients, the constant first."""
    return bool(abs(sum(factor * math.pow(output, power) for power, factor in enumerate(arguments[0]))) <= atol)


def _pyramid_surface(base: float, height: float) -> int:
    """Surface of a square pyramid whose `height` is the upright one, not the slant one."""
    return round(base**2 + 2 * base * math.sqrt((base / 2) ** 2 + height**2))


def _digit_distance(first: int, second: int) -> int:
    """Sum of the distances of digits, the shorter number filled with zeros on the left."""
    width = max(len(str(first)), len(str(second)))
    digits = zip(str(first).zfill(width), str(second).zfill(width), strict=True)
    return sum(abs(int(one) - int(other)) for one, other in digits)
