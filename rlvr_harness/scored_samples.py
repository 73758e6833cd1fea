"""Which samples of a run are scored, and what an analysis was made with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness.parts.columns import PartKind
from rlvr_harness.run_reader import read_json, read_problems

Record = Mapping[str, Any]
"""The content of run.json."""
Keys = set[tuple[str, int]]
ABOUT = "about.json"


@dataclass(frozen=True)
class Selection:
    """Which samples are scored: of each of the first `limit` problems the same `per_problem` indices of every model.

    They are drawn by hash from the samples that every problem has whatever was found among them: all of a fixed plan,
    those of the first stage of a sequential one.
    """

    per_problem: int
    limit: int | None = None

    def indices(self, seed: int, task: str, problem_id: str, pool: int) -> list[int]:
        """The indices chosen among 0 to pool - 1; the first of a longer choice are the shorter one."""

        def rank(index: int) -> bytes:
            return hashlib.sha256(f"score\x1f{seed}\x1f{task}\x1f{problem_id}\x1f{index}".encode()).digest()

        return sorted(range(pool), key=rank)[: self.per_problem]

    def keys(self, folder: Path, task: str, record: Record) -> Keys:
        """(problem_id, index) of every sample chosen."""
        seed, pool = int(record["spec"]["seed"]), even_samples(record, task)
        problems = read_problems(folder, task)[: self.limit]
        return {
            (problem.problem_id, index)
            for problem in problems
            for index in self.indices(seed, task, problem.problem_id, pool)
        }


def even_samples(record: Record, task: str) -> int:
    """How many samples every problem of the task has, whatever was found among them."""
    plan = record["tasks"][task]["plan"]
    return int(plan["stages"][0] if plan["kind"] == "sequential" else plan["n"])


def read_about(folder: Path, kind: PartKind) -> dict[str, Any]:
    """What an analysis was told and made with; empty where there is none yet."""
    return read_json(folder / kind.top, ABOUT) if (folder / kind.top / ABOUT).is_file() else {}


def temperature_of(record: Record, task: str, role: str) -> float:
    """The temperature at which a model of the run was sampled."""
    own = record["spec"].get("temperatures") or {}
    return float(own.get(role, record["tasks"][task]["sampling"]["temperature"]))
