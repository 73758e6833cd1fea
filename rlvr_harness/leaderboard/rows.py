"""From the results of a run to the rows of a leaderboard: one row for each comparison of each task."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rlvr_harness.errors import RunFolderError
from rlvr_harness.leaderboard.folders import Run, digest_of
from rlvr_harness.records import Measurement
from rlvr_harness.report.reading import (
    Curve,
    Results,
    at,
    compared_roles,
    comparisons,
    curve,
    largest_n,
    listed,
    mapping,
    number,
    roles,
    tasks,
    text,
    whole,
)

LAW = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
SIZE = re.compile(r"[-_. ]\d+(\.\d+)?(x\d+(\.\d+)?)?[bm]([-_. ]|$)", re.IGNORECASE)
"""The size in a model's name: "-7B" in "Qwen2.5-Math-7B", "_0.5b_" in "x_0.5b_base"."""
ROUNDING = 1e-6
"""How far outside its range a fraction may lie: sums of rounded numbers."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a score hangs on; rows that are alike in all of it may be ranked together. None: not known.

    `law`: temperature, top-p, top-k, min-p and repetition penalty; `problem_set`: hash of the ids compared on.
    """

    task: str
    data_hash: str | None
    problem_set: str | None
    prompt_hash: str | None
    law: tuple[float, ...] | None
    max_gen_toks: int | None
    verifier: str | None
    verifier_version: str | None
    k: int | None

    @property
    def known(self) -> bool:
        """Whether nothing is missing."""
        return None not in (getattr(self, name) for name in self.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Side:
    """One model of a row: who it is, what was drawn from it, and its pass@k by k. Shares are fractions."""

    role: str
    name: str
    weight_hash: str | None
    revision: str | None
    n: int | None
    samples: int | None
    void_share: float | None
    truncated_share: float | None
    pass_at_k: Curve


@dataclass(frozen=True)
class Row:
    """One model against its base on one task of one run; `base` is None where the run had none.

    `comparison`: as in results.json; `unfair`: why the two were not compared on equal terms, "" where they were.
    """

    row_id: str
    digest: str
    conditions: Conditions
    model: Side
    base: Side | None
    problems: int | None
    difference: Curve
    comparison: Results
    unfair: str
    warnings: tuple[str, ...]
    run: Mapping[str, Any] = field(repr=False)

    @property
    def n(self) -> int | None:
        """Samples per problem, of the model that has fewer."""
        known = [side.n for side in (self.model, self.base) if side is not None and side.n is not None]
        return min(known, default=None)

    @property
    def gap(self) -> Measurement | None:
        """The paired difference at the row's largest k."""
        return self.difference.get(self.conditions.k) if self.conditions.k is not None else None


def rows_of(run: Run) -> Iterator[Row]:
    """The rows of a run. Raises RunFolderError where a number of its results cannot be."""
    for name, task in tasks(run.results).items():
        found = comparisons(task)
        pairs = [(*compared_roles(entry), entry) for entry in found]
        for base, model, comparison in pairs or [("", role, {}) for role in roles(task)]:
            yield _row(run, name, task, _Pair(base, model, comparison))


@dataclass(frozen=True, slots=True)
class _Pair:
    base: str
    model: str
    comparison: Results


def _row(run: Run, name: str, task: Results, pair: _Pair) -> Row:
    where = f"{run.folder / 'results.json'}: task '{text(name, 80)}'"
    difference = _checked(curve(pair.comparison, "difference"), -1.0, f"{where}: difference")
    model = _side(run, task, pair.model, where)
    base = _side(run, task, pair.base, where) if pair.base else None
    measured = difference if base else model.pass_at_k
    about = run.about
    recorded = mapping(about, "tasks", name)
    return Row(
        row_id=digest_of([run.digest, name, pair.base, pair.model]),
        digest=run.digest,
        conditions=_conditions(name, about, task, pair, max(measured, default=None)),
        model=model,
        base=base,
        problems=whole(pair.comparison, "problems") or whole(task, "problems"),
        difference=difference,
        comparison=_counted(pair.comparison, where),
        unfair=_unfair(run, pair.comparison),
        warnings=_warnings(task, pair.comparison),
        run=_facts(run, recorded, mapping(task, "models", pair.model, "plan")),
    )


def _conditions(name: str, about: Results, task: Results, pair: _Pair, k: int | None) -> Conditions:
    recorded = mapping(about, "tasks", name)
    law = mapping(recorded, "sampling") or mapping(about, "sampling")
    values = [number(law, key) for key in LAW]
    version = recorded.get("verifier_version")
    return Conditions(
        task=text(name, 200),
        data_hash=_word(recorded, "data_hash"),
        problem_set=_problem_set(task, pair),
        prompt_hash=_word(recorded, "prompt_hash"),
        law=None if None in values else tuple(value for value in values if value is not None),
        max_gen_toks=whole(law, "max_gen_toks"),
        verifier=_word(recorded, "verifier"),
        verifier_version=None if version is None else text(version, 80),
        k=k,
    )


def _problem_set(task: Results, pair: _Pair) -> str | None:
    """Hash of the ids of the problems that a row rests on; None where they are not recorded."""
    chosen = [role for role in (pair.base, pair.model) if role]
    ids = [{str(one) for one in listed(task, "models", role, "counts", "problem_id")} for role in chosen]
    shared = set.intersection(*ids) if ids else set()
    return digest_of(sorted(shared)) if shared else None


def _side(run: Run, task: Results, role: str, where: str) -> Side:
    model = mapping(task, "models", role)
    if not model:
        raise RunFolderError(f"{where}: compares '{text(role, 80)}', of which it has no results")
    about = mapping(run.about, "models", role)
    counted = [whole(model, outcome) for outcome in ("right", "wrong", "void")]
    drawn = sum(count for count in counted if count is not None)
    truncated = number(model, "truncated_share")
    if truncated is None and drawn and number(model, "truncated") is not None:
        truncated = (number(model, "truncated") or 0.0) / drawn
    stages = [stage for stage in listed(model, "plan", "stages") if isinstance(stage, int)]
    return Side(
        role=text(role, 80),
        name=text(model.get("name") or role, 200),
        weight_hash=_word(about, "weight_hash"),
        revision=_word(about, "revision"),
        n=max(stages, default=None) or largest_n(task, role),
        samples=whole(model, "samples"),
        void_share=(counted[2] or 0) / drawn if drawn and counted[2] is not None else None,
        truncated_share=truncated,
        pass_at_k=_checked(curve(model, "pass_at_k"), 0.0, f"{where}: pass@k of '{text(role, 80)}'"),
    )


def _word(block: Results, key: str) -> str | None:
    value = block.get(key)
    return text(value, 200) if isinstance(value, str) and value.strip() else None


def _checked(points: Curve, least: float, where: str) -> Curve:
    """The same points; whoever altered a results file, no number outside its range gets onto a board."""
    for k, point in points.items():
        for value in (point.value, point.low, point.high):
            if value is not None and not least - ROUNDING <= value <= 1.0 + ROUNDING:
                raise RunFolderError(f"{where} at k = {k:,} is {value:g}, outside [{least:g}, 1]; the file was altered")
    return points


def _counted(comparison: Results, where: str) -> Results:
    for block, key in (("crossover", "k"), ("coverage", "model_only"), ("coverage", "base_only")):
        value = number(comparison, block, key)
        if value is not None and not (0 <= value < 1e9 and math.isfinite(value)):
            raise RunFolderError(f"{where}: {block}.{key} is {value:g}, which no count can be; the file was altered")
    return comparison


def _unfair(run: Run, comparison: Results) -> str:
    """Why a comparison was not on equal terms, "" where it was or where nothing is known."""
    kinds = (("same_prompt", "prompts differ"), ("same_sampling", "sampling differs"))
    faults = [what for key, what in kinds if at(comparison, "fairness", key) is False]
    asked = {word.replace("-", "_") for word in run.words}
    if comparison and (run.options.get("allow_unfair") is True or "__allow_unfair" in asked):
        faults.append("made with --allow_unfair")
    return ", ".join(faults)


def _warnings(task: Results, comparison: Results) -> tuple[str, ...]:
    found = [*listed(comparison, "fairness", "warnings"), *listed(task, "warnings")]
    return tuple(dict.fromkeys(text(warning, 600) for warning in found))


def _facts(run: Run, recorded: Results, plan: Results) -> dict[str, Any]:
    """What a reader asks about a run beside its numbers; None where it is not recorded."""
    about = run.about
    kind = plan.get("kind") or at(about, "sampling", "plan")
    return {
        "title": text(about.get("title") or "a run", 200),
        "created": _word(about, "created"),
        "command": text(about.get("command") or "", 4000),
        "harness_version": _word(about, "harness_version"),
        "sampler": _sampler(run),
        "prompt": _word(mapping(about, "sampling"), "prompt"),
        "plan": text(kind, 80) if kind else None,
        "stop_after": whole(plan, "stop_after"),
        "seed": whole(about, "sampling", "seed"),
        "data_revision": _word(recorded, "data_revision"),
    }


def _sampler(run: Run) -> str | None:
    """Which engine sampled: of run.json, else of the command, whose default is `hf`; None for what was not sampled."""
    named = _word(run.options, "sampler")
    words = run.words
    if named or words[:2] != ["rlvr-harness", "run"]:
        return named
    after = [value for word, value in pairwise(words) if word == "--sampler"]
    return text(after[-1], 80) if after else "hf"


def family(name: str) -> str:
    """The family of a model by its name: "Qwen/Qwen2.5-Math-7B" -> "Qwen2.5-Math"; the last part of other names."""
    last = name.rstrip("/").rpartition("/")[2] or name
    size = SIZE.search(last)
    return (last[: size.start()] if size else name if "/" in name and not name.startswith(("/", ".")) else last) or name
