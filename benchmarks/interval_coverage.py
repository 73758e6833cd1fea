"""How often 95 % intervals hold the truth, and how often crossover verdicts are wrong, where the truth is known.

    python benchmarks/interval_coverage.py [--repeats 1000] [--problems 30,100,500] [--seed 0] [--only NAME]

Each repeat draws problems from a population, samples from both models (n = 256), and asks the functions that write
results.json. A population is a law of the pair (base's chance, model's chance) of a problem: the base's is 0 with
probability `never`, else Beta(a, b); the model's is 1 - (1 - p)^g, g lognormal about `gain`, or 0 with probability
`lost`. The truth is the mean over the law, from a million problems; for `sampling`, over the problems at hand.

Tables (NAME): `pass_at_k` (problems resampled), `difference`, `sampling` (problems fixed), `sequential` (pass@k under
stages 16, 32, ... 256, stopping after 8), `support`, `beyond` (extrapolated pass@1,024 on a law that is as assumed, and
rejections at 5 %), `chains` (chain_rate) and `crossover`. A cell is the share of repeats in percent; with 1,000 repeats
its standard error is 0.7 at 95 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr_harness.metrics.chain_of_thought import ChainMarks, chain_rate
from rlvr_harness.metrics.coverage import coverage
from rlvr_harness.metrics.crossover import crossover
from rlvr_harness.metrics.curve import Curve, FloatArray, IntArray, ProblemCounts, Stopping
from rlvr_harness.metrics.estimates import pass_curve
from rlvr_harness.metrics.extrapolation import extrapolate
from rlvr_harness.metrics.intervals import measure_curve, problem_weights, subtract
from rlvr_harness.metrics.pass_at_k import curve_ks, pass_at_k_table, pass_at_k_variance
from rlvr_harness.metrics.support import support, support_intervals

N = 256
KS = (1, 8, 64, 256)
STAGES, STOP_AFTER = (16, 32, 64, 128, 256), 8
PAIRED_KS = tuple(range(1, N + 1))
OF_ALL_COUNTS = pass_at_k_table(np.full(N + 1, N), np.arange(N + 1), PAIRED_KS)
VARIANCES = pass_at_k_variance(np.full(N + 1, N), np.arange(N + 1), KS)
Rows = dict[str, list[float]]


@dataclass(frozen=True)
class Pair:
    """A law of the chances of success of base and model on one problem."""

    never: float
    a: float
    b: float
    gain: float
    lost: float
    spread: float

    def draw(self, rng: np.random.Generator, problems: int) -> tuple[FloatArray, FloatArray]:
        """(base's chances, model's chances)."""
        base = np.where(rng.random(problems) < self.never, 0.0, rng.beta(self.a, self.b, problems))
        model = 1 - (1 - base) ** (self.gain * np.exp(self.spread * rng.normal(size=problems)))
        return base, np.where(rng.random(problems) < self.lost, 0.0, model)

    def truth(self) -> tuple[FloatArray, FloatArray]:
        """True pass@k at k = 1 ... N of base and model."""
        curves = []
        for chances in self.draw(np.random.default_rng(99), 1_000_000):
            # Neighbours among the sorted chances are as good as equal: each 200 are worked out once.
            rates = np.sort(-np.log1p(-np.minimum(chances, 1 - 1e-12))).reshape(-1, 200).mean(axis=1)
            curves.append(-np.expm1(-np.outer(rates, PAIRED_KS)).mean(axis=0))
        return curves[0], curves[1]


POPULATIONS = {
    "hard, as AIME": Pair(0.2, 0.3, 2.0, 4.0, 0.08, 0.7),
    "easy, as MATH500": Pair(0.02, 0.6, 1.1, 6.0, 0.03, 1.0),
    "all but solved": Pair(0.02, 2.0, 1.0, 3.0, 0.02, 0.5),
    "equal models": Pair(0.1, 0.5, 1.0, 1.0, 0.0, 0.3),
}
CROSSINGS = {
    "base 12 points ahead at 256": Pair(0.1, 0.4, 1.5, 4.0, 0.20, 0.5),
    "base 3.6 points ahead at 256": Pair(0.1, 0.4, 1.5, 4.0, 0.095, 0.5),
    "base 0.7 points ahead at 256": Pair(0.1, 0.4, 1.5, 4.0, 0.06, 0.5),
    "model 0.6 points ahead at 256": Pair(0.1, 0.4, 1.5, 4.0, 0.045, 0.5),
    "model 10 points ahead at 256": Pair(0.1, 0.2, 2.0, 6.0, 0.0, 0.5),
    "equal models": Pair(0.1, 0.4, 1.5, 1.0, 0.0, 0.0),
}


def drawn(chances: FloatArray, rng: np.random.Generator) -> ProblemCounts:
    """Counts of N samples for each problem."""
    ids = tuple(map(str, range(len(chances))))
    return ProblemCounts(ids, np.full(len(chances), N), rng.binomial(N, chances))


def staged(chances: FloatArray, rng: np.random.Generator) -> ProblemCounts:
    """Counts under the sequential plan."""
    c, stage = np.zeros(len(chances), dtype=np.int64), np.zeros(len(chances), dtype=np.int64)
    for place, size in enumerate(np.diff(STAGES, prepend=0)):
        going = (c < STOP_AFTER) | (place == 0)
        c, stage = c + np.where(going, rng.binomial(size, chances), 0), np.where(going, place, stage)
    stopping = Stopping(STAGES, STOP_AFTER, tuple(STAGES[: place + 1] for place in stage))
    return ProblemCounts(tuple(map(str, range(len(c)))), np.array(STAGES)[stage], c, stopping)


def curve_of(c: IntArray, ks: Sequence[int], with_variances: bool = False) -> Curve:
    """pass@k at n = N, looked up."""
    columns = np.asarray(ks) - 1
    ids = tuple(map(str, range(len(c))))
    return Curve(ids, np.asarray(ks), OF_ALL_COUNTS[c][:, columns], VARIANCES[c] if with_variances else None)


def held(points: Sequence[object], truth: FloatArray, sides: str = "") -> list[float]:
    """1 where the interval holds the truth."""
    ends = [(getattr(point, f"{sides}low"), getattr(point, f"{sides}high")) for point in points]
    return [float(low <= true + 1e-12 and true - 1e-12 <= high) for (low, high), true in zip(ends, truth, strict=True)]


def of_curves(pair: Pair, problems: int, repeats: int, seed: int) -> Rows:
    """Coverage of pass@k, its difference and the sampling interval, by k."""
    columns = np.array(KS) - 1
    base, model = (curve[columns] for curve in pair.truth())
    rng = np.random.default_rng(seed)
    hits: dict[str, list[list[float]]] = {"pass_at_k": [], "difference": [], "sampling": []}
    for repeat in range(repeats):
        chances = pair.draw(rng, problems)
        curves = [curve_of(rng.binomial(N, p), KS, True) for p in chances]
        weights = problem_weights(problems, seed + repeat)
        alone = measure_curve(curves[0], weights)
        hits["pass_at_k"].append(held(alone, base))
        hits["difference"].append(held(measure_curve(subtract(curves[1], curves[0]), weights, -1.0), model - base))
        at_hand = (1 - (1 - chances[0][:, None]) ** np.array(KS)).mean(axis=0)
        hits["sampling"].append(held(alone, at_hand, "sampling_"))
    return {name: [float(share) for share in np.mean(rows, axis=0)] for name, rows in hits.items()}


def of_sequential(pair: Pair, problems: int, repeats: int, seed: int) -> Rows:
    """Coverage of pass@k under the sequential plan, by k: problems resampled, and problems fixed."""
    truth, rng = pair.truth()[0][np.array(KS) - 1], np.random.default_rng(seed)
    hits: dict[str, list[list[float]]] = {"sequential": [], "sequential, problems fixed": []}
    for repeat in range(repeats):
        chances = pair.draw(rng, problems)[0]
        points = measure_curve(pass_curve(staged(chances, rng), KS), problem_weights(problems, seed + repeat))
        at_hand = (1 - (1 - chances[:, None]) ** np.array(KS)).mean(axis=0)
        hits["sequential"].append(held(points, truth))
        hits["sequential, problems fixed"].append(held(points, at_hand, "sampling_"))
    return {name: [float(share) for share in np.mean(rows, axis=0)] for name, rows in hits.items()}


def of_support(pair: Pair, problems: int, repeats: int, seed: int) -> Rows:
    """Coverage of SRR, NDR, SDS and NSCR of the sets solved in N samples."""
    rng = np.random.default_rng(seed)
    solved = [1 - (1 - p) ** N for p in pair.draw(np.random.default_rng(98), 1_000_000)]
    kinds = [
        np.mean(x * y) for x, y in ((solved[0], solved[1]), (1 - solved[0], solved[1]), (solved[0], 1 - solved[1]))
    ]
    both, new, lost = (round(1e9 * float(kind)) for kind in kinds)
    truth = support(both, new, lost)
    hits = []
    for repeat in range(repeats):
        found = coverage(*(drawn(p, rng) for p in pair.draw(rng, problems)))
        kept = support_intervals(found.both, found.model_only, found.base_only, found.neither, seed + repeat)
        hits.append([_inside(kept[name], getattr(truth, name)) for name in ("srr", "ndr", "sds", "nscr")])
    return {"support": [float(share) for share in np.nanmean(hits, axis=0)]}


def _inside(bounds: dict[str, float] | None, truth: float) -> float:
    return float("nan") if bounds is None else float(bounds["low"] <= truth <= bounds["high"])


def of_extrapolation(pair: Pair, problems: int, repeats: int, seed: int) -> Rows:
    """Coverage of the base's pass@1,024 from N = 256 samples; refusals of a law that holds; repeats without a law."""
    chances = pair.draw(np.random.default_rng(97), 4_000_000)[0]
    truth, rng, found = float(np.mean(1 - (1 - chances) ** 1024)), np.random.default_rng(seed), []
    for repeat in range(repeats):
        counts = drawn(pair.draw(rng, problems)[0], rng)
        law = extrapolate(counts, curve_of(counts.c, curve_ks(N)), seed + repeat)
        point = None if law is None else law.pass_at_k["1024"]
        inside = np.nan if point is None else float(point.low <= truth <= point.high)
        found.append([inside, np.nan if law is None else float(law.warning is not None), float(law is None)])
    return {"beyond": [float(share) for share in np.nanmean(found, axis=0)]}


