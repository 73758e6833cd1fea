"""What a training run carries of a problem beside its prompt, and how a completion is found in what it sends back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rlvr_harness.errors import TaskError
from rlvr_harness.records import Problem

FIELDS = ("task", "problem_id", "reference", "metadata")


def label_of(problem: Problem) -> str:
    """The problem without its prompt, as one line of JSON: the label column of training data.

    Raises TaskError where the task keeps something that JSON cannot hold.
    """
    held = {name: getattr(problem, name) for name in FIELDS}
    held["metadata"] = dict(problem.metadata)
    try:
        return json.dumps(held, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise TaskError(
            f"task '{problem.task}', problem {problem.problem_id}: its metadata cannot be written as JSON: {error}"
        ) from error


def problem_of(label: object) -> Problem:
    """The problem that a label names. Raises TaskError for what is no label of ours."""
    try:
        held: Any = json.loads(label) if isinstance(label, str) else label
        task, problem_id, reference = (str(held[name]) for name in FIELDS[:3])
        return Problem(task, problem_id, "", reference, metadata=dict(held["metadata"]))
    except (ValueError, TypeError, KeyError) as error:
        shown = " ".join(str(label).split())[:60]
        raise TaskError(
            f"label {shown!r} names no problem; labels are what rlvr_harness.rewards.labels.label_of writes"
        ) from error


def completion_of(query: str, prompt: str | None, end_tokens: Sequence[str]) -> str:
    """The completion in prompt and completion joined and decoded with special tokens.

    The prompt is cut off where the query begins with it, or else behind its last occurrence, as tokenizers put tokens
    of their own in front. End and padding tokens behind the completion are cut off, however many there are.
    """
    text = query
    if prompt:
        if text.startswith(prompt):
            text = text[len(prompt) :]
        else:
            _, found, rest = text.rpartition(prompt)
            text = rest if found else text
    marks = sorted((token for token in end_tokens if token), key=len, reverse=True)
    while any(text.endswith(mark) for mark in marks):
        text = text[: -len(next(mark for mark in marks if text.endswith(mark)))]
    return text
