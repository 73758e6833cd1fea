"""Which models of several runs may stand side by side: same task, base, prompts, verifier and sampling law."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rlvr_harness.checkpoint_folders import STEP
from rlvr_harness.report.reading import (
    BASE_ROLE,
    MODEL_ROLE,
    Results,
    at,
    compared_roles,
    comparisons,
    curve,
    label,
    largest_n,
    mapping,
    number,
    roles,
    tasks,
    text,
    title,
    whole,
)
from rlvr_harness.report.wording import NONE

LAW = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_gen_toks")
LONGEST_LABEL = 40


@dataclass(frozen=True, slots=True)
class Contender:
    """One trained model on one task of one run; `place` counts the runs from 0, `series` names its training."""

    place: int
    run_title: str
    role: str
    name: str
    step: int | None
    series: str
    task: Results
    comparison: Results
    terms: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Study:
    """Contenders that may be compared, under labels that tell them apart."""

    task: str
    contenders: Mapping[str, Contender]
    series: str = ""
    """The training whose checkpoints these are; "" where there is one alone, or where several stand side by side."""

    @property
    def steps(self) -> dict[str, int]:
        """Label -> training step, rising; empty unless at least two different steps of one training are known."""
        if len({one.series for one in self.contenders.values()}) > 1:
            return {}
        known = {name: one.step for name, one in self.contenders.items() if one.step is not None}
        return dict(sorted(known.items(), key=lambda pair: pair[1])) if len(set(known.values())) > 1 else {}

    @property
    def runs(self) -> int:
        """How many runs take part."""
        return len({one.place for one in self.contenders.values()})


def studies(reports: Sequence[Results]) -> list[Study]:
    """The comparable groups worth a view of their own: models of several runs, or several training steps."""
    groups: dict[tuple[str, ...], list[Contender]] = {}
    for name, contender in contenders(reports):
        groups.setdefault((name, *contender.terms.values()), []).append(contender)
    found = [study for key, group in groups.items() for study in _studies(key[0], group)]
    return [one for one in found if len(one.contenders) > 1 and (one.runs > 1 or one.steps)]


def _studies(task: str, group: Sequence[Contender]) -> Iterator[Study]:
    """All models of a group side by side, and before that each training by itself where there are several."""
    trainings = list(dict.fromkeys(one.series for one in group))
    if len(trainings) > 1:
        for series in trainings:
            yield Study(task, _labelled([one for one in group if one.series == series]), series)
    yield Study(task, _labelled(group))


def contenders(reports: Sequence[Results]) -> Iterator[tuple[str, Contender]]:
    """(task name, contender) of every model that is not a base."""
    for place, results in enumerate(reports):
        for name, task in tasks(results).items():
            by_role = {compared_roles(entry)[1]: entry for entry in comparisons(task)}
            bases = {compared_roles(entry)[0] for entry in by_role.values()} or {BASE_ROLE}
            for role in roles(task):
                if role not in bases:
                    entry = by_role.get(role, {})
                    model = str(at(task, "models", role, "name") or at(results, "run", "models", role, "path") or role)
                    terms = _terms(results, name, task, entry)
                    step = _step(results, role, model)
                    series = str(at(results, "run", "models", role, "series") or "")
                    yield name, Contender(place, title(results), role, model, step, series, task, entry, terms)


def incomparable(reports: Sequence[Results]) -> list[str]:
    """One sentence for each neighbouring pair of runs on one task that must not be compared, with what differs."""
    told = []
    by_task: dict[str, dict[tuple[str, ...], Contender]] = {}
    for name, contender in contenders(reports):
        by_task.setdefault(name, {}).setdefault(tuple(contender.terms.values()), contender)
    for name, different in by_task.items():
        for first, second in pairwise(different.values()):
            gaps = [
                f"{key} ({first.terms[key]} against {second.terms[key]})"
                for key in first.terms
                if first.terms[key] != second.terms[key]
            ]
            pair = f"{_run(first)} and {_run(second)}"
            told.append(f"NOT COMPARABLE on {text(name, 80)}: {pair} differ in {', '.join(gaps)}.")
    return told


def unknown_terms(study: Study) -> list[str]:
    """What no run of the study records, so that nobody can tell whether it was the same."""
    terms = next(iter(study.contenders.values())).terms
    return [key for key, value in terms.items() if value == NONE]


def merged(study: Study, chosen: Sequence[str] | None = None) -> dict[str, Any]:
    """The study as results of one task: the base of the run with most samples, each contender under its label."""
    names = list(study.contenders if chosen is None else chosen)
    best = max(study.contenders.values(), key=lambda one: largest_n(one.task, _base(one)) or 0)
    models = {BASE_ROLE: mapping(best.task, "models", _base(best))}
    models |= {name: mapping(study.contenders[name].task, "models", study.contenders[name].role) for name in names}
    entries = [
        {**study.contenders[name].comparison, "base": BASE_ROLE, "model": name}
        for name in names
        if study.contenders[name].comparison
    ]
    problems = whole(best.task, "problems")
    return {"problems": problems, "models": {k: v for k, v in models.items() if v}, "comparisons": entries}


def bases_differ(study: Study) -> bool:
    """Whether the runs hold more than one measurement of the base, as when each sampled it anew."""
    measured = []
    for one in study.contenders.values():
        points_of = curve(one.task, "models", _base(one), "pass_at_k")
        if points_of and points_of not in measured:
            measured.append(points_of)
    return len(measured) > 1


def is_distilled(contender: Contender) -> bool:
    """Whether its role or name says that it learned from another model's texts."""
    return "distil" in f"{contender.role} {contender.name}".lower()


