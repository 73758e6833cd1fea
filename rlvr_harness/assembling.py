"""Folds a run folder, or imported counts, into the content of results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from rlvr_harness import provenance
from rlvr_harness.analyses import add_analyses
from rlvr_harness.contracts import AnswerVerifier
from rlvr_harness.errors import PluginError, TooFewSamples, first_line
from rlvr_harness.fairness import Fairness
from rlvr_harness.metrics.guessing import ForeignMatches, match_foreign_golds
from rlvr_harness.preparing import PreparedRun, PreparedTask
from rlvr_harness.records import Tally
from rlvr_harness.registry import Registry
from rlvr_harness.requests import Counts, ImportRequest
from rlvr_harness.run_reader import count_verdicts, read_texts
from rlvr_harness.stages.measuring import ModelTallies, TaskTallies, measure_task
from rlvr_harness.stages.tallying import (
    TextCounts,
    count_answers,
    count_texts,
    first_stage,
    stage_paths,
    tally_verdicts,
)

SCHEMA = "rlvr-harness/results/1"
FOREIGN_PAIRS = 800
"""How many (problem, other problem's gold) pairs the empirical guess floor is measured on, at least 2 a problem."""
MUCH_TRUNCATION = 0.02

Results = dict[str, Any]


@dataclass(frozen=True)
class Named:
    """A model of the run, and what the report calls it."""

    role: str
    name: str


@dataclass(frozen=True)
class Tallied:
    """One model on one task; `even` counts the samples that every problem has, whatever was found among them."""

    model: ModelTallies
    texts: TextCounts
    even: Sequence[Tally]


def assemble_results(prepared: PreparedRun, folder: Path, record: Mapping[str, Any]) -> Results:
    """results.json of a sampled run."""
    tasks = {task.name: _measure(prepared, task, folder, record) for task in prepared.tasks}
    results: Results = {"schema": SCHEMA, "run": run_record(record), "tasks": tasks}
    add_analyses(results, folder, record)
    return results


def run_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The part of run.json that a reader of the results needs."""
    spec = record["spec"]
    laws = {name: task["sampling"] for name, task in record["tasks"].items()}
    law: dict[str, Any] = next(iter(laws.values()))
    return {
        "schema": SCHEMA,
        "title": f"{_pair(spec, record['models'])}: T = {law['temperature']:g}{_own(spec)}, top-p = {law['top_p']:g}",
        "harness_version": record["versions"].get("rlvr-harness"),
        "git_commit": record["git_commit"],
        "created": record["created"],
        "command": record["command"],
        "models": record["models"],
        "sampling": {
            **law,
            "seed": spec["seed"],
            "n": spec["n"] or spec["k"],
            "k": spec["k"],
            "plan": spec["plan"],
            "prompt": spec["prompt"],
            **({"temperatures": spec["temperatures"]} if spec.get("temperatures") else {}),
        },
        "tasks": record["tasks"],
        "plugins": record["plugins"],
        "versions": record["versions"],
        "hardware": record["hardware"],
        "timings": record.get("timings", {}),
    }


def _pair(spec: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """Whom the run is about. "/ckpt/step-300", "Qwen/Qwen2.5-7B" -> "step-300 against Qwen2.5-7B"."""
    model, base = (Path(spec[role]).name if spec[role] else "" for role in ("model", "base"))
    model = models.get("model", {}).get("name") or model
    return f"{model} against {base}" if base else model


def _own(spec: Mapping[str, Any]) -> str:
    """Temperatures of single models. {"model": 1.25} -> " (model: 1.25)"."""
    own = spec.get("temperatures") or {}
    return f" ({', '.join(f'{role}: {value:g}' for role, value in own.items())})" if own else ""


def _measure(prepared: PreparedRun, task: PreparedTask, folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    loaded = task.prompted.loaded
    tallied, warnings = [], [note for note in record["notes"] if f"'{task.name}'" in note or f"on {task.name}:" in note]
    roles = ["base", *(role for role in prepared.requests if role != "base")] if prepared.spec.base else ["model"]
    for role in roles:
        name = record["models"].get(role, {}).get("name") or prepared.spec.models[role]
        tallied.append(_tally(prepared, task, folder, Named(role, name)))
        warnings += _truncation_warning(role, tallied[-1].texts, task.law.max_gen_toks)
    warnings += [f"{role}: {note}" for role in roles for note in record["models"].get(role, {}).get("notes", ())]
    warnings += _general(record) + prepared.fairness.warnings(task.name)
    entry = measure_task(
        TaskTallies(
            task=task.name,
            models=[each.model for each in tallied],
            k=task.k,
            seed=prepared.spec.seed,
            chances=loaded.chance,
            chance_label=loaded.chance_label,
            fairness=Fairness(warnings=tuple(dict.fromkeys(warnings))),
            fairness_of={role: prepared.fairness.of(task.name, roles[0], role) for role in roles},
        )
    )
    for each in tallied:
        _add_plugin_metrics(entry["models"][each.model.role], each.even, prepared.registry)
    return entry


def _general(record: Mapping[str, Any]) -> list[str]:
    return [note for note in record["notes"] if "task '" not in note and " on " not in note]


def _truncation_warning(role: str, texts: TextCounts, max_gen_toks: int) -> list[str]:
    share = texts.truncated_share
    if share is None or share <= MUCH_TRUNCATION:
        return []
    return [f"{role}: {share:.1%} of the completions were cut at {max_gen_toks:,} tokens and count as they stand"]


def _tally(prepared: PreparedRun, task: PreparedTask, folder: Path, named: Named) -> Tallied:
    role = named.role
    ids = [problem.problem_id for problem in task.prompted.problems]
    plan: Mapping[str, Any] = task.plan.as_data()
    stages = tuple(plan["stages"]) if plan["kind"] == "sequential" else ()
    verdicts = count_verdicts(folder, task.name, role, task.verifier.name, stages)
    texts = count_texts(read_texts(folder, task.name, role), stages[0] if stages else None)
    even = first_stage(verdicts) if stages else verdicts
    answers = count_answers(even)
    model = ModelTallies(
        role=role,
        name=named.name,
        tallies=tally_verdicts(ids, verdicts),
        truncated=texts.truncated,
        mean_tokens=texts.mean_tokens,
        answers=answers,
        distinct_texts=texts.distinct,
        foreign=_foreign(task, answers, prepared.spec.seed),
        plan=plan,
        paths=stage_paths(ids, verdicts, stages, plan["stop_after"]) if stages else None,
        truncated_share=texts.truncated_share,
    )
    return Tallied(model, texts, tally_verdicts(ids, even))


def _foreign(
    task: PreparedTask, answers: Mapping[str, Mapping[str | None, tuple[int, int]]], seed: int
) -> ForeignMatches | None:
    """Each problem's answers judged against other problems' golds; None where the verifier cannot judge an answer."""
    verifier = task.verifier
    if not isinstance(verifier, AnswerVerifier) or len(answers) < 2:
        return None
    problems = {problem.problem_id: problem for problem in task.prompted.problems}

    @cache
    def matches(answer: str, problem_id: str) -> bool:
        return verifier.accepts(problems[problem_id], answer)

    return match_foreign_golds(answers, matches, seed, foreign=max(2, min(32, FOREIGN_PAIRS // len(answers))))


def _add_plugin_metrics(model: dict[str, Any], tallies: Sequence[Tally], registry: Registry) -> None:
    """Third-party metrics know no sequential plan: they are given what was drawn whatever was found."""
    counts = Counts(*(tuple(getattr(tally, name) for tally in tallies) for name in ("problem_id", "n", "c")))
    fewest = min((n for n in counts.n if n), default=0)
    for metric in registry.all("metric"):
        try:
            found = dict(metric.measure(counts, [k for k in map(int, model["pass_at_k"]) if k <= fewest]))
            json.dumps(found, allow_nan=False)
        except (Exception, SystemExit) as error:
            plugin = registry.providers["metric"][metric.name]
            raise PluginError(
                f"metric '{metric.name}' of plugin '{plugin}' fails: {type(error).__name__}: {first_line(error)}; "
                f"no sample is lost: leave it out with `rlvr-harness resume` and --without {plugin}",
                plugin,
            ) from error
        model.setdefault("plugin_metrics", {})[metric.name] = found


def check_enough(counts: Mapping[str, Counts], k: int) -> None:
    """Raises TooFewSamples where a problem has fewer than k samples."""
    for role, given in counts.items():
        for problem_id, n in zip(given.problem_ids, given.n, strict=True):
            if n < k:
                raise TooFewSamples(f"{role}: problem '{problem_id}' has {n} samples, pass@{k} needs {k}; lower --k")


def results_of_counts(request: ImportRequest, counts: Mapping[str, Counts], k: int | None) -> Results:
    """results.json of imported counts: every metric that counts allow, null for the rest."""
    if k is not None:
        check_enough(counts, k)
    models = [
        ModelTallies(
            role=role,
            name=request.files[role].stem,
            tallies=[Tally(i, n, c) for i, n, c in zip(given.problem_ids, given.n, given.c, strict=True)],
            plan={"kind": "imported"},
        )
        for role, given in sorted(counts.items(), key=lambda item: (item[0] != "base", item[0] != "model"))
    ]
    entry = measure_task(TaskTallies(task=request.task, models=models, k=k))
    run: dict[str, Any] = {
        "schema": SCHEMA,
        "title": "imported counts",
        "harness_version": provenance.library_versions().get("rlvr-harness"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(
            ["rlvr-harness import --format counts", f"--task {request.task}"]
            + [f"--{role} {path}" for role, path in request.files.items()]
        ),
        "models": {role: {"path": str(path)} for role, path in request.files.items()},
        "tasks": {request.task: {}},
    }
    return {"schema": SCHEMA, "run": run, "tasks": {request.task: entry}}
