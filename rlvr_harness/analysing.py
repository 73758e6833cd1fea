"""What `ppl`, `entropy` and `audit` do with a run folder; results.json and the report are renewed after each."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr_harness import app
from rlvr_harness.analyses import add_analyses
from rlvr_harness.auditing import QUEUE_FILE, build_queue, queue_rows, read_queue, status_lines
from rlvr_harness.auditing_by_model import JudgeChoice, judge_queue
from rlvr_harness.errors import RunFolderError, UsageError
from rlvr_harness.fairness import Decision, Finding
from rlvr_harness.foreign_texts import ForeignText, read_texts_file
from rlvr_harness.given_pairs import temperature_of_each
from rlvr_harness.matching import Match, describe, entropy_at, find_temperature, fresh_texts
from rlvr_harness.parts.columns import ENTROPIES
from rlvr_harness.preparing import prepare
from rlvr_harness.records import Measurement
from rlvr_harness.registry import load_plugins
from rlvr_harness.run_reader import read_json
from rlvr_harness.run_spec import RunSpec, parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.schemas.checking import read_results
from rlvr_harness.scored_samples import Selection
from rlvr_harness.scoring import (
    PerplexityWish,
    ScorerOptions,
    Scorers,
    check_roles,
    sampled_record,
    score_entropy,
    score_perplexity,
)
from rlvr_harness.taking_over import Source, take_over

MATCHING = f"{ENTROPIES.top}/matching.json"
QUEUED = 20
"""Samples queued for each task, model and reason unless asked otherwise: an hour's reading for one comparison."""


@dataclass(frozen=True)
class MatchOptions:
    """How a matching temperature is looked for: texts drawn at each one, and where the matched run goes."""

    problems: int = 64
    per_problem: int = 4
    output_path: Path | None = None


def ppl(
    folder: Path, wish: Mapping[str, Sequence[str]], text: Path | None, selection: Selection, options: ScorerOptions
) -> Iterator[str]:
    """Scores texts and yields the matrix of perplexities; `wish`: `models` that score, and `of` whose texts."""
    record = sampled_record(folder)
    registry = load_plugins(parse_spec(record["spec"], "run.json").without)
    texts: Mapping[str, Sequence[ForeignText]] = read_texts_file(text, folder, record) if text else {}
    asked = PerplexityWish(
        scorers=check_roles(record, wish["models"], "--models"),
        authors=check_roles(record, wish["of"], "--of"),
        texts=texts,
        selection=selection,
    )
    with RunStore(folder) as store:
        score_perplexity(store, Scorers(record, registry, options), asked, _tell)
        results = _renew(store, record)
    yield from _perplexity_lines(results)
    yield f"report: {app.rebuild_report([folder])}"


def entropy(folder: Path, roles: Sequence[str], selection: Selection, options: ScorerOptions) -> Iterator[str]:
    """Measures token entropy and yields it for every task and model."""
    record = sampled_record(folder)
    registry = load_plugins(parse_spec(record["spec"], "run.json").without)
    with RunStore(folder) as store:
        chosen = check_roles(record, roles, "--models")
        score_entropy(store, Scorers(record, registry, options), chosen, selection, _tell)
        results = _renew(store, record)
    yield from _entropy_lines(results)
    yield f"report: {app.rebuild_report([folder])}"


def match(folder: Path, selection: Selection, options: ScorerOptions, wish: MatchOptions) -> Iterator[str]:
    """Finds the model's entropy-matched temperature of each task, and runs the comparison there in a folder beside."""
    record = sampled_record(folder)
    if "base" not in record["models"]:
        raise UsageError(f"{folder} has no base model to match the entropy of")
    yield from entropy(folder, ["base", "model"], selection, options)
    tasks = list(record["tasks"])
    for task in tasks:
        found = _stored_match(folder, task, wish)
        if found is None:
            yield from _search(folder, record, task, options, wish)
            found = _stored_match(folder, task, wish)
        yield f"{task}: {found['text']}" if found else f"{task}: no temperature found"
        if found:
            stem = wish.output_path or folder.with_name(f"{folder.name}-matched")
            target = stem if len(tasks) == 1 else stem / task.replace("/", "_")
            yield from _rerun(folder, record, task, found, target)
            yield from entropy(target, [], selection, options)


def _search(
    folder: Path, record: Mapping[str, Any], task: str, options: ScorerOptions, wish: MatchOptions
) -> Iterator[str]:
    """Looks for the temperature and stores it with the path to it."""
    target = read_results(folder)["tasks"][task]["models"]["base"]["entropy"]["token"]["at_sampling"]
    if target["value"] is None:
        raise UsageError(f"{folder}: the base was sampled at temperature 0, where there is no entropy to match")
    spec = parse_spec(record["spec"], "run.json")
    registry = load_plugins(spec.without)
    prepared = next(each for each in prepare(spec, registry, record).tasks if each.name == task)
    fresh = fresh_texts(prepared.prompted.problems_for("model"), wish.problems, wish.per_problem, spec.seed)
    steps: list[str] = []

    def tell(line: str) -> None:
        steps.append(f"{task}: {line}")
        _tell(steps[-1])

    model = Scorers(record, registry, options).open("model")
    try:
        start = spec.temperatures.get("model", prepared.law.temperature)
        found = find_temperature(entropy_at(model, fresh, prepared.law), Measurement(**target), start, tell)
    finally:
        model.close()
    with RunStore(folder) as store:
        store.write_json(MATCHING, {**_matches(folder), task: _as_stored(found, wish)})
    yield from steps


