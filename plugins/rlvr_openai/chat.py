"""A chat as prompt: messages written as one line of JSON, which the model turns back into messages.

The server applies its own chat template, so the "rendered" prompt is `{"chat": [{"role": ..., "content": ...}, ...]}`.
It is stored, hashed and compared like any other prompt. `"continue": true` marks a chat whose last message, begun by
the assistant, is to be carried on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

MARK = '{"chat": ['


def render(messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
    """The messages as one line. [{"role": "user", "content": "q"}] -> {"chat": [{"role": "user", "content": "q"}]}."""
    chat: dict[str, Any] = {"chat": [dict(message) for message in messages]}
    if not add_generation_prompt:
        chat["continue"] = True
    return json.dumps(chat, ensure_ascii=False)


def as_fields(prompt: str) -> dict[str, Any]:
    """The fields of a chat request; a prompt that is no rendered chat becomes one message of the user."""
    read = _read(prompt)
    if read is None:
        return {"messages": [{"role": "user", "content": prompt}]}
    fields: dict[str, Any] = {"messages": read["chat"]}
    if read.get("continue"):
        # vLLM's and SGLang's names for it.
        fields |= {"add_generation_prompt": False, "continue_final_message": True}
    return fields


def _read(prompt: str) -> dict[str, Any] | None:
    if not prompt.startswith(MARK):
        return None
    try:
        read = json.loads(prompt)
    except json.JSONDecodeError:
        return None
    known = isinstance(read, dict) and set(read) <= {"chat", "continue"} and isinstance(read["chat"], list)
    return read if known and all(isinstance(message, dict) for message in read["chat"]) else None
