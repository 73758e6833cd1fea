"""Which tokens end a text: those that a checkpoint declares, or those that a run gives to all its models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def declared_end_ids(generation_config: Any, config: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every token that the checkpoint or its tokenizer declares an end, as vLLM does."""
    found: set[int] = set()
    for source in (generation_config, config, tokenizer):
        declared = getattr(source, "eos_token_id", None)
        if declared is not None:
            found.update(declared if isinstance(declared, list | tuple) else [declared])
    return tuple(sorted(int(token) for token in found))


def end_ids(declared: tuple[int, ...], wanted: tuple[str, ...] | None, tokenizer: Any) -> tuple[int, ...]:
    """The tokens to stop at: `wanted` where given, with declared ones that the tokenizer has no text for."""
    if wanted is None:
        return declared
    vocabulary = tokenizer.get_vocab()
    nameless = [token for token in declared if token_text(tokenizer, token) is None]
    return tuple(sorted({*nameless, *(int(vocabulary[text]) for text in wanted if text in vocabulary)}))


def with_stop_tokens(ends: tuple[int, ...], stops: Sequence[str], tokenizer: Any) -> tuple[int, ...]:
    """The end tokens, and each stop string that is one token: a special one is never seen in decoded text."""
    vocabulary = tokenizer.get_vocab()
    return tuple(sorted({*ends, *(int(vocabulary[stop]) for stop in stops if stop in vocabulary)}))


def token_text(tokenizer: Any, token: int) -> str | None:
    """The token as the vocabulary spells it; None for a row of the embedding that no text belongs to."""
    if not 0 <= token < len(tokenizer):
        return None
    text: str | None = tokenizer.convert_ids_to_tokens(token)
    return text


def cut_at_stop(text: str, stops: Sequence[str]) -> str | None:
    """The text before the first stop string, or None where there is none. ("a\\n\\nQ", ["\\n\\n"]) -> "a"."""
    found = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(found)] if found else None
