"""The sampler family `lm_eval`: `--sampler lm_eval:NAME` opens any model class that lm-eval has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from rlvr_harness import (
    LocalTokenizer,
    ModelError,
    ModelProfile,
    ModelRequest,
    OpenModel,
    UnknownName,
    UsageError,
    about_tokens,
    first_line,
    lm_eval_model_names,
    open_lm,
)
from rlvr_lm_eval.classes import BATCH, HUGGING_FACE, SERVED, ModelClass
from rlvr_lm_eval.model import LmEvalModel

CONTEXT_FIELDS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
SERVED_CONTEXT = 2047
"""What lm-eval's clients of servers cut prompts to, unless --model_args max_length says otherwise."""
PROMPT_BYTES_PER_TOKEN = 2.0
"""UTF-8 bytes: a careful estimate, so that a prompt is rarely counted too short."""


class LmEvalFamily:
    """All of lm-eval's model classes; itself it opens nothing."""

    name = "lm_eval"
    description = "lm_eval:NAME, any model class of lm-eval (hf, vllm, local-completions, dummy, ...): slow, universal"

    def member(self, name: str) -> LmEvalSampler:
        """The sampler `lm_eval:NAME`. Raises UnknownName."""
        known = lm_eval_model_names()
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
            raise UnknownName(f"lm-eval has no model class '{name}'; {hint}")
        return LmEvalSampler(ModelClass(name))

    def profile(self, request: ModelRequest) -> ModelProfile:
        """Raises UsageError: a member must be named."""
        raise UsageError("--sampler lm_eval needs the name of a model class, as lm_eval:hf")

    def open(self, request: ModelRequest) -> OpenModel:
        """Raises UsageError: a member must be named."""
        raise UsageError("--sampler lm_eval needs the name of a model class, as lm_eval:hf")


@dataclass(frozen=True)
class LmEvalSampler:
    """Models of one class of lm-eval."""

    kind: ModelClass

    @property
    def name(self) -> str:
        """`lm_eval:` and the class."""
        return f"lm_eval:{self.kind.name}"

    @property
    def description(self) -> str:
        """One line for `ls`."""
        return f"lm-eval's model class {self.kind.name}, one generate_until request a sample"

    def profile(self, request: ModelRequest) -> LmEvalProfile:
        """Tokenizer and context without opening the model. Raises ModelError."""
        return LmEvalProfile(self.kind, request)

    def open(self, request: ModelRequest) -> LmEvalModel:
        """The model, opened by lm-eval. Raises ModelError."""
        import torch

        if request.threads:
            torch.set_num_threads(request.threads)
        args = dict(request.args)
        if self.kind.path_argument is not None:
            args.setdefault(self.kind.path_argument, request.path)
        if self.kind.name not in SERVED:
            args.setdefault("batch_size", request.batch_size or BATCH)
        if request.trust_remote_code:
            args["trust_remote_code"] = True
        if self.kind.name in HUGGING_FACE and not request.allow_pickle:
            args["use_safetensors"] = True
        device = request.device
        if device is None and self.kind.name in HUGGING_FACE:
            # lm-eval's own default is cuda, whether there is one or not.
            device = "cuda" if torch.cuda.is_available() else "cpu"
        lm = open_lm(self.kind.name, args, device)
        return LmEvalModel(request, self.kind, lm, _tokenizer(self.kind, request))


class LmEvalProfile:
    """What the tokenizer and the arguments say; see `ModelProfile`. lm-eval's classes do not tell their end tokens."""

    def __init__(self, kind: ModelClass, request: ModelRequest) -> None:
        """Raises ModelError where a tokenizer is named and cannot be read."""
        self._name = kind.name
        self._tokenizer = _tokenizer(kind, request)
        unknown = hashlib.sha256(b"unknown").hexdigest()
        self.tokenizer_hash = self._tokenizer.hash if self._tokenizer else unknown
        self.chat_template_hash = self._tokenizer.chat_template_hash if self._tokenizer else None
        self.context_length = _context(kind, request)

    def render_chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The tokenizer's chat template applied."""
        if self._tokenizer is None:
            raise ModelError(f"lm_eval:{self._name}: no tokenizer is known; name it with --model_args tokenizer=PATH")
        return self._tokenizer.render_chat(messages, add_generation_prompt)

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt; an estimate where no tokenizer is known."""
        if self._tokenizer is None:
            return about_tokens(prompt, PROMPT_BYTES_PER_TOKEN)
        return len(self._tokenizer.prompt_ids(prompt))


def _tokenizer(kind: ModelClass, request: ModelRequest) -> LocalTokenizer | None:
    source = request.args.get("tokenizer") or (request.path if kind.loads_checkpoint else None)
    if source is None:
        return None
    options: dict[str, Any] = {"trust_remote_code": request.trust_remote_code}
    if request.args.get("revision"):
        options["revision"] = request.args["revision"]
    return LocalTokenizer(str(source), None, **options)


def _context(kind: ModelClass, request: ModelRequest) -> int | None:
    for name in ("max_length", "max_model_len"):
        if request.args.get(name):
            return int(request.args[name])
    if kind.name in SERVED:
        return SERVED_CONTEXT
    return _declared_context(request) if kind.loads_checkpoint else None


def _declared_context(request: ModelRequest) -> int | None:
    """The context that config.json tells."""
    from transformers import AutoConfig

    options = {"trust_remote_code": request.trust_remote_code, "revision": request.args.get("revision", "main")}
    try:
        config = AutoConfig.from_pretrained(request.path, **options).get_text_config()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"model '{request.path}': config.json cannot be used: {first_line(error)}") from error
    found = [getattr(config, name, None) for name in CONTEXT_FIELDS]
    return next((length for length in found if isinstance(length, int) and length > 0), None)