def of_chains(problems: int, repeats: int, seed: int) -> Rows:
    """Coverage of chain_rate at rates .5 and .9, marks of one problem alike or not (rate by problem Beta, weight w)."""
    rng, cells = np.random.default_rng(seed), []
    for rate in (0.5, 0.9):
        for weight in (0.5, 20.0):
            inside = []
            for _ in range(repeats):
                marked = rng.integers(1, 9, problems)
                right = rng.binomial(marked, rng.beta(rate * weight, (1 - rate) * weight, problems))
                found = chain_rate(ChainMarks(marked, right))
                inside.append(found is not None and found.low <= rate <= found.high)
            cells.append(float(np.mean(inside)))
    return {"chains": cells}


def of_crossings(pair: Pair, problems: int, repeats: int, seed: int) -> Rows:
    """True k* (0: never), shares of the three verdicts, and coverage of the interval of k*."""
    base, model = pair.truth()
    ahead = np.flatnonzero(model - base <= 0) if pair.spread else np.array([], dtype=int)
    true_k = float(ahead[0] + 1) if len(ahead) else np.inf
    rng, verdicts, inside = np.random.default_rng(seed), [], []
    for repeat in range(repeats):
        curves = [curve_of(rng.binomial(N, p), PAIRED_KS) for p in pair.draw(rng, problems)]
        found = crossover(*curves, problem_weights(problems, seed + repeat))
        verdicts.append([found.verdict == name for name in ("crossed", "not_crossed", "undecided")])
        inside.append((found.low or np.inf) <= true_k <= (found.high or np.inf))
    shares = [float(share) for share in np.mean(verdicts, axis=0)]
    return {"crossover": [true_k if np.isfinite(true_k) else 0.0, *shares, float(np.mean(inside))]}


