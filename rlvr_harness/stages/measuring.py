"""Measuring: the tallies of one task's models become its entry in results.json. Pure: no input, no output."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from rlvr_harness.errors import TaskError
from rlvr_harness.fairness import Fairness
from rlvr_harness.metrics.answers import Answers
from rlvr_harness.metrics.coverage import Coverage, coverage
from rlvr_harness.metrics.crossover import crossover
from rlvr_harness.metrics.curve import Curve, FloatArray, ProblemCounts
from rlvr_harness.metrics.diversity import answer_entropy, duplicate_share, mean_distinct_answers, truncation_share
from rlvr_harness.metrics.guessing import ForeignMatches, empirical_floor, uniform_floor
from rlvr_harness.metrics.histogram import accuracy_histogram
from rlvr_harness.metrics.intervals import bootstrap_weights, measure_curve, subtract
from rlvr_harness.metrics.majority import maj_at_k_table, vote_draws
from rlvr_harness.metrics.pass_at_k import curve_ks, fixed_curve, pass_hat_curve
from rlvr_harness.metrics.reliability import auc_at_k, cover_at_tau, g_pass_at_k
from rlvr_harness.metrics.support import delta_se, miss_bound, support, support_intervals
from rlvr_harness.records import Tally

G_PASS_TAUS = tuple(Fraction(quarter, 4) for quarter in range(1, 5))
COVER_TAUS = tuple(Fraction(tenth, 10) for tenth in range(1, 11))
COUNT_COLUMNS = ("problem_id", "n", "c")
IDS_NAMED = 10


@dataclass(frozen=True, slots=True)
class ModelTallies:
    """What is known of one model on one task; whatever is None is measured as null.

    `answers` and `distinct_texts` are by problem_id. `answers` covers the verified samples, `distinct_texts` all drawn
    ones; `truncated` counts samples that ended at the token limit.
    """

    role: str
    name: str
    tallies: Sequence[Tally]
    truncated: int | None = None
    mean_tokens: float | None = None
    answers: Mapping[str, Answers] | None = None
    distinct_texts: Mapping[str, int] | None = None
    foreign: ForeignMatches | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskTallies:
    """All models of one task, in the order of the report, the headline model before the others.

    `k`: the largest k wanted, None for as many as there are samples. `chances`: problem_id -> chance of a random guess.
    Every model but `base` is compared with it; where no model has that role, or it is alone, nothing is compared.
    """

    task: str
    models: Sequence[ModelTallies]
    k: int | None = None
    seed: int = 0
    base: str = "base"
    chances: Mapping[str, float] = field(default_factory=dict)
    chance_label: str = ""
    fairness: Fairness = field(default_factory=Fairness)
    fairness_of: Mapping[str, Fairness] = field(default_factory=dict)
    """How each model was compared with the base, where that is not `fairness`; its warnings are not read."""


def measure_task(task: TaskTallies) -> dict[str, Any]:
    """The task's entry in results.json: fractions, null where undefined, plain JSON types throughout."""
    problem_ids = list(dict.fromkeys(tally.problem_id for model in task.models for tally in model.tallies))
    counts = {model.role: _measured_counts(model, problem_ids) for model in task.models}
    k_max = _largest_k(task, counts.values())
    warnings = [*task.fairness.warnings, *_warnings(task, counts, k_max)]
    entry: dict[str, Any] = {
        "problems": len(problem_ids),
        "models": {model.role: _measure_model(task, model, counts[model.role], k_max) for model in task.models},
        "warnings": warnings,
    }
    comparisons = []
    if task.base in counts:
        others = [role for role in counts if role != task.base]
        comparisons = [_compare(task, counts, role, k_max) | _fairness(task, role, warnings) for role in others]
    if comparisons:
        entry["comparison"] = comparisons[0]
    if len(comparisons) > 1:
        entry["comparisons"] = comparisons
    return entry


def _measured_counts(model: ModelTallies, problem_ids: Iterable[str]) -> ProblemCounts:
    """The model's counts on problems with a verified sample, in the task's order."""
    by_id = {tally.problem_id: tally for tally in model.tallies}
    if len(by_id) < len(model.tallies):
        raise TaskError(f"{model.role}: a problem_id occurs twice in its counts; give each problem one row")
    for tally in model.tallies:
        if not 0 <= tally.c <= tally.n:
            fault = f"problem {tally.problem_id!r} has c = {tally.c} right of n = {tally.n} samples"
            raise TaskError(f"{model.role}: {fault}; counts need 0 <= c <= n")
    chosen = [by_id[problem_id] for problem_id in problem_ids if problem_id in by_id and by_id[problem_id].n]
    n, c = (np.array([getattr(tally, name) for tally in chosen], dtype=np.int64) for name in ("n", "c"))
    return ProblemCounts(tuple(tally.problem_id for tally in chosen), n, c)


