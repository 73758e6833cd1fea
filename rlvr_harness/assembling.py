"""Folds a run folder, or imported counts, into the content of results.json."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from rlvr_harness import provenance
from rlvr_harness.contracts import AnswerVerifier, Metric
from rlvr_harness.errors import PluginError, TooFewSamples
from rlvr_harness.fairness import Fairness
from rlvr_harness.metrics.guessing import ForeignMatches, match_foreign_golds
from rlvr_harness.preparing import PreparedRun, PreparedTask
from rlvr_harness.records import Tally
from rlvr_harness.requests import Counts, ImportRequest
from rlvr_harness.run_reader import count_verdicts, read_texts
from rlvr_harness.stages.measuring import ModelTallies, TaskTallies, measure_task
from rlvr_harness.stages.tallying import TextCounts, count_answers, count_texts, tally_verdicts

SCHEMA = "rlvr-harness/results/1"
FOREIGN_PAIRS = 800
"""How many (problem, other problem's gold) pairs the empirical guess floor is measured on, at least 2 a problem."""
MUCH_TRUNCATION = 0.02

Results = dict[str, Any]


def assemble_results(prepared: PreparedRun, folder: Path, record: Mapping[str, Any]) -> Results:
    """results.json of a sampled run."""
    metrics: list[Metric] = prepared.registry.all("metric")
    tasks = {task.name: _measure(prepared, task, folder, record) for task in prepared.tasks}
    for entry in tasks.values():
        _add_plugin_metrics(entry, metrics)
    return {"schema": SCHEMA, "run": run_record(record), "tasks": tasks}


def run_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The part of run.json that a reader of the results needs."""
    spec = record["spec"]
    laws = {name: task["sampling"] for name, task in record["tasks"].items()}
    law: dict[str, Any] = next(iter(laws.values()))
    return {
        "schema": SCHEMA,
        "title": f"{_pair(spec)}: T = {law['temperature']:g}, top-p = {law['top_p']:g}",
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
        },
        "tasks": record["tasks"],
        "plugins": record["plugins"],
        "versions": record["versions"],
        "hardware": record["hardware"],
        "timings": record.get("timings", {}),
    }


def _pair(spec: Mapping[str, Any]) -> str:
    """Whom the run is about. "/ckpt/step-300", "Qwen/Qwen2.5-7B" -> "step-300 against Qwen2.5-7B"."""
    model, base = (Path(spec[role]).name if spec[role] else "" for role in ("model", "base"))
    return f"{model} against {base}" if base else model


def _measure(prepared: PreparedRun, task: PreparedTask, folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    loaded = task.prompted.loaded
    models, warnings = [], [note for note in record["notes"] if f"'{task.name}'" in note or f"on {task.name}:" in note]
    roles = ["base", *(role for role in prepared.requests if role != "base")] if prepared.spec.base else ["model"]
    for role in roles:
        tallies, texts = _tally(prepared, task, folder, role)
        models.append(tallies)
        warnings += _truncation_warning(role, texts, task.law.max_gen_toks)
    warnings += _general(record) + prepared.fairness.warnings(task.name)
    return measure_task(
        TaskTallies(
            task=task.name,
            models=models,
            k=task.k,
            seed=prepared.spec.seed,
            chances=loaded.chance,
            chance_label=loaded.chance_label,
            fairness=Fairness(warnings=tuple(dict.fromkeys(warnings))),
            fairness_of={role: prepared.fairness.of(task.name, roles[0], role) for role in roles},
        )
    )


def _general(record: Mapping[str, Any]) -> list[str]:
    return [note for note in record["notes"] if "task '" not in note and " on " not in note]


def _truncation_warning(role: str, texts: TextCounts, max_gen_toks: int) -> list[str]:
    share = texts.truncated / texts.samples if texts.samples else 0.0
    if share <= MUCH_TRUNCATION:
        return []
    return [f"{role}: {share:.1%} of the completions were cut at {max_gen_toks:,} tokens and count as they stand"]


def _tally(prepared: PreparedRun, task: PreparedTask, folder: Path, role: str) -> tuple[ModelTallies, TextCounts]:
    ids = [problem.problem_id for problem in task.prompted.problems]
    verdicts = count_verdicts(folder, task.name, role, task.verifier.name)
    texts = count_texts(read_texts(folder, task.name, role))
    answers = count_answers(verdicts)
    tallies = ModelTallies(
        role=role,
        name=prepared.spec.models[role],
        tallies=tally_verdicts(ids, verdicts),
        truncated=texts.truncated,
        mean_tokens=texts.tokens / texts.samples if texts.samples else None,
        answers=answers,
        distinct_texts=texts.distinct,
        foreign=_foreign(task, answers, prepared.spec.seed),
        plan=task.plan.as_data(),
    )
    return tallies, texts


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


def _add_plugin_metrics(entry: dict[str, Any], metrics: list[Metric]) -> None:
    for metric in metrics:
        for model in entry["models"].values():
            table = model["counts"]
            counts = Counts(tuple(table["problem_id"]), tuple(table["n"]), tuple(table["c"]))
            try:
                found = dict(metric.measure(counts, [int(k) for k in model["pass_at_k"]]))
            except Exception as error:
                raise PluginError(f"metric '{metric.name}' fails: {type(error).__name__}: {error}") from error
            model.setdefault("plugin_metrics", {})[metric.name] = found


def _check_enough(counts: Mapping[str, Counts], k: int) -> None:
    for role, given in counts.items():
        for problem_id, n in zip(given.problem_ids, given.n, strict=True):
            if n < k:
                raise TooFewSamples(f"{role}: problem '{problem_id}' has {n} samples, pass@{k} needs {k}; lower --k")


def results_of_counts(request: ImportRequest, counts: Mapping[str, Counts], k: int | None) -> Results:
    """results.json of imported counts: every metric that counts allow, null for the rest."""
    if k is not None:
        _check_enough(counts, k)
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
