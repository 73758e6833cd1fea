"""MBPP+ arguments as the functions want them: JSON has no tuples, sets or complex numbers, so the file holds lists.

Which argument of which task is what follows evalplus (evalplus/data/mbpp.py, `mbpp_deserialize_inputs`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Convert = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _tuples(value: Any) -> list[Any]:
    """[[1, 2], [3]] -> [(1, 2), (3,)]."""
    return [tuple(item) for item in value]


def _tuple_of_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(_tuples(value))


def _tuple_with_tuples(value: Any) -> tuple[Any, ...]:
    """(1, [2, 3]) -> (1, (2, 3))."""
    return tuple(tuple(item) if isinstance(item, list) else item for item in value)


def _deep_tuple(value: Any) -> Any:
    return tuple(map(_deep_tuple, value)) if isinstance(value, list) else value


def _sets(value: Any) -> list[Any]:
    """[[1, 2], []] -> [{1, 2}, {}]: an empty one is a dict, as in evalplus."""
    return [set(item) if isinstance(item, list) and item else {} for item in value]


def _values_as_tuples(value: Any) -> dict[Any, Any]:
    return {key: tuple(item) for key, item in value.items()}


_EACH: tuple[tuple[Convert, tuple[int, ...]], ...] = (
    (tuple, (
        2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809,
    )),
    (_tuples, (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780)),
    (_tuple_of_tuples, (259, 401, 445)),
    (_tuple_with_tuples, (278,)),
    (_deep_tuple, (580, 615, 791)),
    (_sets, (115,)),
    (complex, (252,)),
)  # fmt: skip
"""One conversion for every argument."""

_BY_PLACE: tuple[tuple[tuple[Convert, ...], tuple[int, ...]], ...] = (
    ((_tuples, _same), (75, 413, 444, 753)),
    ((_same, tuple), (106, 750)),
    ((tuple, _same), (250, 405, 446, 617, 720, 763, 808)),
    ((tuple, _same, _same), (307,)),
    ((float, complex), (124,)),
    ((_values_as_tuples, _same, _same), (722,)),
)
"""A conversion for each place."""


def mbpp_arguments(number: int, inputs: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The argument lists of task Mbpp/`number` with the types that its function takes."""
    for convert, numbers in _EACH:
        if number in numbers:
            return [[convert(argument) for argument in arguments] for arguments in inputs]
    for places, numbers in _BY_PLACE:
        if number in numbers:
            return [[convert(value) for convert, value in zip(places, arguments, strict=True)] for arguments in inputs]
    return [list(arguments) for arguments in inputs]
