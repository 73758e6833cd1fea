"""The process of a training: started in a group of its own, its output kept and read, ended with us."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TextIO

from rlvr_harness import training_guard
from rlvr_harness.errors import HarnessError
from rlvr_harness.rewards.calling import COUNTS_VARIABLE
from rlvr_harness.training_contracts import TrainingPlan, TrainingProgress

EVERY_S = 10.0
"""Pause between two lines of progress where stderr is no terminal."""
KEPT_LINES = 30
SHOWN = ("reward", "loss", "kl", "entropy", "void")
"""Numbers of the live line, where the backend tells them."""


class Follower:
    """Reads the lines of a training: all into train.log, numbers into progress.jsonl, and the live line."""

    def __init__(self, folder: Path, steps: int, stream: TextIO | None) -> None:
        """`stream` None keeps quiet."""
        self._folder, self._steps, self._stream = folder, steps, stream
        self._said = -EVERY_S
        self.last: deque[str] = deque(maxlen=KEPT_LINES)

    def follow(self, output: IO[bytes], read: Callable[[str], TrainingProgress | None]) -> None:
        """Until the output ends. `read`: `TrainingBackend.progress`."""
        with (self._folder / "train.log").open("ab") as log, self._progress_file().open("a", encoding="utf-8") as rows:
            for raw in output:
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                if line.strip():
                    self.last.append(line.strip())
                told = read(line)
                if told is not None:
                    row = {"time": round(time.time(), 3), "step": told.step, **told.numbers}
                    rows.write(json.dumps(row) + "\n")
                    rows.flush()
                    self._say(told)
        if self._stream is not None and self._stream.isatty():
            self._stream.write("\n")

    def _progress_file(self) -> Path:
        return self._folder / "progress.jsonl"

    def _say(self, told: TrainingProgress) -> None:
        if self._stream is None:
            return
        shown = [f"{name} {told.numbers[name]:.4g}" for name in SHOWN if name in told.numbers]
        line = ", ".join([f"step {told.step:,} of {self._steps:,}", *shown])
        if self._stream.isatty():
            self._stream.write(f"\r\x1b[K{line}")
            self._stream.flush()
        elif time.monotonic() - self._said >= EVERY_S or told.step >= self._steps:
            self._said = time.monotonic()
            print(line, file=self._stream, flush=True)


def run_process(
    plan: TrainingPlan, folder: Path, follower: Follower, read: Callable[[str], TrainingProgress | None]
) -> None:
    """Runs the plan's command to its end. Raises HarnessError where it fails; whatever ends us ends its whole group,

    `training_guard` also where we are killed.
    """
    counts = folder / "rewards"
    counts.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **plan.environment, COUNTS_VARIABLE: str(counts.resolve())}
    process = subprocess.Popen(
        [sys.executable, "-I", training_guard.__file__, *plan.command],
        cwd=plan.folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with process.stdin, process.stdout:
            follower.follow(process.stdout, read)
        status = process.wait()
    finally:
        end_group(process)
    if status:
        cause = next((line for line in reversed(follower.last) if line), "it said nothing")
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise HarnessError(f"training ended with {how}: {cause[:300]} (all of it in {folder / 'train.log'})")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all it started: asked twice, then by force."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            if process.poll() is not None:
                signum = signal.SIGKILL  # its leader is gone: workers left behind have nobody to tell
            os.killpg(process.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(training_guard.PATIENCE_S)
            if signum is signal.SIGKILL:
                return


def count_void(folder: Path) -> tuple[int, int]:
    """(verdicts that could not be had, all that were asked for), over all processes that gave rewards."""
    void = asked = 0
    for path in sorted((folder / "rewards").glob("*.json")):
        with suppress(OSError, ValueError):  # a process that was ended may leave half a file
            held = json.loads(path.read_text(encoding="utf-8"))
            faults = sum(held["labels"].values())
            void += faults + sum(counts.get("void", 0) for counts in held["tasks"].values())
            asked += faults + sum(sum(counts.values()) for counts in held["tasks"].values())
    return void, asked


def stderr_or_none(quiet: bool) -> TextIO | None:
    """Where progress is told."""
    return None if quiet else sys.stderr


def counted(numbers: Mapping[str, object] | Sequence[object], noun: str) -> str:
    """`1 checkpoint`, `2 checkpoints`."""
    return f"{len(numbers):,} {noun}{'' if len(numbers) == 1 else 's'}"
