"""Measuring: the tallies of one task's models become its entry in results.json. Pure: no input, no output."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from rlvr_harness.fairness import Fairness
from rlvr_harness.metrics.answers import Answers
from rlvr_harness.metrics.coverage import Coverage, coverage
from rlvr_harness.metrics.crossover import crossover
from rlvr_harness.metrics.curve import Curve, FloatArray, ProblemCounts, StagePath
from rlvr_harness.metrics.diversity import answer_entropy, duplicate_share, mean_distinct_answers, truncation_share
from rlvr_harness.metrics.estimates import Estimates, cover, estimate, g_pass, histogram, paid, pass_hat
from rlvr_harness.metrics.extrapolation import extrapolate
from rlvr_harness.metrics.guessing import ForeignMatches, empirical_floor, uniform_floor
from rlvr_harness.metrics.intervals import measure_curve, problem_weights, subtract
from rlvr_harness.metrics.majority import maj_at_k_table, vote_draws
from rlvr_harness.metrics.reliability import auc_at_k
from rlvr_harness.metrics.shift import shift
from rlvr_harness.metrics.support import delta_se, miss_bound, support, support_intervals
from rlvr_harness.records import Tally
from rlvr_harness.stages.counting import count_warnings, counts_table, largest_k, problem_counts

G_PASS_TAUS = tuple(Fraction(quarter, 4) for quarter in range(1, 5))
COVER_TAUS = tuple(Fraction(tenth, 10) for tenth in range(1, 11))


@dataclass(frozen=True, slots=True)
class ModelTallies:
    """What is known of one model on one task; whatever is None is measured as null.

    `answers` and `distinct_texts` are by problem_id. `answers` covers the verified samples, `distinct_texts` all drawn
    ones; `truncated` counts samples that ended at the token limit. Where `plan` is sequential, `paths` tells how each
    problem went through it (None: no sample was void), and `answers`, `foreign`, `truncated_share` and `mean_tokens`
    speak of the first stage alone, which every problem has whatever was found.
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
    paths: Mapping[str, StagePath] | None = None
    truncated_share: float | None = None


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
    counts = {
        model.role: problem_counts(model.role, model.tallies, problem_ids, model.plan, model.paths)
        for model in task.models
    }
    k_max = largest_k(task.k, counts.values())
    estimates = {role: estimate(of_model, k_max) for role, of_model in counts.items()}
    tallies = {model.role: model.tallies for model in task.models}
    warnings = [*task.fairness.warnings, *count_warnings(task.k, tallies, counts, k_max)]
    entry: dict[str, Any] = {
        "problems": len(problem_ids),
        "models": {model.role: _measure_model(task, model, estimates[model.role]) for model in task.models},
        "warnings": warnings,
    }
    comparisons = []
    if task.base in counts:
        others = [role for role in counts if role != task.base]
        comparisons = [_compare(task, estimates, role) | _fairness(task, role, warnings) for role in others]
    if comparisons:
        entry["comparison"] = comparisons[0]
    if len(comparisons) > 1:
        entry["comparisons"] = comparisons
    return entry


def _measure_model(task: TaskTallies, model: ModelTallies, estimates: Estimates) -> dict[str, Any]:
    """The model's entry: what was drawn and judged, then every metric of it alone."""
    counts, ks = estimates.counts, estimates.ks
    n, c, void = (sum(getattr(tally, name) for tally in model.tallies) for name in ("n", "c", "void"))
    samples = n + void
    truncated_share = model.truncated_share
    if truncated_share is None and model.truncated is not None:
        truncated_share = truncation_share(samples, model.truncated)
    distinct = None if model.distinct_texts is None else sum(model.distinct_texts.values())
    drawn = {
        "name": model.name,
        "samples": samples,
        "right": c,
        "wrong": n - c,
        "void": void,
        "truncated": model.truncated,
        "truncated_share": truncated_share,
        "mean_tokens": model.mean_tokens,
        "plan": dict(model.plan) | paid(estimates, len(model.tallies), samples),
        "duplicates": None if distinct is None else duplicate_share(samples, distinct),
        "counts": counts_table(model.tallies, counts),
    }
    metrics = {
        "auc_at_k": auc_at_k(estimates.every_k),
        "accuracy_histogram": histogram(counts),
        "guess_floor": _guess_floor(task, model, counts, ks),
        "extrapolated": _beyond(task, estimates),
        "perplexity": None,
    }
    return drawn | _curves(task, estimates) | _answer_metrics(task, model, counts, ks) | metrics


def _curves(task: TaskTallies, estimates: Estimates) -> dict[str, Any]:
    """Curves of the model alone, null at a k that the plan leaves without an unbiased estimate."""
    counts, ks = estimates.counts, estimates.ks
    weights = _weights(task, len(counts.n))
    known = _known_ks(counts, ks)
    by_tau = {k: _measured(g_pass(counts, k, G_PASS_TAUS), weights) for k in known}
    covered = _measured(cover(counts, COVER_TAUS), weights)
    return {
        "pass_at_k": _measurements(estimates.curve, weights),
        "pass_hat_k": _nulls(ks) | _measurements(pass_hat(counts, known), weights),
        "g_pass_at_k": {
            str(float(tau)): _nulls(ks) | {str(k): measured[column] for k, measured in by_tau.items()}
            for column, tau in enumerate(G_PASS_TAUS)
        },
        "cover_at_tau": {str(float(tau)): point for tau, point in zip(COVER_TAUS, covered, strict=False)},
    }


