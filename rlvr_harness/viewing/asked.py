"""What a request asks for, read from its address; anything that cannot be meant raises BadRequest with a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rlvr_harness.errors import HarnessError

SORTS = {"index": "index", "right": "right first", "wrong": "wrong first", "long": "longest first"}
OUTCOMES = {"": "any", "right": "✓ right", "wrong": "✗ wrong", "void": "∅ void", "none": "· not judged"}
FINISHES = {"": "any", "stop": "stop", "length": "length (cut off)", "error": "error"}
QUADRANTS = {
    "": "any",
    "both": "both solve it",
    "base_only": "base only",
    "model_only": "model only",
    "neither": "neither",
    "undecided": "undecided",
}
SIZES = (5, 10, 25, 50)
LONGEST_QUERY = 1000
Asked = Mapping[str, str]


class BadRequest(HarnessError):
    """An address that no page of ours links to."""


class NotThere(HarnessError):
    """A task, problem or sample that the folder does not hold."""


@dataclass(frozen=True)
class SampleFilter:
    """Which samples of one model are wanted, in which order. `no_answer`: those from which nothing was read."""

    outcome: str = ""
    finish: str = ""
    answer: str = ""
    no_answer: bool = False
    reason: str = ""
    words: str = ""
    sort: str = "index"
    verifier: str = ""

    @property
    def active(self) -> bool:
        """Whether some samples may be left out."""
        return bool(self.outcome or self.finish or self.answer or self.no_answer or self.reason or self.words)


@dataclass(frozen=True)
class ProblemFilter:
    """Which problems are wanted. `least` and `most`: number of right samples by model."""

    words: str = ""
    quadrant: str = ""
    sort: str = ""
    least: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)


def choice(asked: Asked, name: str, allowed: Mapping[str, str], default: str = "") -> str:
    """One of the allowed values."""
    value = asked.get(name, default) or default
    if value not in allowed:
        raise BadRequest(f"{name} is one of {', '.join(key or 'nothing' for key in allowed)}, not {value[:80]!r}")
    return value


def whole(asked: Asked, name: str, default: int, most: int = 10**9) -> int:
    """A whole number from 0 on."""
    value = asked.get(name, "").strip()
    if not value:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > 10 or int(value) > most:
        raise BadRequest(f"{name} is a whole number from 0 to {most:,}, not {value[:80]!r}")
    return int(value)


def words(asked: Asked, name: str = "q") -> str:
    """Text to look for."""
    value = asked.get(name, "").strip()
    if len(value) > LONGEST_QUERY:
        raise BadRequest(f"the text to look for has {len(value):,} characters; {LONGEST_QUERY:,} is the most")
    return value


def sample_filter(asked: Asked) -> SampleFilter:
    """The filter that the address names."""
    return SampleFilter(
        outcome=choice(asked, "outcome", OUTCOMES),
        finish=choice(asked, "finish", FINISHES),
        answer=asked.get("answer", ""),
        no_answer=asked.get("no_answer", "") == "1",
        reason=asked.get("reason", ""),
        words=words(asked),
        sort=choice(asked, "sort", SORTS, "index"),
        verifier=asked.get("verifier", ""),
    )


def problem_filter(asked: Asked, models: list[str], sorts: Mapping[str, str]) -> ProblemFilter:
    """The filter that the address names; `least.base=1&most.base=4` bounds the right samples of `base`."""
    bounds = {
        edge: {
            model: whole(asked, f"{edge}.{model}", 0) for model in models if asked.get(f"{edge}.{model}", "").strip()
        }
        for edge in ("least", "most")
    }
    return ProblemFilter(
        words(asked),
        choice(asked, "quadrant", QUADRANTS),
        choice(asked, "sort", sorts),
        bounds["least"],
        bounds["most"],
    )


def page_size(asked: Asked) -> int:
    """Samples on a page."""
    size = whole(asked, "size", SIZES[0])
    if size not in SIZES:
        raise BadRequest(f"size is one of {', '.join(map(str, SIZES))}, not {size}")
    return size
