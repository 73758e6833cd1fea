"""A tokenizer on this machine, for samplers whose engine is somewhere else: counts prompts and renders chats."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_harness.errors import ModelError, first_line
from rlvr_harness.requests import ChatMessage

BYTES_PER_TOKEN = 3.5
"""UTF-8 bytes of a token of mathematics, code and English in today's vocabularies of 100,000 tokens and more."""


def about_tokens(text: str, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """An estimate of the number of tokens where no tokenizer is at hand; 0 for an empty text."""
    return math.ceil(len(text.encode()) / bytes_per_token)


def vocabulary_hash(tokenizer: Any) -> str:
    """sha256 of the vocabulary, tokens with their ids."""
    return _sha256(repr(sorted(tokenizer.get_vocab().items())))


def template_hash(tokenizer: Any) -> str | None:
    """sha256 of the chat template; None where there is none."""
    template = getattr(tokenizer, "chat_template", None)
    return _sha256(str(template)) if template else None


def render_chat(
    tokenizer: Any,
    named: str,
    template_args: Mapping[str, Any],
    messages: Sequence[ChatMessage],
    add_generation_prompt: bool,
) -> str:
    """The chat template applied. Raises ModelError, about what is `named`, where there is none or it fails."""
    from jinja2 import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(f"{named} has no chat template; drop --apply_chat_template")
    try:
        rendered: str = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            **template_args,
        )
    except TemplateError as error:
        raise ModelError(f"{named}: its chat template fails: {first_line(error)}") from error
    return rendered


class LocalTokenizer:
    """A Hugging Face tokenizer of a local folder or the Hub."""

    def __init__(self, source: str, template_args: Mapping[str, Any] | None = None, **options: Any) -> None:
        """`template_args` go into the chat template, `options` to `AutoTokenizer`. Raises ModelError."""
        from transformers import AutoTokenizer

        self._source = source
        self._template_args = dict(template_args or {})
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source, **options)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
            way_out = "give a folder that holds tokenizer.json, or a Hub id"
            cause = "no usable tokenizer in this folder" if Path(source).is_dir() else first_line(error)
            raise ModelError(f"tokenizer '{source}': {cause}; {way_out}") from error
        self.hash, self.chat_template_hash = vocabulary_hash(self._tokenizer), template_hash(self._tokenizer)

    def render_chat(self, messages: Sequence[ChatMessage], add_generation_prompt: bool = True) -> str:
        """The chat template applied. Raises ModelError where there is none or it fails."""
        return render_chat(
            self._tokenizer, f"tokenizer '{self._source}'", self._template_args, messages, add_generation_prompt
        )

    def prompt_ids(self, prompt: str) -> list[int]:
        """The prompt as a model sees it: special tokens added, none twice."""
        found: list[int] = self._tokenizer(self.without_bos(prompt))["input_ids"]
        return found

    def count(self, text: str) -> int:
        """Tokens of a completion, no special ones added."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def without_bos(self, prompt: str) -> str:
        """The prompt less a leading begin token that the tokenizer would add once more; chat templates write one."""
        bos = self._tokenizer.bos_token
        if not bos or not prompt.startswith(bos):
            return prompt
        adds = self._tokenizer("a")["input_ids"][:1] == [self._tokenizer.bos_token_id]
        return prompt.removeprefix(bos) if adds else prompt


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