def _beyond(task: TaskTallies, estimates: Estimates) -> dict[str, Any] | None:
    """pass@k past the measured k under a fitted law; null where none can be fitted."""
    found = extrapolate(estimates.counts, estimates.curve, task.seed)
    return None if found is None else dataclasses.asdict(found)


def _known_ks(counts: ProblemCounts, ks: Sequence[int]) -> list[int]:
    """The ks at which every problem has k samples, whatever was found among them."""
    return [k for k in ks if k <= counts.first.min()]


def _nulls(ks: Sequence[int]) -> dict[str, Any]:
    return dict.fromkeys(map(str, ks))


def _answer_metrics(task: TaskTallies, model: ModelTallies, counts: ProblemCounts, ks: Sequence[int]) -> dict[str, Any]:
    """What needs the answers themselves; null where they were not kept, or where the task reads none."""
    given = model.answers or {}
    answers = [given.get(problem_id, {}) for problem_id in counts.problem_ids] if given else []
    if not any(answer is not None for of_problem in answers for answer in of_problem):
        return {"maj_at_k": None, "maj_at_k_draws": None, "entropy": {"answer": None, "token": None}}
    for row, of_problem in enumerate(answers):
        if sum(count for count, _ in of_problem.values()) != counts.first[row]:
            raise ValueError(f"{model.role}: answers of {counts.problem_ids[row]!r} do not add up to its n")
    draws, known = vote_draws(int(counts.first.sum())), _known_ks(counts, ks)
    votes = Curve(counts.problem_ids, np.array(known), maj_at_k_table(answers, known, draws, task.seed))
    return {
        "maj_at_k": _nulls(ks) | _measurements(votes, _weights(task, len(answers))),
        "maj_at_k_draws": draws,
        "entropy": {"answer": answer_entropy(answers), "token": None},
        "distinct_answers": mean_distinct_answers(answers),
    }


def _guess_floor(task: TaskTallies, model: ModelTallies, counts: ProblemCounts, ks: Sequence[int]) -> dict[str, Any]:
    """Uniform guesses, a problem without a known chance counting as 0; and the model's answers to other problems."""
    uniform = empirical = None
    label = task.chance_label
    known: list[int] = []
    chances = [problem_id for problem_id in counts.problem_ids if problem_id in task.chances]
    if chances and ks:
        uniform = uniform_floor([task.chances.get(problem_id, 0.0) for problem_id in counts.problem_ids], ks)
        if len(chances) < len(counts.n):
            label = f"{label} (known for {len(chances):,} of {len(counts.n):,} problems, 0 elsewhere)".strip()
    if model.foreign is not None and ks:
        known = [k for k in ks if k <= model.foreign.n.min(initial=k)]
        empirical = empirical_floor(model.foreign, known) if known else None
    floor = _by_k(known, empirical)
    return {
        "uniform": _by_k(ks, uniform),
        "label": label,
        "empirical": None if floor is None else _nulls(ks) | floor,
    }


def _compare(task: TaskTallies, estimates: Mapping[str, Estimates], role: str) -> dict[str, Any]:
    """One comparison, on the problems that both models have."""
    base, model = estimates[task.base], estimates[role]
    in_model = set(model.counts.problem_ids)
    shared = [problem_id for problem_id in base.counts.problem_ids if problem_id in in_model]
    base, model = base.only(shared), model.only(shared)
    weights = _weights(task, len(shared))
    crossing = crossover(base.every_k, model.every_k, weights)
    difference = _measurements(subtract(model.curve, base.curve), weights, -1.0)
    gap: dict[str, Any] = {"k": None, "value": None}
    if base.curve.values.size:
        curve = delta_se(base.curve, model.curve)
        gap = {"k": int(curve.ks[0])} | _measured(curve.values, weights, -1.0, curve.variances)[0]
    return {
        "base": task.base,
        "model": role,
        "problems": len(shared),
        "difference": difference,
        "crossover": dataclasses.asdict(crossing),
        "delta_se": gap,
        "shift": _shift(base.counts, model.counts, difference.get("1")),
    } | _solved_sets(coverage(base.counts, model.counts), task.seed)


def _shift(base: ProblemCounts, model: ProblemCounts, mean: dict[str, Any] | None) -> dict[str, Any]:
    """How accuracy moved problem by problem; its `mean` is the difference of pass@1, as accuracy is pass@1."""
    moved = dataclasses.asdict(shift(base, model))
    return moved | {"bins": [list(row) for row in moved["bins"]], "mean": mean}


def _solved_sets(solved: Coverage, seed: int) -> dict[str, Any]:
    """Coverage, and the support metrics that follow from it."""
    quadrants = {key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(solved).items()}
    shares = support(both=solved.both, model_only=solved.model_only, base_only=solved.base_only)
    intervals = support_intervals(solved.both, solved.model_only, solved.base_only, solved.neither, seed)
    return {
        "coverage": quadrants | {"miss_bound": miss_bound(solved.k) if solved.k else None},
        "support": dataclasses.asdict(shares) | {"intervals": intervals},
    }


def _fairness(task: TaskTallies, role: str, warnings: list[str]) -> dict[str, Any]:
    return {"fairness": task.fairness_of.get(role, task.fairness).as_data(warnings)}


def _weights(task: TaskTallies, problems: int) -> FloatArray:
    """Weights of so many problems: the same for every model of the task, so that differences are paired."""
    return problem_weights(problems, task.seed) if problems else np.empty((0, 0))


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
