"""What guessing alone would score at k: uniform guesses, and a model's own answers handed to other problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr_harness.metrics.answers import Answers
from rlvr_harness.metrics.curve import FloatArray, IntArray
from rlvr_harness.metrics.pass_at_k import pass_at_k_table

FOREIGN_PROBLEMS = 32


@dataclass(frozen=True, slots=True, eq=False)
class ForeignMatches:
    """For pairs (i, j) of different problems: n samples of problem i, c of which match the gold of problem j."""

    n: IntArray
    c: IntArray


def chance_in_k_draws(p: FloatArray | float, k: FloatArray | IntArray | int) -> FloatArray:
    """1 - (1 - p)^k, without losing digits at small p."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(np.multiply(k, np.log1p(np.negative(p)))), dtype=np.float64)


def uniform_floor(chances: Sequence[float] | FloatArray, ks: Sequence[int]) -> FloatArray:
    """pass@k of a guesser right on problem i with chance p_i in one draw: mean of 1 - (1 - p_i)^k, shape (K,)."""
    p = np.asarray(chances, dtype=np.float64)
    if ((p < 0) | (p > 1)).any() or np.isnan(p).any():
        raise ValueError("a chance lies between 0 and 1")
    return np.asarray(chance_in_k_draws(p[:, None], np.asarray(ks)).mean(axis=0))


def match_foreign_golds(
    answers: Mapping[str, Answers],
    matches: Callable[[str, str], bool],
    seed: int,
    foreign: int = FOREIGN_PROBLEMS,
) -> ForeignMatches:
    """Grades each problem's sampled answers against the golds of up to `foreign` other problems, chosen by `seed`.

    `matches(answer, problem_id)` tells whether the answer would be right on that problem; a sample without an answer
    matches nothing.
    """
    rng = np.random.default_rng(seed)
    problem_ids = list(answers)
    n, c = [], []
    for row, given in enumerate(answers.values()):
        drawn = sum(count for count, _ in given.values())
        if not drawn:
            continue
        others = rng.choice(len(problem_ids) - 1, size=min(foreign, len(problem_ids) - 1), replace=False)
        for other in sorted(others + (others >= row)):
            hits = (count for a, (count, _) in given.items() if a is not None and matches(a, problem_ids[other]))
            n.append(drawn)
            c.append(sum(hits))
    return ForeignMatches(np.array(n, dtype=np.int64), np.array(c, dtype=np.int64))


def empirical_floor(pairs: ForeignMatches, ks: Sequence[int]) -> FloatArray | None:
    """Mean pass@k over pairs of the answers of one problem offered to another, shape (K,); None without pairs."""
    return pass_at_k_table(pairs.n, pairs.c, ks).mean(axis=0) if len(pairs.n) else None
