"""What the use of a server takes: requests, tokens, cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COUNTED = ("requests", "repeated", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Usage:
    """Token counts of a whole request, over all its choices; None where the server sends none."""

    prompt_tokens: int | None
    completion_tokens: int | None


def read_usage(answer: Mapping[str, Any]) -> Usage:
    """The usage block of an answer."""
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    return Usage(*(count if isinstance(count, int) and count >= 0 else None for count in counts))


@dataclass
class Traffic:
    """What went over the line so far, trials of what the server takes included."""

    requests: int = 0
    repeated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    """Answers without token counts."""

    def count(self, usage: Usage) -> None:
        """Adds the tokens of an answer."""
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.uncounted += usage.prompt_tokens is None or usage.completion_tokens is None

    def as_data(self, price_in: float | None, price_out: float | None) -> dict[str, float]:
        """All of it by name; `cost` where a price of a million tokens is given: a missing one counts as 0."""
        found: dict[str, float] = {name: getattr(self, name) for name in (*COUNTED, "uncounted")}
        if price_in is not None or price_out is not None:
            spent = self.prompt_tokens * (price_in or 0.0) + self.completion_tokens * (price_out or 0.0)
            found["cost"] = spent / 1e6
        return found
