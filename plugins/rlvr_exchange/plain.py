"""The `samples` importer: JSONL rows of problem_id and text, with a label where they are judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.deciding import SampleFormat, one_of, outcome_of
from rlvr_exchange.lines import Row, first_row, is_jsonl, read_rows, shown
from rlvr_harness import FinishReason, ForeignChoice, ForeignRow, ForeignSample, Outcome, TaskError, UsageError

LABELS = ("right", "label", "correct", "is_correct", "score", "reward")
"""Fields that may hold the verdict."""
WORDS = {"right": True, "correct": True, "true": True, "pass": True, "wrong": False, "incorrect": False}
WORDS |= {"false": False, "fail": False}
VOID = "void"


class PlainSamples(SampleFormat):
    """Rows of anybody's making."""

    name = "samples"
    description = "JSONL of problem_id and text; optional right or label, answer, prompt, reference, finish_reason"

    def recognises(self, path: Path) -> bool:
        """By the fields of the first row."""
        return {"problem_id", "text"} <= set(first_row(path))

    def tasks(self, path: Path) -> Sequence[str]:
        """The task of the first row; a file of several must be asked for one of them."""
        task = first_row(path).get("task")
        if not isinstance(task, str):
            return []
        return list(dict.fromkeys(str(row.content.get("task")) for row in read_rows(path) if "task" in row.content))

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """One ForeignRow per row."""
        if not is_jsonl(path):
            raise TaskError(f"{path} is no .jsonl file with rows of problem_id and text")
        empty = True
        for row in read_rows(path):
            empty = False
            if choice.task is None or row.content.get("task", choice.task) == choice.task:
                yield _row(row, choice)
        if empty:
            raise TaskError(f"{path} holds no rows; expected problem_id and text")


def _row(row: Row, choice: ForeignChoice) -> ForeignRow:
    content = row.content
    reference = content.get("reference", content.get("gold"))
    metadata = content.get("metadata")
    label = _label(row, choice)
    prompt = content.get("prompt")
    return ForeignRow(
        row.where,
        str(row.need("problem_id", str, int)),
        [_sample(row, choice, label)],
        prompt=None if prompt is None else prompt if isinstance(prompt, str) else shown(prompt),
        reference=None if reference is None else str(reference),
        metadata=metadata if isinstance(metadata, dict) else {},
        judge=label or "",
    )


def _label(row: Row, choice: ForeignChoice) -> str | None:
    """Which field holds the verdict; None where there is none."""
    if choice.metric is not None:
        return one_of(choice.metric, sorted(set(row.content) - {"problem_id", "text"}), row.where, "field")
    there = [name for name in LABELS if row.content.get(name) is not None]
    if len(there) > 1:
        raise UsageError(f"{row.where}: which field is the verdict, {' or '.join(there)}? Name one with --metric")
    return there[0] if there else None


def _sample(row: Row, choice: ForeignChoice, label: str | None) -> ForeignSample:
    text = row.need("text", str)
    value = row.content.get(label) if label else None
    known: dict[str, Any] = {"finish_reason": _end(row), **_numbers(row)}
    if value is None:
        return ForeignSample(text, None, reason="it has no right or label", **known)
    outcome = _outcome(value, choice, f"'{label}'", row.where)
    answer = row.content.get("answer")
    reason = row.content.get("reason")
    reason = reason if isinstance(reason, str) and reason else "match" if outcome is Outcome.RIGHT else "no_match"
    return ForeignSample(text, outcome, None if answer is None else str(answer), reason, **known)


def _outcome(value: Any, choice: ForeignChoice, what: str, where: str) -> Outcome:
    if isinstance(value, str):
        word = value.strip().lower()
        if word == VOID:
            return Outcome.VOID
        if word not in WORDS:
            raise TaskError(f"{where}: {what} is {shown(value)}; expected true or false, 1 or 0, right or wrong")
        return Outcome.RIGHT if WORDS[word] else Outcome.WRONG
    return outcome_of(value, choice.threshold, what, where)


def _end(row: Row) -> FinishReason | None:
    value = row.content.get("finish_reason")
    try:
        return None if value is None else FinishReason(value)
    except ValueError as error:
        known = ", ".join(reason.value for reason in FinishReason)
        raise TaskError(f"{row.where}: 'finish_reason' is {shown(value)}; expected one of {known}") from error


def _numbers(row: Row) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, kinds in (("n_tokens", (int,)), ("logprob_sum", (int, float))):
        if row.content.get(name) is not None:
            found[name] = row.need(name, *kinds)
    return found
