"""Tests of code problems on disk, by the hash of their content, with the answers worked out on this machine.

A problem carries only the key: its tests can be hundreds of megabytes, and would travel with each call of a worker.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlvr_code.hub_layout import hub_task
from rlvr_harness import TaskError
from rlvr_sandbox.calibrate import calibrate
from rlvr_sandbox.datasets import evalplus_solution, evalplus_task, livecodebench_task
from rlvr_sandbox.jail import tagged
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.preparing import UNCAPPED, VERDICT_VERSION
from rlvr_sandbox.records import CodeTask

_MOST_BYTES = 1 << 30
_TIMES_PACKED = 10  # LiveCodeBench's tests unpack to some ten times their size
_TIMES_ENCODED = 4  # values take about that much more memory than their encoding


def default_folder() -> Path:
    """$RLVR_HARNESS_CACHE/code; without that variable, rlvr-harness/code in the user's cache folder."""
    own = os.environ.get("RLVR_HARNESS_CACHE")
    if own:
        return Path(own) / "code"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlvr-harness" / "code"


@dataclass(frozen=True)
class StoredTests:
    """The store in one folder. Any number of processes may use it at once."""

    folder: Path

    def put(self, row: Mapping[str, Any]) -> str:
        """Keeps a benchmark's row and returns its key: the sha256 of its content. Raises TaskError."""
        text = json.dumps(row, sort_keys=True, ensure_ascii=True).encode()
        key = hashlib.sha256(text).hexdigest()
        path = self._row(key)
        if not path.is_file():
            try:
                _write(path, gzip.compress(text, 1, mtime=0))
            except OSError as error:
                raise TaskError(
                    f"tests cannot be kept in {self.folder}: {error.strerror}; "
                    "name another folder in RLVR_HARNESS_CACHE"
                ) from error
        return key

    def row(self, key: str) -> dict[str, Any]:
        """The row of that key. Raises TaskError."""
        try:
            row: dict[str, Any] = json.loads(gzip.decompress(self._row(key).read_bytes()))
        except FileNotFoundError as error:
            raise TaskError(
                f"the tests {key[:12]} are not in {self.folder}; load their task again: rlvr-harness validate TASK"
            ) from error
        except (OSError, EOFError, ValueError) as error:
            raise TaskError(f"{self._row(key)} cannot be read: {error}; delete it and load the task again") from error
        return row

    def task(self, key: str, judge: Judge, place: str) -> CodeTask:
        """The task of that key, with expected answers; `place` names the sandbox that they are worked out in.

        Raises TaskError, and TaskInvalid for a task whose own solution fails there.
        """
        row = self.row(key)
        if "public_test_cases" in row:
            return livecodebench_task(row)
        task = evalplus_task(row) if "base_input" in row else hub_task(row)
        path = self._answers(key, place)
        with _locked(path):
            known = _read_answers(path, task)
            if known is None:
                known = calibrate(task, evalplus_solution(row), judge)
                _write_answers(path, known)
        return known

    def weight(self, key: str, place: str) -> int:
        """About how many bytes of memory the task of that key takes, judged by its files."""
        row, answers = self._row(key), self._answers(key, place)
        return _TIMES_PACKED * row.stat().st_size + (
            _TIMES_ENCODED * answers.stat().st_size if answers.is_file() else 0
        )

    def _row(self, key: str) -> Path:
        return self.folder / "tests" / key[:2] / f"{key}.json.gz"

    def _answers(self, key: str, place: str) -> Path:
        """Time limits hang on the machine, answers on interpreter and sandbox: all of them are in the name."""
        about = (place, VERDICT_VERSION, sys.version, platform.node(), platform.machine())
        digest = hashlib.sha256("\0".join(about).encode()).hexdigest()[:16]
        return self.folder / "answers" / key[:2] / f"{key}-{digest}"


def _read_answers(path: Path, task: CodeTask) -> CodeTask | None:
    """The task as it was calibrated, less the tests that were left out then; None where that is not known."""
    try:
        expected, limits_s, total_s, settings = tagged.decode(path.read_bytes(), UNCAPPED)
        dropped = frozenset(settings.get("dropped", ()))
    except (FileNotFoundError, tagged.Malformed, ValueError, TypeError, AttributeError):
        return None
    inputs = [given for number, given in enumerate(task.inputs) if number not in dropped]
    if not len(inputs) == len(expected) == len(limits_s):
        return None
    limits = replace(task.limits, total_cpu_s=total_s)
    return replace(task, inputs=inputs, expected=expected, limits_s=limits_s, limits=limits, settings=settings)


def _write_answers(path: Path, task: CodeTask) -> None:
    kept = [list(task.expected), list(task.limits_s), task.limits.total_cpu_s, dict(task.settings)]
    try:
        _write(path, tagged.encode(kept, _MOST_BYTES))
    except OSError as error:
        raise TaskError(f"{path} cannot be written: {error.strerror}; free some space there") from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(name).replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Until the block ends no other process works out the same answers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
