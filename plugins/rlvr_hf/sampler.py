"""The `hf` sampler: checks a checkpoint, reads its tokenizer, and opens it through lm-eval."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_harness import ModelError, ModelRequest, first_line, open_lm
from rlvr_hf.end_tokens import declared_end_ids, token_text
from rlvr_hf.model import HfModel

CONTEXT_FIELDS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
HUB_ADVICE = "give a local folder, or a Hub id while the hub can be reached"


class HfSampler:
    """transformers on a CPU or one GPU."""

    name = "hf"
    description = "transformers: any causal LM on a CPU or one GPU, prompts prefilled once, one seed per sample"

    def profile(self, request: ModelRequest) -> HfProfile:
        """Tokenizer and context, without weights."""
        _check_folder(request)
        return HfProfile(request)

    def open(self, request: ModelRequest) -> HfModel:
        """The model, opened by lm-eval's `hf`."""
        import torch
        from safetensors import SafetensorError

        _check_folder(request)
        device = request.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(f"--device {device}: torch {torch.__version__} sees no CUDA device; use --device cpu")
        if request.threads:
            torch.set_num_threads(request.threads)
        arguments = {"dtype": "auto", **request.args, "pretrained": request.path}
        if not request.allow_pickle:
            arguments["use_safetensors"] = True
        arguments["trust_remote_code"] = _trusted(request)
        logging.getLogger("transformers").setLevel(logging.ERROR)
        try:
            return HfModel(request, open_lm("hf", arguments, device))
        except SafetensorError as error:
            raise ModelError(
                f"model '{request.path}': its weights are damaged or cut short: {first_line(error)}"
            ) from error


class HfProfile:
    """What the tokenizer and config.json of a checkpoint say."""

    def __init__(self, request: ModelRequest) -> None:
        """Reads both; raises ModelError naming what is missing."""
        self._path = request.path
        self._template_args = dict(request.args.get("chat_template_args") or {})
        self._add_bos = request.args.get("add_bos_token")
        options = {"trust_remote_code": _trusted(request), "revision": request.args.get("revision", "main")}
        self._tokenizer = _load_tokenizer(request, options)
        config = _load_config(request, options)
        self.context_length = _context_length(request, config)
        self._vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        self.tokenizer_hash = _sha256(repr(sorted(self._vocabulary.items())))
        template = getattr(self._tokenizer, "chat_template", None)
        self.chat_template_hash = _sha256(str(template)) if template else None
        declared = declared_end_ids(_generation_config(request, options), config, self._tokenizer)
        texts = [token_text(self._tokenizer, token) for token in declared]
        self.eos_tokens = tuple(text for text in texts if text is not None)
        self.dtype = _dtype(request, config)
        self.quantization = _quantization(config)

    def render_chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The chat template applied."""
        from jinja2 import TemplateError

        if self.chat_template_hash is None:
            raise ModelError(f"model '{self._path}' has no chat template; drop --apply_chat_template")
        try:
            rendered: str = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
                **self._template_args,
            )
        except TemplateError as error:
            raise ModelError(f"model '{self._path}': its chat template fails: {first_line(error)}") from error
        return rendered

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt as the model will see it."""
        return len(self.token_ids(prompt))

    def token_ids(self, prompt: str) -> list[int]:
        """The prompt as the model will see it."""
        bos = self._tokenizer.bos_token
        special = {} if self._add_bos is None else {"add_special_tokens": self._add_bos}
        if bos and prompt.startswith(bos):
            special = {"add_special_tokens": False}
        found: list[int] = self._tokenizer(prompt, **special)["input_ids"]
        return found

    def has_token(self, token: str) -> bool:
        """Whether the vocabulary holds this text as one token."""
        return token in self._vocabulary


def _trusted(request: ModelRequest) -> bool:
    return request.trust_remote_code or bool(request.args.get("trust_remote_code", False))


def _check_folder(request: ModelRequest) -> None:
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
    if request.args.get("max_length"):
        return int(request.args["max_length"])
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


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
