"""Which samples a problem is to have, in fixed units of work, and what they will cost at most.

A plan answers one question: given the verified counts so far, how many samples should a problem have. `FixedPlan` says
n for all; `SequentialPlan` goes on in stages where too few were right. Units, seeds and the run folder are the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, Protocol

from rlvr_harness.errors import UsageError
from rlvr_harness.records import Problem, Tally
from rlvr_harness.requests import SampleRequest, WorkUnit

SampleKey = tuple[str, int]
"""(problem_id, index): what identifies a sample within one task and model."""
FIRST_STAGE = 16
"""Samples before the first decision: with r = 8 a problem of even chances then stops, the hard ones go on."""


_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?)(|k|K|M|B|min|h)")
_TOKENS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}
_SECONDS = {"min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """What a run may spend: completion tokens, and seconds of the engines."""

    tokens: float = inf
    seconds: float = inf


def parse_budget(text: str) -> Budget:
    """`2.5M` -> 2,500,000 tokens, `8h` -> 8 hours. Raises ValueError on anything else."""
    found = _BUDGET.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise ValueError(f"--budget {text}: give tokens as 800k, 2.5M or 1B, or time as 90min or 8h")
    if found[2] in _SECONDS:
        return Budget(seconds=float(found[1]) * _SECONDS[found[2]])
    return Budget(tokens=float(found[1]) * _TOKENS[found[2]])


class Plan(Protocol):
    """Decides how many samples each problem is to have."""

    @property
    def n(self) -> int:
        """The most samples that a problem can have."""

    @property
    def stages(self) -> tuple[int, ...]:
        """Rising numbers of samples at which verdicts decide; the last is n."""

    def samples_wanted(self, problem_id: str, tally: Tally | None) -> int:
        """Number of samples the problem should have, given its verified counts so far."""

    def as_data(self) -> dict[str, Any]:
        """For run.json and results.json."""

    def extended(self, n: int) -> Plan:
        """A plan of `n` samples, more than this one's, that begins with this one's stages."""


@dataclass(frozen=True)
class FixedPlan:
    """The same n for every problem. `earlier`: the n of a run before it was topped up, drawn in units of its own."""

    n: int
    earlier: tuple[int, ...] = ()

    @property
    def stages(self) -> tuple[int, ...]:
        """The earlier n, and n; nothing is decided at them."""
        return (*self.earlier, self.n)

    def samples_wanted(self, problem_id: str, tally: Tally | None) -> int:
        """n, whatever was found so far."""
        return self.n

    def as_data(self) -> dict[str, Any]:
        """For results.json."""
        earlier = {"earlier": list(self.earlier)} if self.earlier else {}
        return {"kind": "fixed", "n": self.n, **earlier}

    def extended(self, n: int) -> FixedPlan:
        """The plan of `n` samples, in which those of this one are not drawn again."""
        return FixedPlan(n, self.stages)


@dataclass(frozen=True)
class SequentialPlan:
    """Stages n_1 < ... < n_J: a problem with `stop_after` or more right ones at the end of a stage stops there.

    Decisions are taken when all samples of a stage are judged; a void one counts as judged, not as right.
    """

    stages: tuple[int, ...]
    stop_after: int

    def __post_init__(self) -> None:
        """Raises UsageError for stages that do not rise from 1 on, or a stop_after below 1."""
        if not self.stages or self.stages[0] < 1 or any(b <= a for a, b in pairwise(self.stages)):
            raise UsageError(f"--stages {_listed(self.stages)}: give rising whole numbers above 0, as 16,32,64")
        if self.stop_after < 1:
            raise UsageError(f"--stop_after {self.stop_after}: give a whole number above 0")

    @property
    def n(self) -> int:
        """The last stage."""
        return self.stages[-1]

    def samples_wanted(self, problem_id: str, tally: Tally | None) -> int:
        """The stage under way, or the one that a finished stage leads to; n + void samples are those judged."""
        judged = tally.n + tally.void if tally else 0
        right = tally.c if tally else 0
        reached = [stage for stage in self.stages if stage <= judged]
        if reached and (right >= self.stop_after or reached[-1] == self.n):
            return reached[-1]
        return self.stages[len(reached)]

    def as_data(self) -> dict[str, Any]:
        """For results.json."""
        return {"kind": "sequential", "stages": list(self.stages), "stop_after": self.stop_after}

    def extended(self, n: int) -> SequentialPlan:
        """The plan up to `n` samples: the old stages, doublings above the last of them, and n.

        The old stages stay a prefix, so what stopped stays stopped and the estimates stay unbiased.
        """
        return SequentialPlan((*self.stages, *doublings(2 * self.n, n)), self.stop_after)


def doublings(first: int, n: int) -> tuple[int, ...]:
    """first, 2 first, 4 first, ... below n, and n. (16, 100) -> (16, 32, 64, 100); (16, 8) -> (8,)."""
    stages = []
    while first < n:
        stages.append(first)
        first *= 2
    return (*stages, n)


def plan_from_data(data: Mapping[str, Any]) -> FixedPlan | SequentialPlan:
    """The plan that `as_data` gave."""
    if data["kind"] == "sequential":
        return SequentialPlan(tuple(data["stages"]), data["stop_after"])
    return FixedPlan(data["n"], tuple(data.get("earlier", ())))


def _listed(stages: Sequence[int]) -> str:
    return ",".join(str(stage) for stage in stages)


def sample_seed(run_seed: int, task: str, problem_id: str, index: int) -> int:
    """Seed of one sample in [0, 2^63): the same for every model, distinct for every (task, problem, index)."""
    key = f"{run_seed}\x1f{task}\x1f{problem_id}\x1f{index}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def work_units(
    problems: Sequence[Problem],
    wanted: Mapping[str, int],
    rows: int,
    run_seed: int,
    done: Container[SampleKey],
    begin: int = 0,
) -> Iterator[WorkUnit]:
    """Units of about `rows` samples from index `begin` on that hold at least one missing sample.

    The cells (problem, block of `rows` indices) and their grouping depend on the other arguments alone, never on
    `done`: a unit that was cut short is repeated whole, so a resumed run computes the very same batches.
    """
    unit: list[SampleRequest] = []
    filled = 0
    for cell in _cells(problems, wanted, rows, run_seed, begin):
        if filled + len(cell.indices) > rows and unit:
            if _missing(unit, done):
                yield tuple(unit)
            unit, filled = [], 0
        unit.append(cell)
        filled += len(cell.indices)
    if unit and _missing(unit, done):
        yield tuple(unit)


def request_for(problem: Problem, indices: Sequence[int], run_seed: int) -> SampleRequest:
    """These samples of the problem, with their seeds."""
    seeds = tuple(sample_seed(run_seed, problem.task, problem.problem_id, index) for index in indices)
    return SampleRequest(problem, tuple(indices), seeds)


def _cells(
    problems: Sequence[Problem], wanted: Mapping[str, int], rows: int, run_seed: int, begin: int
) -> Iterator[SampleRequest]:
    for problem in problems:
        for first in range(begin, wanted[problem.problem_id], rows):
            yield request_for(problem, range(first, min(first + rows, wanted[problem.problem_id])), run_seed)


def _missing(unit: Sequence[SampleRequest], done: Container[SampleKey]) -> bool:
    return any((cell.problem.problem_id, index) not in done for cell in unit for index in cell.indices)


@dataclass(frozen=True)
class CostEstimate:
    """What a run will take at most. Tokens count completions only; hours need a speed and are None without one."""

    samples: int
    tokens: int
    disk_mb: float
    hours: float | None
    interval_width_at_k: float


def estimate_cost(problems: int, models: int, n: int, max_gen_toks: int, tokens_per_s: float | None) -> CostEstimate:
    """Upper bounds for samples and tokens; about 1.5 compressed bytes a token; a worst-case 95 % interval.

    Width at k = n: problems resampled, every problem solved or not, half and half (variance 1/4).
    """
    samples = problems * models * n
    tokens = samples * max_gen_toks
    return CostEstimate(
        samples=samples,
        tokens=tokens,
        disk_mb=tokens * 1.5 / 1e6,
        hours=tokens / tokens_per_s / 3600 if tokens_per_s else None,
        interval_width_at_k=min(1.0, 2 * 1.96 * (1 / 4 / problems) ** 0.5),
    )