TABLES: dict[str, tuple[dict[str, Pair], Callable[[Pair, int, int, int], Rows], str]] = {
    "curves": (POPULATIONS, of_curves, "k = 1, 8, 64, 256"),
    "sequential": (POPULATIONS, of_sequential, "k = 1, 8, 64, 256"),
    "support": (POPULATIONS, of_support, "SRR, NDR, SDS, NSCR"),
    "beyond": (POPULATIONS, of_extrapolation, "pass@1,024; a true law refused; no law"),
    "crossover": (CROSSINGS, of_crossings, "crossed, not_crossed, undecided; interval of k*"),
}


def main() -> None:
    """Prints one line a table, population and number of problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--problems", default="30,100,500")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[*TABLES, "chains"])
    given = parser.parse_args()
    sizes = [int(size) for size in given.problems.split(",")]
    for table, (populations, measure, columns) in TABLES.items():
        if given.only in (None, table):
            print(f"\n{table}: {columns}")
            for name, pair in populations.items():
                for problems in sizes:
                    _show(name, problems, measure(pair, problems, given.repeats, given.seed))
    if given.only in (None, "chains"):
        print("\nchains: rate 0.5 alike, 0.5 unlike, 0.9 alike, 0.9 unlike")
        for problems in sizes:
            _show("1 to 8 marks a problem", problems, of_chains(problems, given.repeats, given.seed))


def _show(population: str, problems: int, rows: Rows) -> None:
    for name, cells in rows.items():
        first = f"k* = {cells[0]:3.0f}  " if name == "crossover" else ""
        shares = "  ".join(f"{100 * cell:5.1f}" for cell in (cells[1:] if first else cells))
        print(f"{population:<30}{problems:>5}  {name:<26}  {first}{shares}", flush=True)


if __name__ == "__main__":
    main()
