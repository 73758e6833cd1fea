"""The tokens of a text that answers a prompt, for every sampler that scores texts."""

from __future__ import annotations

from typing import Any


def text_ids(tokenizer: Any, prompt: str, text: str) -> list[int]:
    """The text's tokens as they follow the prompt, without special ones put around it.

    The text is read in place, so that a tokenizer sees the same spaces as in the whole; where a token would span the
    end of the prompt, which no completion can have, the text is read by itself. `tokenizer`: of transformers.
    """
    before: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer(prompt + text, add_special_tokens=False)["input_ids"]
    if whole[: len(before)] == before:
        return list(whole[len(before) :])
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
