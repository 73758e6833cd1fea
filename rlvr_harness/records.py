"""The nouns that flow through a run: Problem, Sample, Verdict, Tally, Measurement. All are frozen."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


class Outcome(enum.StrEnum):
    """What a verifier found. VOID means the harness failed, and is never counted as wrong."""

    RIGHT = "right"
    WRONG = "wrong"
    VOID = "void"


class FinishReason(enum.StrEnum):
    """Why a completion ended: end token or stop string, token limit, or a failure of the engine."""

    STOP = "stop"
    LENGTH = "length"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a task, with the very prompt that every model of the run is given."""

    IMAGE_MARK: ClassVar[str] = "<image>"
    """Stands in a chat message where a picture is shown; each model puts its own words there."""
    task: str
    problem_id: str
    prompt: str
    reference: str
    stop: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[bytes, ...] = field(default=(), repr=False)
    """Picture files that the prompt shows, in the order of their marks; not stored in the run folder."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Completion number `index` of one model on one problem.

    `n_tokens` counts generated tokens, the end token included. `logprob_sum` is the natural-log probability of the
    completion under the sampling law, or None where the engine does not report it.
    """

    task: str
    model: str
    problem_id: str
    index: int
    seed: int
    text: str
    finish_reason: FinishReason
    n_tokens: int
    logprob_sum: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one sample; `answer` is what was read from the text, None where nothing was."""

    problem_id: str
    index: int
    outcome: Outcome
    answer: str | None
    reason: str
    seconds: float = 0.0

    @classmethod
    def right(cls, sample: Sample, answer: str | None, reason: str = "match") -> Verdict:
        """A verdict in the sample's favour."""
        return cls(sample.problem_id, sample.index, Outcome.RIGHT, answer, reason)

    @classmethod
    def wrong(cls, sample: Sample, answer: str | None, reason: str) -> Verdict:
        """A failure of the model, with its reason as one lower_case word."""
        return cls(sample.problem_id, sample.index, Outcome.WRONG, answer, reason)

    @classmethod
    def void(cls, sample: Sample, reason: str) -> Verdict:
        """A failure of the harness: reported, retried, never counted."""
        return cls(sample.problem_id, sample.index, Outcome.VOID, None, reason)

    def for_index(self, index: int) -> Verdict:
        """The same verdict for another sample of the problem that has the same text or answer."""
        return Verdict(self.problem_id, index, self.outcome, self.answer, self.reason, self.seconds)


@dataclass(frozen=True, slots=True)
class VerdictCount:
    """How many samples of a problem have this outcome and this answer.

    `stage`: which stage of a sequential plan drew them, from 0; always 0 where n is fixed.
    """

    problem_id: str
    outcome: Outcome
    answer: str | None
    count: int
    stage: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one model on one problem: n = right + wrong verified samples, c = right ones."""

    problem_id: str
    n: int
    c: int
    void: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its two 95 % intervals: problems resampled (low, high), problems fixed (sampling_*)."""

    value: float
    low: float | None = None
    high: float | None = None
    sampling_low: float | None = None
    sampling_high: float | None = None


def plain_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what is no JSON, as a decoded picture, named by its type alone: {"image": "<PngImageFile>"}."""
    return {field: value if _is_json(value) else f"<{type(value).__name__}>" for field, value in document.items()}


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
