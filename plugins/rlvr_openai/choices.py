"""What a server answers, read into texts, reasons to end, token counts and log probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr_harness import FinishReason
from rlvr_openai.transport import Malformed
from rlvr_openai.usage import Usage

THINK = ("<think>\n", "\n</think>\n\n")
ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "tool_calls", "function_call"})
CUT = frozenset({"length", "max_tokens", "model_length", "max_new_tokens"})
BROKEN = frozenset({"abort", "error", "cancelled"})
"""The server gave up on the completion, as while it shuts down: it is asked for again."""


@dataclass(frozen=True)
class Choice:
    """One completion. What is None the answer does not tell for this choice."""

    text: str
    finish_reason: FinishReason | None
    n_tokens: int | None
    logprob_sum: float | None


def read_choices(answer: Mapping[str, Any], stops: Sequence[str]) -> list[Choice]:
    """The completions in the order of their index. Raises Malformed."""
    rows = answer.get("choices")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Malformed("an answer without completions")
    ordered = sorted(rows, key=lambda row: row["index"] if isinstance(row.get("index"), int) else 0)
    return [_choice(row, stops) for row in ordered]


def _choice(row: Mapping[str, Any], stops: Sequence[str]) -> Choice:
    text = _chat_text(row["message"]) if isinstance(row.get("message"), dict) else row.get("text")
    if not isinstance(text, str):
        raise Malformed("a completion without text")
    if row.get("finish_reason") in BROKEN:
        raise Malformed(f"a completion that ended with '{row['finish_reason']}'")
    reason = _reason(row.get("finish_reason"))
    # Some servers leave the stop string in the text, and some take four of them at most.
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    if found:
        text, reason = text[: min(found)], FinishReason.STOP
    logprobs = _logprobs(row.get("logprobs"))
    return Choice(text, reason, len(logprobs) if logprobs else None, sum(logprobs) if logprobs else None)


def _chat_text(message: Mapping[str, Any]) -> str:
    """Reasoning between think tags, then the content; a chat cut while reasoning has no closing tag."""
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    content = content or message.get("refusal") or ""
    if not isinstance(reasoning, str) or not reasoning:
        return str(content)
    return f"{THINK[0]}{reasoning}{THINK[1]}{content}" if content else f"{THINK[0]}{reasoning}"


def _reason(value: object) -> FinishReason | None:
    """`content_filter` and what is unknown are no doing of the model: the sample is void."""
    if value is None:
        return None
    if value in CUT:
        return FinishReason.LENGTH
    return FinishReason.STOP if value in ENDED else FinishReason.ERROR


def _logprobs(value: object) -> list[float]:
    """The log probability of each token, of either endpoint's form; empty where there is none."""
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("content"), list):
        found = [item.get("logprob") for item in value["content"] if isinstance(item, dict)]
    else:
        found = value.get("token_logprobs") or []
    numbers = [float(each) for each in found if isinstance(each, int | float)]
    return numbers if len(numbers) == len(found) else []


@dataclass(frozen=True)
class Counting:
    """How tokens of a completion are counted where the server gives one number for the whole request."""

    measure: Callable[[str], int]
    budget: int

    def counts(self, choices: Sequence[Choice], usage: Usage) -> list[int]:
        """Tokens of each choice, exact where known; the rest of the request's total is shared out by length of text.

        A choice that was cut has the whole budget. Without a total, `measure` alone tells.
        """
        if len(choices) == 1 and usage.completion_tokens is not None:
            return [usage.completion_tokens]
        known = [self._known(choice) for choice in choices]
        open_rows = [row for row, count in enumerate(known) if count is None]
        sizes = [self.measure(choices[row].text) + 1 for row in open_rows]
        if usage.completion_tokens is not None and open_rows:
            rest = usage.completion_tokens - sum(count for count in known if count is not None)
            sizes = share_out(max(rest, len(open_rows)), sizes)
        for row, size in zip(open_rows, sizes, strict=True):
            known[row] = size
        return [count or 0 for count in known]

    def _known(self, choice: Choice) -> int | None:
        if choice.n_tokens is not None:
            return choice.n_tokens
        return self.budget if choice.finish_reason is FinishReason.LENGTH else None


def share_out(total: int, sizes: Sequence[int]) -> list[int]:
    """Whole numbers that add up to the total, in proportion to the sizes. (10, [1, 1, 2]) -> [3, 2, 5]."""
    whole = sum(sizes)
    exact = [total * size / whole for size in sizes]
    shares = [int(share) for share in exact]
    by_rest = sorted(range(len(sizes)), key=lambda row: (shares[row] - exact[row], row))
    for row in by_rest[: total - sum(shares)]:
        shares[row] += 1
    return shares
