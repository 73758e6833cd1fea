"""What a sequential plan saves, and what it costs in interval width, on stated populations of problems.

    python benchmarks/sequential_savings.py [--counts FILE.csv] [--seed S]

A population is a number of problems and a law of their success chances p in one sample. Each problem's outcomes are
drawn once, to the largest k, and read twice: all of them (the fixed plan), and stage by stage (16, 32, .. k, stopping
after r right ones). For k = 128 and 1024 and r = 3, 4 and 8 one line says which share of the samples the plan drew; how
far its pass@k curve lies from the fixed one at most, in half-widths of the fixed curve's own 95 % interval (problems
resampled: what a paper reports); and how wide its intervals are against the fixed ones, at most over the curve.

Populations, the simplest laws that meet published figures, none fitted to the savings:

- Like MATH500, base and RL: 500 problems; a share of problems that no sample solves, the rest p ~ Beta(a, b), so that
  the expected pass@1 and pass@256 are those of arXiv:2504.13837, tables 3 and 4 (Qwen2.5-7B 34.5 % and 96.2 %; GRPO
  74.4 % and 97.2 %). Two figures leave one number free, how many of the problems unsolved at 256 are never solved:
  shown are half of them, and for the base none and nine in ten as well.
- Like AIME24, base: 30 problems, the same law with half; 23 of 30 solved at k = 1024 (table 2 there), and a pass@1 of
  10 %, which is assumed.
- `--counts FILE.csv` (columns problem_id, n, c; one model): p = c / n of each problem, so that a problem never solved
  stays so. Outcomes of 1,024 samples are drawn at this p.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import optimize, special

from rlvr_harness.metrics.curve import Curve, FloatArray, ProblemCounts, Stopping
from rlvr_harness.metrics.intervals import problem_interval, problem_weights
from rlvr_harness.metrics.pass_at_k import curve_ks, fixed_curve
from rlvr_harness.metrics.sequential import sequential_curve

FIRST_STAGE = 16
LARGEST = (128, 1024)
LIMITS = (3, 4, 8)


@dataclass(frozen=True)
class Population:
    """Problems by their chance of success; `draw` gives one chance a problem."""

    name: str
    problems: int
    draw: Callable[[np.random.Generator, int], FloatArray]


def inflated_beta(name: str, problems: int, first: float, reach: tuple[int, float], share: float) -> Population:
    """p = 0 with probability z, else Beta(a, b), such that E pass@1 = `first` and E pass@k = value, reach = (k, value).

    z is `share` of 1 - value. E (1-p)^k of a Beta is B(a, b+k) / B(a, b); b follows from the mean, a from the reach.
    """
    k, value = reach
    never = (1 - value) * share
    mean, missed = first / (1 - never), (1 - value - never) / (1 - never)

    def excess(log_a: float) -> float:
        a = float(np.exp(log_a))
        b = a * (1 - mean) / mean
        return float(special.betaln(a, b + k) - special.betaln(a, b) - np.log(missed))

    a = float(np.exp(optimize.brentq(excess, -6.0, 6.0)))
    b = a * (1 - mean) / mean

    def draw(rng: np.random.Generator, count: int) -> FloatArray:
        return np.where(rng.random(count) < never, 0.0, rng.beta(a, b, count))

    return Population(f"{name}: {never:.1%} never, else Beta({a:.3g}, {b:.3g})", problems, draw)


def from_counts(path: Path) -> Population:
    """The problems of a file with their share of right samples."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(int(row["n"]), int(row["c"])) for row in csv.DictReader(file)]
    shares = np.array([c / n for n, c in rows])
    return Population(f"{path.name}: p = c / n", len(shares), lambda _, count: shares[:count])


def stages_to(k: int) -> tuple[int, ...]:
    """16, 32, .. and k at last."""
    return (*(FIRST_STAGE << power for power in range(20) if FIRST_STAGE << power < k), k)


def line(outcomes: np.ndarray, k: int, stop_after: int, seed: int) -> str:
    """Both plans on the same outcomes, of shape (problems, k)."""
    stages, problems = stages_to(k), len(outcomes)
    right = np.stack([outcomes[:, :end].sum(axis=1) for end in stages], axis=1)
    stopped = right >= stop_after
    stage = np.where(stopped.any(axis=1), stopped.argmax(axis=1), len(stages) - 1)
    ids, ks = tuple(map(str, range(problems))), curve_ks(k)
    n, c = np.array(stages)[stage], right[np.arange(problems), stage]
    stopping = Stopping(stages, stop_after, tuple(stages[: last + 1] for last in stage))
    plan = sequential_curve(ProblemCounts(ids, n, c, stopping), ks)
    fixed = fixed_curve(ProblemCounts(ids, np.full(problems, k), right[:, -1]), ks)
    weights = problem_weights(problems, seed)
    ours, theirs = (problem_interval(each.values, weights) for each in (plan, fixed))
    apart = np.abs(plan.values.mean(axis=0) - fixed.values.mean(axis=0)) / ((theirs.high - theirs.low) / 2)
    widths = (ours.high - ours.low) / (theirs.high - theirs.low)
    return (
        f"k = {k:>5,}  r = {stop_after}  samples {n.sum() / (problems * k):6.1%}  apart {apart.max():.2f} half-widths  "
        f"width: problems resampled x{widths.max():.2f}, sampling alone x{_noise(plan, fixed).max():.2f} "
        f"(x{_noise(plan, fixed)[-1]:.2f} at k)"
    )


def _noise(plan: Curve, fixed: Curve) -> FloatArray:
    assert plan.variances is not None
    assert fixed.variances is not None
    return np.asarray(np.sqrt(plan.variances.sum(axis=0) / fixed.variances.sum(axis=0)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the lines of every population."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--counts", type=Path, action="append", default=[], metavar="FILE.csv")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    populations = [
        *(inflated_beta("like MATH500, Qwen2.5-7B", 500, 0.345, (256, 0.962), share) for share in (0.5, 0.0, 0.9)),
        inflated_beta("like MATH500, GRPO", 500, 0.744, (256, 0.972), 0.5),
        inflated_beta("like AIME24, Qwen2.5-7B", 30, 0.10, (1024, 23 / 30), 0.5),
        *map(from_counts, given.counts),
    ]
    for population in populations:
        rng = np.random.default_rng(given.seed)
        p = population.draw(rng, population.problems)
        outcomes = rng.random((len(p), max(LARGEST))) < p[:, None]
        print(f"{population.name} ({len(p):,} problems, pass@1 = {p.mean():.1%})")
        for k in LARGEST:
            for stop_after in LIMITS:
                print("  " + line(outcomes[:, :k], k, stop_after, given.seed))


if __name__ == "__main__":
    main()
