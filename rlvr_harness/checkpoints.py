"""What a Hugging Face checkpoint says of itself before it is opened: tokenizer, context, end tokens, precision."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_harness.end_tokens import declared_end_ids, token_text
from rlvr_harness.errors import ModelError, first_line
from rlvr_harness.local_tokenizer import render_chat, template_hash, vocabulary_hash
from rlvr_harness.requests import ModelRequest

CONTEXT_FIELDS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
HUB_ADVICE = "give a local folder, or a Hub id while the hub can be reached"


class CheckpointProfile:
    """What the tokenizer and config.json of a checkpoint say: a `ModelProfile` and `ComparableProfile` for any sampler.

    `tokenizer` is that of transformers, `declared_end_ids` every token that the checkpoint declares an end, `revision`
    the Hub's commit, None for a folder. Of `request.args` it reads revision, tokenizer, dtype, max_length or
    max_model_len, add_bos_token, chat_template_args and enable_thinking, named as lm-eval's engines name them.
    """

    def __init__(self, request: ModelRequest) -> None:
        """Reads both; raises ModelError naming what is missing."""
        self._path = request.path
        self._template_args = dict(request.args.get("chat_template_args") or {})
        if request.args.get("enable_thinking") is not None:
            self._template_args["enable_thinking"] = request.args["enable_thinking"]
        self._add_bos = request.args.get("add_bos_token")
        options = {"trust_remote_code": trusts_remote_code(request), "revision": request.args.get("revision", "main")}
        self.tokenizer: Any = _load_tokenizer(request, options)
        config = _load_config(request, options)
        self.context_length = _context_length(request, config)
        self._vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        self.tokenizer_hash, self.chat_template_hash = vocabulary_hash(self.tokenizer), template_hash(self.tokenizer)
        self.revision: str | None = getattr(config, "_commit_hash", None)
        self.declared_end_ids = declared_end_ids(_generation_config(request, options), config, self.tokenizer)
        texts = [token_text(self.tokenizer, token) for token in self.declared_end_ids]
        self.eos_tokens = tuple(text for text in texts if text is not None)
        self.dtype = _dtype(request, config)
        self.quantization = _quantization(config)

    def render_chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The chat template applied."""
        return render_chat(
            self.tokenizer, f"model '{self._path}'", self._template_args, messages, add_generation_prompt
        )

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt as the model will see it."""
        return len(self.token_ids(prompt))

    def token_ids(self, prompt: str) -> list[int]:
        """The prompt as the model will see it."""
        bos = self.tokenizer.bos_token
        special = {} if self._add_bos is None else {"add_special_tokens": self._add_bos}
        if bos and prompt.startswith(bos):
            special = {"add_special_tokens": False}
        found: list[int] = self.tokenizer(prompt, **special)["input_ids"]
        return found

    def has_token(self, token: str) -> bool:
        """Whether the vocabulary holds this text as one token."""
        return token in self._vocabulary


def trusts_remote_code(request: ModelRequest) -> bool:
    """Whether code that lies beside the weights may run."""
    return request.trust_remote_code or bool(request.args.get("trust_remote_code", False))


def check_checkpoint(request: ModelRequest) -> None:
    """A local folder must hold a config and, unless pickle is allowed, safetensors weights."""
    folder = Path(request.path)
    if not folder.exists():
        if request.path.startswith((".", "/", "~")) or request.path.count("/") > 1:
            raise ModelError(f"model '{request.path}': no such folder; {HUB_ADVICE}")
        return
    if folder.is_file():
        raise ModelError(f"model '{request.path}' is a file; give the folder that holds config.json")
    if not (folder / "config.json").is_file():
        raise ModelError(f"model '{request.path}': no config.json in this folder; is it a Hugging Face checkpoint?")
    if request.allow_pickle or any(folder.glob("*.safetensors")):
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        raise ModelError(
            f"model '{request.path}' has only pickled weights, which can run code when loaded; "
            "convert them to safetensors, or pass --allow_pickle if you trust them"
        )
    raise ModelError(f"model '{request.path}': no *.safetensors weights in this folder")


def _load_tokenizer(request: ModelRequest, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    source = request.args.get("tokenizer") or request.path
    try:
        return AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        if Path(source).is_dir():
            why = "no tokenizer in this folder (tokenizer.json is missing or unreadable); add one, "
            raise ModelError(f"model '{source}': {why}or name one with --model_args tokenizer=PATH") from error
        raise ModelError(f"model '{source}': {first_line(error)}; {HUB_ADVICE}") from error


def _load_config(request: ModelRequest, options: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(request.path, **options)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"model '{request.path}': config.json cannot be used: {first_line(error)}") from error


def _generation_config(request: ModelRequest, options: dict[str, Any]) -> Any:
    """generation_config.json, read for the end tokens alone; None where there is none, as transformers takes it."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(request.path, revision=options["revision"])
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _context_length(request: ModelRequest, config: Any) -> int | None:
    asked = request.args.get("max_length") or request.args.get("max_model_len")
    if asked and str(asked).isdecimal():
        return int(asked)
    text_config = _text_config(config)
    for field in CONTEXT_FIELDS:
        length = getattr(text_config, field, None)
        if isinstance(length, int) and length > 0:
            return length
    return None


def _text_config(config: Any) -> Any:
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _dtype(request: ModelRequest, config: Any) -> str | None:
    """The precision of the opened weights: what was asked for, else what config.json says; None where it says none."""
    asked = request.args.get("dtype")
    stored = getattr(config, "dtype", None) or getattr(_text_config(config), "dtype", None)
    found = stored if asked in (None, "auto") else asked
    return None if found is None else str(found).removeprefix("torch.")


def _quantization(config: Any) -> str | None:
    """The method that the weights are stored in, of config.json. {"quant_method": "gptq"} -> "gptq"."""
    found = getattr(config, "quantization_config", None)
    if not found:
        return None
    method = found.get("quant_method") if isinstance(found, dict) else getattr(found, "quant_method", None)
    return str(method or "unnamed")


def weight_hash(path: str, revision: str | None) -> str | None:
    """sha256 over the names and contents of a checkpoint's weight files; None where they are not on this disk.

    Files in the Hub's cache are stored under their own sha256, which is then taken from the name.
    """
    folder = Path(path)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(path, revision=revision, local_files_only=True))
        except (LocalEntryNotFoundError, OSError, ValueError):
            return None
    digest = hashlib.sha256()
    files = sorted(file for pattern in ("*.safetensors", "*.bin") for file in folder.glob(pattern))
    for file in files:
        stored = file.resolve().name
        content = stored if re.fullmatch(r"[0-9a-f]{64}", stored) else _file_sha256(file)
        digest.update(f"{file.name} {content}\n".encode())
    return digest.hexdigest() if files else None


def _file_sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
