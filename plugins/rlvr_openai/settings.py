"""What `--model_args` say of a server, checked before it is asked anything."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from rlvr_harness import ModelError, ModelRequest, UsageError

DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"
HIDDEN = "[key]"
"""What stands in a message in place of the key."""
KNOWN = {
    "base_url": "where the server listens, with or without /v1",
    "endpoint": "completions (default; prompts as text) or chat (messages, the server's own chat template)",
    "concurrency": "requests under way at once (64)",
    "n_per_request": "samples asked for in one request (8)",
    "api_key_env": "environment variable that holds the key (OPENAI_API_KEY)",
    "timeout": "seconds to wait for an answer (1800)",
    "max_retries": "how often a failed request is repeated (10)",
    "retry_wait": "longest pause in seconds before the first repeat, doubled with each (0.5)",
    "max_length": "context of the model in tokens, where the server does not tell",
    "tokenizer": "folder or Hub id of the model's tokenizer, to count tokens and render chats",
    "tokenizer_revision": "its revision",
    "chat_template_args": "arguments of the chat template, as JSON",
    "extra_body": "further fields of every request, as JSON",
    "logprobs": "true: store the sum of the log probabilities that the server reports",
    "price_in": "price of a million prompt tokens",
    "price_out": "price of a million completion tokens",
}
ALIASES = {"num_concurrent": "concurrency"}
"""lm-eval's own names."""
VERSION = re.compile(r"/v\d")
"""A path that names the version itself, as "/api/v1" and "/v1beta/openai"."""
SENT_BY_LAW = frozenset(
    {"model", "prompt", "messages", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens"}
    | {"max_completion_tokens", "n", "seed", "stop", "stream", "logprobs"}
)
"""Fields of a request that the run itself decides."""


@dataclass(frozen=True)
class Settings:
    """How a served model is reached. `key` is kept out of every text that is shown or stored."""

    model: str
    role: str
    root: str
    chat: bool = False
    concurrency: int = 64
    n_per_request: int = 8
    key: str | None = field(default=None, repr=False)
    key_variable: str = DEFAULT_KEY_VARIABLE
    timeout_s: float = 1800.0
    max_retries: int = 10
    retry_wait_s: float = 0.5
    max_length: int | None = None
    tokenizer: str | None = None
    tokenizer_revision: str | None = None
    template_args: Mapping[str, Any] = field(default_factory=dict)
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    logprobs: bool = False
    price_in: float | None = None
    price_out: float | None = None

    @property
    def path(self) -> str:
        """Address of the endpoint below the root."""
        return "/chat/completions" if self.chat else "/completions"

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine: a proxy is then left aside."""
        return urlsplit(self.root).hostname in ("localhost", "127.0.0.1", "::1")

    def hide(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self.key, HIDDEN) if self.key else text

    @property
    def template_hash(self) -> str:
        """Stands for the chat template that the server applies: which one cannot be seen from here."""
        return hashlib.sha256(f"the server's own {sorted(self.template_args.items())}".encode()).hexdigest()


def read_settings(request: ModelRequest) -> Settings:
    """The settings of a model. Raises UsageError for an argument that is unknown, wrong or would give a key away."""
    args = {ALIASES.get(name, name): value for name, value in request.args.items()}
    for name in ("api_key", "token", "auth_token"):
        if name in args:
            raise UsageError(
                f"--model_args {name}=... would be written to run.json; put the key into the environment "
                f"({DEFAULT_KEY_VARIABLE}, or another variable named by api_key_env=NAME)"
            )
    if unknown := sorted(set(args) - set(KNOWN)):
        raise UsageError(f"sampler 'openai' has no argument '{unknown[0]}'; it takes {', '.join(KNOWN)}")
    root, implied = _root(args.get("base_url"))
    variable = str(args.get("api_key_env", DEFAULT_KEY_VARIABLE))
    key = os.environ.get(variable, "").strip() or None
    if key is None and "api_key_env" in args:
        raise ModelError(f"the environment variable {variable}, named by api_key_env, is not set")
    extra = _mapping(args, "extra_body")
    if taken := sorted(SENT_BY_LAW & set(extra)):
        raise UsageError(f"extra_body: '{taken[0]}' is decided by the run; use --gen_kwargs")
    return Settings(
        model=request.path,
        role=request.role,
        root=root,
        chat=_endpoint(args.get("endpoint", implied)) == "chat",
        concurrency=int(_number(args, "concurrency", 64, 1)),
        n_per_request=int(_number(args, "n_per_request", 8, 1)),
        key=key,
        key_variable=variable,
        timeout_s=_number(args, "timeout", 1800.0, 0.001),
        max_retries=int(_number(args, "max_retries", 10, 0)),
        retry_wait_s=_number(args, "retry_wait", 0.5, 0.0),
        max_length=int(_number(args, "max_length", 0, 1)) or None,
        tokenizer=_text(args, "tokenizer"),
        tokenizer_revision=_text(args, "tokenizer_revision"),
        template_args=_mapping(args, "chat_template_args"),
        extra_body=extra,
        logprobs=_flag(args, "logprobs"),
        price_in=_price(args, "price_in"),
        price_out=_price(args, "price_out"),
    )


def _root(value: object) -> tuple[str, Literal["completions", "chat"]]:
    """(address up to /v1, endpoint that a full address names). "localhost:8000/v1/completions" -> (".../v1", ...)."""
    if not isinstance(value, str) or not value:
        raise UsageError("sampler 'openai' needs --model_args base_url=http://HOST:PORT")
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise UsageError("base_url is no address of the form http://HOST:PORT/v1")
    if "@" in parts.netloc or parts.query:
        raise UsageError("base_url holds a password or a query, which would be written to run.json; use api_key_env")
    given = parts.path.rstrip("/")
    path = given.removesuffix("/completions").removesuffix("/chat")
    if path == given and not VERSION.search(path):
        path += "/v1"
    chat = given.endswith("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path}", "chat" if chat else "completions"


def _endpoint(value: object) -> str:
    if value not in ("completions", "chat"):
        raise UsageError(f"endpoint={value}: there are completions and chat")
    return str(value)


def _number(args: Mapping[str, Any], name: str, default: float, least: float) -> float:
    value = args.get(name)
    if value is None:
        return default
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value >= least:
        raise UsageError(f"{name}={value} is not a {'whole ' if whole else ''}number from {least:g} on")
    return value


def _price(args: Mapping[str, Any], name: str) -> float | None:
    return None if args.get(name) is None else _number(args, name, 0.0, 0.0)


def _text(args: Mapping[str, Any], name: str) -> str | None:
    return None if args.get(name) is None else str(args[name])


def _flag(args: Mapping[str, Any], name: str) -> bool:
    value = args.get(name, False)
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value}: there are true and false")
    return value


def _mapping(args: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = args.get(name) or {}
    if not isinstance(value, dict):
        raise UsageError(f"{name} is a JSON object: --model_args '{{\"{name}\": {{...}}, ...}}'")
    return value
