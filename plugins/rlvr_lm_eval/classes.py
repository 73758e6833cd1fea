"""What must be known of lm-eval's model classes to open and use them: how each wants its path, law and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr_harness import ModelError, SamplingLaw, UsageError

PATH_ARGUMENT = {
    **dict.fromkeys(("local-completions", "openai-completions", "anthropic-completions", "sglang-generate"), "model"),
    "nemo_lm": "path",
    "megatron_lm": "load",
    "textsynth": "engine",
}
"""The argument that names the model, where it is not `pretrained`."""
HUGGING_FACE = frozenset({"hf", "hf-auto", "huggingface"})
SEEDED_EACH = frozenset({"local-completions", "openai-completions", "vllm"})
"""Take a seed with every request. lm-eval itself would send 1234 with each: n times the same answer."""
SERVED = frozenset({"local-completions", "openai-completions", "anthropic-completions", "sglang-generate", "textsynth"})
HOSTED = frozenset({"openai-completions", "anthropic-completions", "textsynth"})
"""Services that refuse fields they do not know; switched-off parameters are left out for them."""
OFF: Mapping[str, float] = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
REFUSED = {
    **dict.fromkeys(("gguf", "ggml"), "lm-eval asks it for greedy answers only; use --sampler openai"),
    **dict.fromkeys(
        (
            *("openai-chat-completions", "local-chat-completions", "anthropic-chat", "anthropic-chat-completions"),
            *("litellm", "litellm-chat", "litellm-chat-completions"),
        ),
        "it takes messages; use --sampler openai --model_args endpoint=chat,base_url=...",
    ),
    **dict.fromkeys(("hf-multimodal", "vllm-vlm", "hf-audiolm-qwen"), "it needs pictures or sound"),
}
"""Why a class cannot draw samples of a text."""
UNSCORABLE = {
    "dummy": "it makes its log-likelihoods up",
    "anthropic-completions": "it returns no log probabilities",
    "nemo_lm": "it makes text of the tokens again",
}
"""Why a class that draws samples cannot score texts, where that does not show in what it offers."""
ONE_MORE = frozenset({"vllm", "sglang", "trtllm"})
"""Generate a token after the text that they score, which takes one place of the context."""
BATCH = 64


@dataclass(frozen=True)
class ModelClass:
    """One of lm-eval's model classes, by its name."""

    name: str

    def __post_init__(self) -> None:
        """Refuses a class that cannot serve. Raises UsageError."""
        if self.name in REFUSED:
            raise UsageError(f"lm_eval:{self.name} cannot be sampled: {REFUSED[self.name]}")

    @property
    def path_argument(self) -> str | None:
        """The constructor's argument for the model's path or name; None for `dummy`."""
        return None if self.name == "dummy" else PATH_ARGUMENT.get(self.name, "pretrained")

    @property
    def loads_checkpoint(self) -> bool:
        """Whether the path is a Hugging Face checkpoint."""
        return self.path_argument == "pretrained"

    @property
    def unscorable(self) -> str | None:
        """Why the class scores no texts; None where nothing is known against it."""
        return UNSCORABLE.get(self.name)

    @property
    def generated_with_scores(self) -> int:
        """Places of the context that scoring needs behind the text."""
        return int(self.name in ONE_MORE)

    def options(self, law: SamplingLaw, stops: tuple[str, ...], seed: int) -> dict[str, Any]:
        """Generation options with the whole law. Raises ModelError for a parameter that the class cannot send."""
        options: dict[str, Any] = {
            "until": list(stops),
            "max_gen_toks": law.max_gen_toks,
            "temperature": law.temperature,
            "do_sample": law.temperature > 0,
            "top_p": law.top_p,
        }
        for name, off in OFF.items():
            value = getattr(law, name)
            if self.name not in HOSTED:
                options[name] = value
            elif value != off:
                raise ModelError(
                    f"lm_eval:{self.name} cannot send {name}={value:g}; set {name}={off:g} in --gen_kwargs"
                )
        if self.name in SEEDED_EACH:
            options["seed"] = seed % 2**53
        return options
