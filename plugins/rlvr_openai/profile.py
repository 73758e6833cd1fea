"""What is known of a served model before it is sampled."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_harness import LocalTokenizer, ModelError, about_tokens
from rlvr_openai import chat
from rlvr_openai.settings import Settings

CONTEXT_FIELDS = ("max_model_len", "context_length", "max_context_length", "context_window", "n_ctx")
"""vLLM and SGLang; OpenRouter and others; LM Studio; Groq; llama.cpp (inside `meta`)."""
PROMPT_BYTES_PER_TOKEN = 2.0
"""UTF-8 bytes: text of many digits and symbols has about two a token, so that a prompt is rarely counted too short."""
_LOG = logging.getLogger(__name__)


class OpenAIProfile:
    """Context and tokens of a served model; see `ModelProfile`.

    Which tokens end a text is the server's own affair, so it is no `ComparableProfile`.
    """

    def __init__(self, settings: Settings, entry: Mapping[str, Any]) -> None:
        """`entry`: what the server's list says of the model."""
        self._settings = settings
        self._tokenizer = load_tokenizer(settings)
        self.context_length = settings.max_length or context_of(entry)
        unknown = hashlib.sha256(b"unknown").hexdigest()
        self.tokenizer_hash = self._tokenizer.hash if self._tokenizer else unknown
        self.chat_template_hash = self._tokenizer.chat_template_hash if self._tokenizer else None
        if settings.chat:
            self.chat_template_hash = settings.template_hash
        self._warn()

    def render_chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """For endpoint=chat the messages as JSON, else the tokenizer's chat template applied."""
        if self._settings.chat:
            return chat.render(messages, add_generation_prompt)
        if self._tokenizer is None:
            raise ModelError(
                f"model '{self._settings.model}': its chat template is not known here; let the server apply it with "
                "--model_args endpoint=chat, or name the tokenizer with tokenizer=PATH"
            )
        return self._tokenizer.render_chat(messages, add_generation_prompt)

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt: counted where the tokenizer is known, else a careful estimate of its length."""
        if self._settings.chat:
            messages = chat.as_fields(prompt)["messages"]
            if self._tokenizer is None or self._tokenizer.chat_template_hash is None:
                return sum(about_tokens(str(each.get("content", "")), PROMPT_BYTES_PER_TOKEN) + 8 for each in messages)
            return len(self._tokenizer.prompt_ids(self._tokenizer.render_chat(messages)))
        if self._tokenizer is None:
            return about_tokens(prompt, PROMPT_BYTES_PER_TOKEN)
        return len(self._tokenizer.prompt_ids(prompt))

    def _warn(self) -> None:
        settings = self._settings
        if self.context_length is None:
            _LOG.warning(
                "the server does not tell the context of model '%s'; give it with --model_args max_length=TOKENS, else "
                "a prompt that is too long is only found when it is sent",
                settings.model,
            )
        if settings.chat:
            _LOG.warning(
                "the server applies the chat template of model '%s' itself: whether all models of a run are given "
                "equal prompts cannot be checked",
                settings.model,
            )


def load_tokenizer(settings: Settings) -> LocalTokenizer | None:
    """The tokenizer that the settings name; None where they name none."""
    if settings.tokenizer is None:
        return None
    options = {"revision": settings.tokenizer_revision} if settings.tokenizer_revision else {}
    return LocalTokenizer(settings.tokenizer, settings.template_args, **options)


def context_of(entry: Mapping[str, Any]) -> int | None:
    """The context in tokens that a server's entry tells. {"id": "m", "max_model_len": 4096} -> 4096."""
    inner = entry.get("meta")
    for source in (entry, inner if isinstance(inner, dict) else {}):
        for name in CONTEXT_FIELDS:
            value = source.get(name)
            if isinstance(value, int) and value > 0:
                return value
    return None