def _as_stored(found: Match, wish: MatchOptions) -> dict[str, Any]:
    drawn = {"problems": wish.problems, "per_problem": wish.per_problem}
    # Bisection leaves digits that mean nothing, and the matched run's options would carry them along.
    return {**found.as_data(), "temperature": round(found.temperature, 4), "drawn": drawn, "text": describe(found)}


def _matches(folder: Path) -> dict[str, Any]:
    return read_json(folder, MATCHING) if (folder / MATCHING).is_file() else {}


def _stored_match(folder: Path, task: str, wish: MatchOptions) -> dict[str, Any] | None:
    """A search that was made before with as many texts."""
    found: dict[str, Any] | None = _matches(folder).get(task)
    drawn = {"problems": wish.problems, "per_problem": wish.per_problem}
    return found if found and found["drawn"] == drawn else None


def _rerun(folder: Path, record: Mapping[str, Any], task: str, found: Mapping[str, Any], target: Path) -> Iterator[str]:
    """The comparison with the model at the temperature, the base's samples and verdicts taken over."""
    before = parse_spec(record["spec"], "run.json")
    data = before.as_data() | {
        "tasks": [task],
        "preset": None,
        "also": {},
        "budget": None,
        "temperatures": {"base": temperature_of_each(before)["base"], "model": float(found["temperature"])},
        "output_path": str(target),
    }
    spec = parse_spec(data, "the matched run")
    if not (target / "run.json").is_file():
        base = Source(folder, "base", {task: record["tasks"][task]["verifier"]})
        take_over(base, target, "base", _record_for(folder, record, task, spec, str(found["text"])))
    finished = app.run(spec)
    yield f"matched run: {finished.folder}"


def _record_for(folder: Path, record: Mapping[str, Any], task: str, spec: RunSpec, warning: str) -> dict[str, Any]:
    """run.json of the matched run, from which it goes on as if it had sampled the base itself."""
    fairness = record.get("fairness") or Decision().as_data()
    kinds = {role: f"{value:g}" for role, value in temperature_of_each(spec).items()}
    finding = asdict(Finding(warning, "sampling", kinds=kinds))
    kept = record.get("rows_per_unit", {}).get(task, {})
    return {
        "spec": spec.as_data(),
        "threads": record["threads"],
        "tasks": {task: record["tasks"][task]},
        "models": {"base": record["models"]["base"]},
        "rows_per_unit": {task: {"base": kept["base"]}} if "base" in kept else {},
        "fairness": {**fairness, "findings": [*fairness["findings"], finding]},
        "taken_over": {"base": str(folder)},
    }


def audit(folder: Path, queue: int | None) -> Iterator[str]:
    """Builds the queue where there is none, or anew with `queue` samples for each reason."""
    record = sampled_record(folder)
    if queue is not None or not read_queue(folder):
        items = build_queue(folder, record, queue or QUEUED)
        if not items:
            raise RunFolderError(f"{folder}: no model has a right answer, so there is no chain of thought to judge")
        with RunStore(folder) as store:
            store.write_lines(QUEUE_FILE, queue_rows(items))
        reasons: dict[str, int] = {}
        for item in items:
            reasons[item.why] = reasons.get(item.why, 0) + 1
        yield f"queued {len(items):,} samples: " + ", ".join(f"{count:,} {why}" for why, count in reasons.items())
    yield from status_lines(folder, record)


def audit_status(folder: Path) -> Iterator[str]:
    """The rates, put into results.json and the report too."""
    record = sampled_record(folder)
    with RunStore(folder) as store:
        _renew(store, record)
    yield from status_lines(folder, record)
    yield f"report: {app.rebuild_report([folder])}"


def audit_by_model(folder: Path, queue: int | None, choice: JudgeChoice) -> Iterator[str]:
    """Has a judge model mark what it has not marked yet."""
    record = sampled_record(folder)
    list(audit(folder, queue))
    found = judge_queue(folder, load_plugins(parse_spec(record["spec"], "run.json").without), choice, _tell)
    counts = ", ".join(f"{count:,} {judgement}" for judgement, count in found.given.items())
    yield f"{choice.by} marked {sum(found.given.values()):,} chains: {counts} ({found.unparsable:,} without a verdict)"
    if found.failed:
        yield f"{found.failed:,} got no answer from the server and stay unmarked; the same command asks again"
    yield from audit_status(folder)


def _renew(store: RunStore, record: Mapping[str, Any]) -> dict[str, Any]:
    """results.json with all that analyses found so far."""
    results = read_results(store.folder)
    add_analyses(results, store.folder, record)
    store.write_json("results.json", results)
    return results


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _perplexity_lines(results: Mapping[str, Any]) -> Iterator[str]:
    for task, entry in results["tasks"].items():
        for role, model in entry["models"].items():
            for author, of in (model["perplexity"] or {"of": {}})["of"].items():
                yield f"{task}: perplexity of {author}'s texts under {role}: {_number(of)} ({of['texts']:,} texts)"


def _entropy_lines(results: Mapping[str, Any]) -> Iterator[str]:
    for task, entry in results["tasks"].items():
        for role, model in entry["models"].items():
            if found := model["entropy"]["token"]:
                yield (
                    f"{task}: token entropy of {role}: {_number(found['at_1'])} nats at temperature 1, "
                    f"{_number(found['at_sampling'])} at its sampling temperature of {found['temperature']:g} "
                    f"({found['texts']:,} texts)"
                )


def _number(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "undefined"
    if found["low"] is None:
        return f"{found['value']:.4f}"
    return f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"
