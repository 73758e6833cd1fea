"""LiveCodeBench's code generation problems in the layout of its hub files."""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.records import CodeTask, Limits, Style

_SECONDS_PER_TEST = 6.0
_STARRED = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
    "functools", "operator", "io", "sys", "json", "builtins", "typing",
)  # fmt: skip
PRELUDE = (
    "".join(f"from {name} import *\n" for name in _STARRED)
    + "".join(f"import {name}\n" for name in _STARRED[:-2])
    + "sys.setrecursionlimit(50000)\n"
)
"""What LiveCodeBench runs before a program."""

# The largest problems hold about 100 MB of tests; more than this is not one of its files.
_MOST_BYTES = 1 << 30


class _TextOnly(pickle.Unpickler):
    """Loads text and nothing that would have to be found by name."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuses everything."""
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a list of tests")


def private_tests(packed: str) -> list[dict[str, Any]]:
    """The `private_test_cases` of a row: JSON, or in the hub's files base64 of zlib of a pickled JSON text.

    Raises TaskInvalid where it is neither. Nothing but text is ever unpickled.
    """
    try:
        try:
            return _tests(json.loads(packed))
        except json.JSONDecodeError:
            inflater = zlib.decompressobj()
            data = inflater.decompress(base64.b64decode(packed, validate=True), _MOST_BYTES)
            if not inflater.eof:
                raise ValueError("it is cut short, or larger than any real list") from None
            return _tests(json.loads(_TextOnly(io.BytesIO(data)).load()))
    except (ValueError, TypeError, LookupError, EOFError, binascii.Error, zlib.error, pickle.UnpicklingError) as error:
        raise TaskInvalid(f"private_test_cases cannot be read: {error}") from error


def _tests(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(test, dict) for test in value):
        raise ValueError("not a list of tests")
    return value


def livecodebench_task(row: Mapping[str, Any], *, limits: Limits | None = None) -> CodeTask:
    """The task of a row, with its public tests and, where the row has them, its private ones behind those.

    A problem whose metadata name a function is tested by calls, any other on standard input.
    Raises TaskInvalid for a row of another layout.
    """
    name = str(row.get("question_id", "?"))
    try:
        tests = _tests(json.loads(row["public_test_cases"]))
        if row.get("private_test_cases"):
            tests = [*tests, *private_tests(row["private_test_cases"])]
        metadata = row.get("metadata") or {}
        function = (json.loads(metadata) if isinstance(metadata, str) else metadata).get("func_name")
        given, wanted = [str(test["input"]) for test in tests], [str(test["output"]) for test in tests]
        if not function:
            return _task(name, None, given, wanted, limits)
        arguments = [[json.loads(line) for line in text.split("\n")] for text in given]
        return _task(name, str(function), arguments, [json.loads(text) for text in wanted], limits)
    except TaskInvalid as invalid:
        raise TaskInvalid(f"LiveCodeBench problem {name}: {invalid}") from invalid
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TaskInvalid(f"LiveCodeBench problem {name} is not in its hub files' layout: {error!r}") from error


def _task(
    name: str, function: str | None, inputs: Sequence[Any], expected: Sequence[Any], limits: Limits | None
) -> CodeTask:
    """`class_optional`: a program without the text "class Solution" may have the function by itself."""
    per_test = limits or Limits(cpu_s=_SECONDS_PER_TEST, total_cpu_s=_SECONDS_PER_TEST * max(1, len(inputs)))
    return CodeTask(
        name=name,
        style=Style.FUNCTION if function else Style.STDIN,
        inputs=inputs,
        expected=expected,
        entry=f"Solution.{function}" if function else None,
        oracle="lcb-compat",
        settings={"class_optional": True} if function else {},
        prelude=PRELUDE,
        limits=per_test,
    )
