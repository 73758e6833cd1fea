"""Which fields a server takes, and how the sampling law is written in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rlvr_harness import ModelError, Problem, SamplingLaw
from rlvr_openai import chat
from rlvr_openai.settings import Settings
from rlvr_openai.transport import Refused

OFF: Mapping[str, float] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""The value of each parameter that leaves the model's own law as it is; only such a value may be left unsent."""
OPTIONAL = ("min_p", "repetition_penalty", "top_k", "logprobs", "seed", "n", "stop")
"""Fields that can be done without, in the order in which they are tried where a server does not say what it refuses."""
FOUR = 4
"""Stop strings that OpenAI's own service takes at most; all are cut at here too."""
SEED_BITS = {"long": 53, "short": 31}
"""Bits of a seed: 53 pass every JSON reader unharmed; some servers take 32-bit numbers only."""
TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum (context|model|sequence)|max_model_len|too (long|large)"
    r"|exceed\w* .{0,40}(context|tokens|length)|reduce the length",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Dialect:
    """One way of writing a request. `unsent`: parameters of the law left out, all of them at their off value."""

    budget_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    top_k_off: int = -1
    penalty_field: str = "repetition_penalty"
    unsent: frozenset[str] = frozenset()
    seed: Literal["long", "short", "none"] = "long"
    n: int = 8
    logprobs: bool = False
    stops: int | None = None

    def body(self, problem: Problem, law: SamplingLaw, count: int, seed: int) -> dict[str, Any]:
        """The request's fields less those of the settings: every parameter of the law, for `count` completions."""
        body: dict[str, Any] = {
            "temperature": law.temperature,
            "top_p": law.top_p,
            "top_k": law.top_k or self.top_k_off,
            "min_p": law.min_p,
            self.penalty_field: law.repetition_penalty,
            self.budget_field: law.max_gen_toks,
        }
        body = {name: value for name, value in body.items() if name not in self.unsent}
        if problem.stop and self.stops != 0:
            body["stop"] = list(problem.stop[: self.stops])
        if self.seed != "none":
            body["seed"] = seed % 2 ** SEED_BITS[self.seed]
        if count > 1:
            body["n"] = count
        return body

    def without(self, name: str, law: SamplingLaw, refusal: str) -> Dialect:
        """The dialect that does without a refused field. Raises ModelError where the law needs it."""
        if name == "top_k" and law.top_k == 0 and self.top_k_off == -1:
            # OpenRouter and others write 0 where vLLM, SGLang and llama.cpp take -1.
            return replace(self, top_k_off=0)
        if name in (*OFF, self.penalty_field):
            parameter = "repetition_penalty" if name == self.penalty_field else name
            value = getattr(law, parameter)
            if value != OFF[parameter]:
                raise ModelError(
                    f"the server refuses {parameter}={value:g}, which the sampling law asks for: {refusal}; "
                    f"set --gen_kwargs {parameter}={OFF[parameter]:g} for all models, or take another server"
                )
            return replace(self, unsent=self.unsent | {name})
        if name in ("max_tokens", "max_completion_tokens"):
            other: Any = "max_completion_tokens" if self.budget_field == "max_tokens" else "max_tokens"
            return replace(self, budget_field=other)
        if name == "seed":
            return replace(self, seed="short" if self.seed == "long" else "none")
        if name == "stop":
            return replace(self, stops=FOUR if self.stops is None else 0)
        if name in ("n", "logprobs"):
            return replace(self, n=1) if name == "n" else replace(self, logprobs=False)
        raise ModelError(f"the server refuses the field '{name}' of the request: {refusal}")

    def notes(self, law: SamplingLaw) -> list[str]:
        """What the user should know of it."""
        found = []
        if self.unsent:
            names = ", ".join(sorted(self.unsent))
            found.append(f"the server refuses {names}; not sent, since off, but a default of its own would not be seen")
        if self.seed == "none":
            found.append("the server refuses seeds: samples cannot be drawn again")
        return found


def first_dialect(settings: Settings, owner: str | None) -> Dialect:
    """What to try first. `owner`: `owned_by` of the model's entry in the server's list."""
    llama_cpp = owner == "llamacpp"
    return Dialect(
        n=settings.n_per_request,
        logprobs=settings.logprobs,
        penalty_field="repeat_penalty" if llama_cpp else "repetition_penalty",
    )


def full_body(settings: Settings, dialect: Dialect, prompt: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A request as it is sent; `fields` as of `Dialect.body`."""
    body: dict[str, Any] = {"model": settings.model, **settings.extra_body, **fields}
    if settings.chat:
        body |= chat.as_fields(prompt)
        if dialect.logprobs:
            body["logprobs"] = True
        if settings.template_args:
            body["chat_template_kwargs"] = dict(settings.template_args)
        return body
    return body | {"prompt": prompt} | ({"logprobs": 1} if dialect.logprobs else {})


def named_field(refused: Refused, body: Mapping[str, Any]) -> str | None:
    """The field of the request that a refusal is about; None where it names none."""
    for name in refused.fields:
        if name in body:
            return name
    if "max_completion_tokens" in refused.text and "max_tokens" in body:
        return "max_tokens"
    candidates = [name for name in body if name not in ("model", "prompt", "messages")]
    quoted = [name for name in candidates if re.search(rf"['\"`.\[]{name}['\"`\]:, ]", refused.text)]
    if quoted:
        return quoted[0]
    # A bare "n" or "stop" may be a word of the sentence: only names that are no words are looked for.
    plain = [name for name in candidates if "_" in name or name in ("seed", "logprobs", "temperature")]
    found = [name for name in plain if re.search(rf"\b{name}\b", refused.text)]
    if found:
        return found[0]
    return "n" if "n" in body and re.search(r"\bn\s*(>|=|must|should|is not|greater)", refused.text) else None


def is_too_long(refused: Refused) -> bool:
    """Whether the prompt and the budget are more than the model's context holds."""
    return refused.status == 413 or TOO_LONG.search(refused.text) is not None


def droppable(body: Mapping[str, Any], dialect: Dialect, law: SamplingLaw) -> Sequence[str]:
    """Fields of the request that may be left out under this law, for a server that does not say what it refuses."""
    at_off = {name for name, off in OFF.items() if getattr(law, name) == off}
    if at_off & {"repetition_penalty"}:
        at_off.add(dialect.penalty_field)
    return [name for name in (*OPTIONAL, dialect.penalty_field) if name in body and (name not in OFF or name in at_off)]
