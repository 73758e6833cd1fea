"""`lcb-compat`: LiveCodeBench's rules (lcb_runner/evaluation/testing_util.py), applied to data outside the program."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from rlvr_sandbox.oracles.contract import Accepts
from rlvr_sandbox.oracles.text import as_text, expected_lines, stripped_lines
from rlvr_sandbox.records import CodeTask, Style


def lcb_compat(task: CodeTask) -> Accepts:
    """Functions: an outer tuple counts as a list, then Python's own equality, without tolerance.

    Standard output: stripped lines, as many as expected, each equal as text or equal as decimal numbers, word by word.
    """
    if task.style is Style.FUNCTION:
        return lambda index, output: _same_value(output, task.expected[index])
    expected = expected_lines(task)
    return lambda index, output: _same_lines(stripped_lines(as_text(output)), expected[index])


def _same_value(output: Any, expected: Any) -> bool:
    return bool((list(output) if isinstance(output, tuple) else output) == expected)


def _same_lines(output: list[str], expected: list[str]) -> bool:
    if len(output) != len(expected):
        return False
    return all(left == right or _same_numbers(left, right) for left, right in zip(output, expected, strict=True))


def _same_numbers(output: str, expected: str) -> bool:
    """'1.50 2' and '1.5 2.0' are the same; a word that is no decimal number makes the line another."""
    try:
        right = [Decimal(word) for word in expected.split()]
        return [Decimal(word) for word in output.split()] == right
    except InvalidOperation:  # no number, or a signalling nan, which no comparison takes
        return False