def _base(contender: Contender) -> str:
    return compared_roles(contender.comparison)[0]


def _run(contender: Contender) -> str:
    return f"run {contender.place + 1} ({text(contender.run_title, 80)})"


def _step(results: Results, role: str, name: str) -> int | None:
    given = whole(results, "run", "models", role, "step")
    found = STEP.findall(f"{name} {role}" if role != MODEL_ROLE else name)
    return given if given is not None else (int(found[-1]) if found else None)


def _terms(results: Results, name: str, task: Results, entry: Results) -> dict[str, str]:
    """What must be the same before two models may be compared, as short texts; a dash where it is not recorded."""
    run, base = mapping(results, "run"), compared_roles(entry)[0]
    model, recorded = mapping(run, "models", base), mapping(run, "tasks", name)
    law = {**mapping(run, "sampling"), **mapping(recorded, "sampling")}
    identity = at(model, "weight_hash") or at(model, "path") or at(task, "models", base, "name")
    shown = at(task, "models", base, "name") or at(model, "path")
    base_told = NONE if identity is None else f"{text(shown or '', 60)} {_short(identity)}".strip()
    verifier = " ".join(text(recorded[key], 40) for key in ("verifier", "verifier_version") if recorded.get(key))
    return {
        "base": base_told,
        "problems": f"{count_of(task)} {_short(recorded.get('data_hash'))}".replace(f" {NONE}", ""),
        "prompts": _short(recorded.get("prompt_hash")),
        "verifier": verifier or NONE,
        **{key.replace("_", " "): _figure(number(law, key)) for key in LAW},
    }


def count_of(task: Results) -> str:
    """Number of problems, or a dash."""
    problems = whole(task, "problems")
    return NONE if problems is None else f"{problems:,}"


def _short(identity: object) -> str:
    """The first 12 characters of a hash, a dash for nothing."""
    shown = NONE if identity is None else text(identity, 80)
    return shown[:12] if re.fullmatch(r"[0-9a-f]{32,}", shown) else shown


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:g}"


def _labelled(group: Sequence[Contender]) -> dict[str, Contender]:
    """The contenders under labels that differ: the step, else the last part of the name, with the run where needed."""
    steps = [one.step for one in group]
    by_step = len(set(steps)) == len(steps) and None not in steps and len({one.series for one in group}) == 1
    named: dict[str, Contender] = {}
    ordered = sorted(group, key=lambda one: one.step or 0) if by_step else group
    for one in ordered:
        shown = f"step {one.step:,}" if by_step else text(_last_part(one), LONGEST_LABEL)
        taken = shown in named or shown == BASE_ROLE
        wanted = f"{shown} (run {one.place + 1})" if taken else shown
        while wanted in named:
            wanted += "'"
        named[wanted] = one
    return named


def _last_part(contender: Contender) -> str:
    if contender.role != MODEL_ROLE and contender.name == contender.role:
        return label(contender.task, contender.role)
    parts = [part for part in contender.name.rstrip("/").split("/") if part]
    return parts[-1] if parts else contender.role
