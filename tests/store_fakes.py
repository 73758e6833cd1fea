"""Rows for run folders, and a file system that stops at a chosen step."""

import os

import pyarrow.parquet as pq

from rlvr_harness.records import FinishReason, Outcome, Sample, Verdict


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self):
        return self.now


def sample(index, problem_id="p", text=None, model="base", **changes):
    fields = {"finish_reason": FinishReason.STOP, "n_tokens": 3, "logprob_sum": -1.5} | changes
    return Sample("t", model, problem_id, index, index + 7, text or f"text {problem_id} {index}", **fields)


def verdict(index, outcome=Outcome.RIGHT, answer="4", problem_id="p"):
    return Verdict(problem_id, index, outcome, answer, "match", 0.25)


def raw_keys(folder, place="samples/t/base"):
    """(problem_id, index) of every row of every part file, repeated rows and replaced parts included."""
    tables = [pq.read_table(path, columns=["problem_id", "index"]) for path in sorted((folder / place).glob("part-*"))]
    return [(row["problem_id"], row["index"]) for table in tables for row in table.to_pylist()]


def part_files(folder, place="samples/t/base"):
    return sorted(path.name for path in (folder / place).iterdir())


class Killed(BaseException):
    """The process is gone."""


class DyingDisk:
    """Lets `steps` changes of the file system happen; from then on every one raises Killed, as after a kill."""

    CHANGES = ("replace", "unlink", "fsync", "mkdir", "link")

    def __init__(self, monkeypatch, steps=None):
        self.left = steps
        self.done = 0
        for name in self.CHANGES:
            monkeypatch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name, change):
        def counted(*args, **options):
            if self.left is not None and self.done >= self.left:
                raise Killed
            self.done += 1
            # The disk itself is not part of the test, and waiting for it takes most of the time.
            return None if name == "fsync" else change(*args, **options)

        return counted
