"""`exact` and `close`: structures compared item by item, with the types held to what JSON tells apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from rlvr_sandbox.oracles.contract import Accepts, tolerance
from rlvr_sandbox.records import CodeTask

_SEQUENCES = (list, tuple)
_SETS = (set, frozenset)
_NUMBERS = (int, float)  # by exact type: bool is none
SameLeaf = Callable[[Any, Any], bool]


def exact(task: CodeTask) -> Accepts:
    """Same value and, as in JSON, same kind: True is not 1, 1 is not 1.0, nan is nothing; a tuple counts as a list.

    A numpy scalar counts as the Python number that it holds; an array equals nothing.
    """
    return lambda index, output: same(output, task.expected[index], _same_leaf)


def close(task: CodeTask) -> Accepts:
    """As `exact`, but a number may be off by `atol` + `rtol` x |expected| (settings; 1e-6 and 0 when left out).

    An integer may stand for a float and a whole float for an integer; True is no number. nan and infinity are close
    to nothing; an expected infinity is matched by itself alone.
    """
    atol, rtol = tolerance(task, "atol", 1e-6), tolerance(task, "rtol", 0.0)

    def same_leaf(output: Any, expected: Any) -> bool:
        if type(expected) not in _NUMBERS or type(output) not in _NUMBERS:
            return _same_leaf(output, expected)
        try:
            return bool(output == expected or _apart(output, expected) <= atol + rtol * abs(expected))
        except OverflowError:  # an integer beyond all floats
            return False

    return lambda index, output: same(output, task.expected[index], same_leaf)


def _apart(output: float, expected: float) -> float:
    """How far apart the two are; nan, which is within no tolerance, where one of them is not finite."""
    apart = abs(output - expected)
    return apart if math.isfinite(apart) and math.isfinite(expected) else math.nan


def _same_leaf(output: Any, expected: Any) -> bool:
    return type(output) is type(expected) and bool(output == expected)


def _plain(value: Any) -> Any:
    """A numpy scalar as the Python value that it holds, told without loading numpy."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value


def same(output: Any, expected: Any, same_leaf: SameLeaf) -> bool:
    """Whether two structures are the same, leaves compared by `same_leaf`; without recursion, in linear time."""
    todo = [(output, expected)]
    while todo:
        left, right = map(_plain, todo.pop())
        pairs = _pairs(left, right)
        if pairs is None:
            return False
        if not pairs and not _is_container(right) and not same_leaf(left, right):
            return False
        todo.extend(pairs)
    return True


def _is_container(value: Any) -> bool:
    return isinstance(value, (*_SEQUENCES, *_SETS, dict))


def _pairs(left: Any, right: Any) -> list[tuple[Any, Any]] | None:
    """What must be the same for the two to be; none of leaves. None when they cannot be the same."""
    if isinstance(right, _SEQUENCES):
        if not isinstance(left, _SEQUENCES) or len(left) != len(right):
            return None
        return list(zip(left, right, strict=True))
    if isinstance(right, _SETS):
        if not isinstance(left, _SETS) or len(left) != len(right):
            return None
        return _keyed(left, right)
    if isinstance(right, dict):
        if not isinstance(left, dict) or len(left) != len(right):
            return None
        keys = _keyed(left, right)
        return keys and list(chain(keys, ((value, right[key]) for key, value in left.items())))
    return None if _is_container(left) else []


def _keyed(left: Iterable[Any], right: Iterable[Any]) -> list[tuple[Any, Any]] | None:
    """Each key of the left with the key of the right that equals it: 1, 1.0 and True are equal, not the same."""
    own = {key: key for key in right}
    keys = list(left)
    return [(key, own[key]) for key in keys] if all(key in own for key in keys) else None
