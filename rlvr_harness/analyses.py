"""What `ppl`, `entropy` and `audit` left in a run folder, folded into results.json whenever that is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvr_harness.auditing import audit_results
from rlvr_harness.metrics.pooled import Share, TextLogprob, perplexities, perplexity, pooled
from rlvr_harness.parts.columns import ENTROPIES, PERPLEXITIES
from rlvr_harness.records import Measurement, Outcome
from rlvr_harness.run_reader import read_scores, read_verdicts, sample_keys
from rlvr_harness.scored_samples import Keys, Record, Selection, read_about, temperature_of


def add_analyses(results: dict[str, Any], folder: Path, record: Record) -> None:
    """Puts perplexities, token entropies and marks of the folder into results.json's content, null where not done."""
    for task, entry in results["tasks"].items():
        if task not in record.get("tasks", {}):
            continue
        found = _perplexities(folder, task, record)
        for role, model in entry["models"].items():
            model["perplexity"] = found.get(role)
            model["entropy"] = {
                **(model.get("entropy") or {"answer": None}),
                "token": _entropy(folder, task, role, record),
            }
        for role, marked in audit_results(folder, task, record).items():
            entry["models"][role]["cot"] = marked


def as_numbers(found: Measurement | None) -> dict[str, float | None]:
    """value, low and high for results.json."""
    return {name: None if found is None else getattr(found, name) for name in ("value", "low", "high")}


def _perplexities(folder: Path, task: str, record: Record) -> dict[str, dict[str, Any]]:
    """Role -> what this model says of each author's texts, authors scored in full alone."""
    about = read_about(folder, PERPLEXITIES)
    if not about:
        return {}
    selection = Selection(**about["selection"])
    chosen = selection.keys(folder, task, record)
    texts = about["texts"]
    found: dict[str, dict[str, Any]] = {role: {} for role in about["scorers"]}
    for author in [*record["models"], *texts]:
        wanted = _text_keys(texts[author], task, chosen) if author in texts else chosen
        outcomes = {} if author in texts else _outcomes(folder, task, author, record, wanted)
        stored = wanted if author in texts else wanted & sample_keys(folder, task, author)
        for role, of in found.items():
            rows = {row[:2]: row for row in read_scores(folder, PERPLEXITIES, task, role, author) if row[:2] in stored}
            if rows and len(rows) == len(stored):
                of[author] = _of_author(rows.values(), outcomes, int(record["spec"]["seed"]))
    return {role: {"of": of, "scorer": about["scorers"][role], **asdict(selection)} for role, of in found.items() if of}


def _text_keys(text: Mapping[str, Any], task: str, chosen: Keys) -> Keys:
    problems = {problem_id for problem_id, _ in chosen}
    return {(i, index) for i, n in text["counts"].get(task, {}).items() if i in problems for index in range(n)}


def _outcomes(
    folder: Path, task: str, author: str, record: Record, wanted: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Outcome]:
    verdicts = read_verdicts(folder, task, author, record["tasks"][task]["verifier"])
    return {(v.problem_id, v.index): v.outcome for v in verdicts if (v.problem_id, v.index) in wanted}


def _of_author(
    rows: Iterable[tuple[Any, ...]], outcomes: Mapping[tuple[str, int], Outcome], seed: int
) -> dict[str, Any]:
    """PPL of one author's texts, and of the right and the wrong ones among them where they were judged."""
    listed = list(rows)
    by_outcome: dict[str, list[TextLogprob]] = {"all": [], "right": [], "wrong": []}
    for problem_id, index, logprob_sum, n_tokens in listed:
        if logprob_sum is None:
            continue
        text = TextLogprob(problem_id, logprob_sum, n_tokens)
        by_outcome["all"].append(text)
        outcome = outcomes.get((problem_id, index))
        if outcome in (Outcome.RIGHT, Outcome.WRONG):
            by_outcome[outcome.value].append(text)
    texts = by_outcome["all"]
    entry: dict[str, Any] = {**_counted(texts, seed), "too_long": len(listed) - len(texts)}
    entry |= {name: _counted(by_outcome[name], seed) if outcomes else None for name in ("right", "wrong")}
    return entry | {"by_problem": perplexities(texts)}


def _counted(texts: list[TextLogprob], seed: int) -> dict[str, Any]:
    tokens = sum(text.n_tokens for text in texts)
    return {**as_numbers(perplexity(texts, seed)), "texts": len(texts), "tokens": tokens}


def _entropy(folder: Path, task: str, role: str, record: Record) -> dict[str, Any] | None:
    """Mean token entropy of the model's own samples, at temperature 1 and at its own; None until all are in."""
    about = read_about(folder, ENTROPIES)
    if role not in about.get("scorers", {}):
        return None
    selection = Selection(**about["selection"])
    stored = selection.keys(folder, task, record) & sample_keys(folder, task, role)
    rows = {row[:2]: row for row in read_scores(folder, ENTROPIES, task, role, role) if row[:2] in stored}
    if not rows or len(rows) < len(stored):
        return None
    seed = int(record["spec"]["seed"])
    counted = [row for row in rows.values() if row[2] is not None and row[4]]
    return {
        "at_1": as_numbers(mean_entropy([(row[0], row[2], row[4]) for row in counted], seed)),
        "at_sampling": as_numbers(mean_entropy([(r[0], r[3], r[4]) for r in counted if r[3] is not None], seed)),
        "temperature": temperature_of(record, task, role),
        "texts": len(counted),
        "tokens": sum(row[4] for row in counted),
        "too_long": sum(row[2] is None for row in rows.values()),
        "scorer": about["scorers"][role],
        **asdict(selection),
    }


def mean_entropy(texts: Iterable[tuple[str, float, int]], seed: int) -> Measurement | None:
    """TokenEntropy: mean over texts of the mean over tokens, in nats. `texts`: (problem_id, sum of H_t, tokens > 0)."""
    shares: dict[str, Share] = {}
    for problem_id, total, n_tokens in texts:
        before = shares.get(problem_id, (0.0, 0.0))
        shares[problem_id] = (before[0] + total / n_tokens, before[1] + 1)
    return pooled(shares, seed)