def _largest_k(task: TaskTallies, counts: Iterable[ProblemCounts]) -> int:
    """The largest k that every problem of every model has samples for, at most the one wanted; 0 without samples."""
    smallest = min((int(of_model.n.min()) for of_model in counts if len(of_model.n)), default=0)
    return smallest if task.k is None else min(task.k, smallest)


def _warnings(task: TaskTallies, counts: Mapping[str, ProblemCounts], k_max: int) -> list[str]:
    found = []
    if task.k is not None and k_max < task.k:
        found.append(
            f"k = {task.k:,} was asked for; curves stop at {k_max:,}, the fewest verified samples of a problem"
        )
    for model in task.models:
        void = [tally.problem_id for tally in model.tallies if not tally.n]
        if void:
            found.append(f"{model.role}: left out, no verified sample: {_named(void)}")
    shared = set.intersection(*(set(of_model.problem_ids) for of_model in counts.values())) if counts else set()
    lacking = [i for of_model in counts.values() for i in of_model.problem_ids if i not in shared]
    if lacking:
        found.append(f"not measured for every model: {_named(list(dict.fromkeys(lacking)))}")
    spans = {role: _span(of_model) for role, of_model in counts.items() if len(of_model.n)}
    drawn = [dict(zip(of_model.problem_ids, of_model.n.tolist(), strict=True)) for of_model in counts.values()]
    if any(len({of_model[problem_id] for of_model in drawn}) > 1 for problem_id in shared):
        listed = ", ".join(f"{role} {span}" for role, span in spans.items())
        found.append(f"samples per problem differ ({listed}): coverage favours the model with more")
    return found


def _named(problem_ids: Sequence[str]) -> str:
    rest = len(problem_ids) - IDS_NAMED
    noun = "problem" if len(problem_ids) == 1 else "problems"
    return (
        f"{len(problem_ids):,} {noun} ({', '.join(problem_ids[:IDS_NAMED])}{f' and {rest:,} more' if rest > 0 else ''})"
    )


def _span(counts: ProblemCounts) -> str:
    fewest, most = int(counts.n.min()), int(counts.n.max())
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"


def _measure_model(task: TaskTallies, model: ModelTallies, counts: ProblemCounts, k_max: int) -> dict[str, Any]:
    """The model's entry: what was drawn and judged, then every metric of it alone."""
    ks = curve_ks(k_max) if len(counts.n) else ()
    void = sum(tally.void for tally in model.tallies)
    samples = int(counts.n.sum()) + void
    distinct = None if model.distinct_texts is None else sum(model.distinct_texts.values())
    drawn = {
        "name": model.name,
        "samples": samples,
        "right": int(counts.c.sum()),
        "wrong": int((counts.n - counts.c).sum()),
        "void": void,
        "truncated": model.truncated,
        "truncated_share": None if model.truncated is None else truncation_share(samples, model.truncated),
        "mean_tokens": model.mean_tokens,
        "plan": dict(model.plan),
        "duplicates": None if distinct is None else duplicate_share(samples, distinct),
        "counts": {name: [getattr(tally, name) for tally in model.tallies] for name in COUNT_COLUMNS},
    }
    metrics = {
        "auc_at_k": auc_at_k(fixed_curve(counts, range(1, k_max + 1), with_variances=False)),
        "accuracy_histogram": accuracy_histogram(counts.n, counts.c),
        "guess_floor": _guess_floor(task, model, counts, ks),
        "extrapolated": None,
        "perplexity": None,
    }
    return drawn | _curves(task, counts, ks) | _answer_metrics(task, model, counts, ks) | metrics


def _curves(task: TaskTallies, counts: ProblemCounts, ks: Sequence[int]) -> dict[str, Any]:
    weights = _weights(task, len(counts.n))
    g_pass = {k: _measured(g_pass_at_k(counts, k, G_PASS_TAUS), weights) for k in ks}
    cover = _measured(cover_at_tau(counts, COVER_TAUS), weights)
    return {
        "pass_at_k": _measurements(fixed_curve(counts, ks), weights),
        "pass_hat_k": _measurements(pass_hat_curve(counts, ks), weights),
        "g_pass_at_k": {
            str(float(tau)): {str(k): measured[column] for k, measured in g_pass.items()}
            for column, tau in enumerate(G_PASS_TAUS)
        },
        "cover_at_tau": {str(float(tau)): point for tau, point in zip(COVER_TAUS, cover, strict=False)},
    }


def _answer_metrics(task: TaskTallies, model: ModelTallies, counts: ProblemCounts, ks: Sequence[int]) -> dict[str, Any]:
    """What needs the answers themselves; null where they were not kept, or where the task reads none."""
    given = model.answers or {}
    answers = [given.get(problem_id, {}) for problem_id in counts.problem_ids] if given else []
    if not any(answer is not None for of_problem in answers for answer in of_problem):
        return {"maj_at_k": None, "maj_at_k_draws": None, "entropy": {"answer": None, "token": None}}
    for row, of_problem in enumerate(answers):
        if sum(count for count, _ in of_problem.values()) != counts.n[row]:
            raise ValueError(f"{model.role}: answers of {counts.problem_ids[row]!r} do not add up to its n")
    draws = vote_draws(int(counts.n.sum()))
    votes = Curve(counts.problem_ids, np.array(ks), maj_at_k_table(answers, ks, draws, task.seed))
    return {
        "maj_at_k": _measurements(votes, _weights(task, len(answers))),
        "maj_at_k_draws": draws,
        "entropy": {"answer": answer_entropy(answers), "token": None},
        "distinct_answers": mean_distinct_answers(answers),
    }


def _guess_floor(task: TaskTallies, model: ModelTallies, counts: ProblemCounts, ks: Sequence[int]) -> dict[str, Any]:
    """Uniform guesses, a problem without a known chance counting as 0; and the model's answers to other problems."""
    uniform = empirical = None
    label = task.chance_label
    known = [problem_id for problem_id in counts.problem_ids if problem_id in task.chances]
    if known and ks:
        uniform = uniform_floor([task.chances.get(problem_id, 0.0) for problem_id in counts.problem_ids], ks)
        if len(known) < len(counts.n):
            label = f"{label} (known for {len(known):,} of {len(counts.n):,} problems, 0 elsewhere)".strip()
    if model.foreign is not None and ks:
        empirical = empirical_floor(model.foreign, ks)
    return {"uniform": _by_k(ks, uniform), "label": label, "empirical": _by_k(ks, empirical)}


def _compare(task: TaskTallies, counts: Mapping[str, ProblemCounts], role: str, k_max: int) -> dict[str, Any]:
    """One comparison, on the problems that both models have."""
    in_model = set(counts[role].problem_ids)
    shared = [problem_id for problem_id in counts[task.base].problem_ids if problem_id in in_model]
    base, model = counts[task.base].only(shared), counts[role].only(shared)
    weights = _weights(task, len(shared))
    ks, every_k = (curve_ks(k_max), range(1, k_max + 1)) if shared else ((), range(0))
    base_curve, model_curve = fixed_curve(base, ks), fixed_curve(model, ks)
    crossing = crossover(
        fixed_curve(base, every_k, with_variances=False), fixed_curve(model, every_k, with_variances=False), weights
    )
    gap: dict[str, Any] = {"k": None, "value": None}
    if ks:
        curve = delta_se(base_curve, model_curve)
        gap = {"k": int(curve.ks[0])} | _measured(curve.values, weights, -1.0, curve.variances)[0]
    return {
        "base": task.base,
        "model": role,
        "problems": len(shared),
        "difference": _measurements(subtract(model_curve, base_curve), weights, -1.0),
        "crossover": dataclasses.asdict(crossing),
        "delta_se": gap,
    } | _solved_sets(coverage(base, model))


def _solved_sets(solved: Coverage) -> dict[str, Any]:
    """Coverage, and the support metrics that follow from it, with exact intervals for the two plain rates."""
    quadrants = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(solved).items()}
    shares = support(both=solved.both, model_only=solved.model_only, base_only=solved.base_only)
    intervals = support_intervals(both=solved.both, model_only=solved.model_only, base_only=solved.base_only)
    return {
        "coverage": quadrants | {"miss_bound": miss_bound(solved.k) if solved.k else None},
        "support": dataclasses.asdict(shares) | {"intervals": intervals},
    }


def _fairness(task: TaskTallies, role: str, warnings: list[str]) -> dict[str, Any]:
    return {"fairness": task.fairness_of.get(role, task.fairness).as_data(warnings)}


def _weights(task: TaskTallies, problems: int) -> FloatArray:
    """Resamples of so many problems: the same for every model of the task, so that differences are paired."""
    return bootstrap_weights(problems, task.seed) if problems else np.empty((0, 0))


def _measurements(curve: Curve, weights: FloatArray, floor: float = 0.0) -> dict[str, Any]:
    return {
        str(k): dataclasses.asdict(point)
        for k, point in zip(curve.ks, measure_curve(curve, weights, floor), strict=False)
    }


def _measured(
    values: FloatArray, weights: FloatArray, floor: float = 0.0, variances: FloatArray | None = None
) -> list[dict[str, Any]]:
    """Measurements of the columns of `values`, whatever the columns stand for."""
    curve = Curve((), np.arange(values.shape[1]), values, variances)
    return [dataclasses.asdict(point) for point in measure_curve(curve, weights, floor)]


def _by_k(ks: Sequence[int], values: FloatArray | None) -> dict[str, float] | None:
    return None if values is None else {str(k): float(value) for k, value in zip(ks, values, strict=True)}
