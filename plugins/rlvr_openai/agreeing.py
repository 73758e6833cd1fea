"""Finds out with a few short requests what a server takes, before the first sample is asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rlvr_harness import ModelError, Problem, SamplingLaw
from rlvr_openai.choices import Choice, read_choices
from rlvr_openai.dialect import Dialect, droppable, full_body, is_too_long, named_field
from rlvr_openai.settings import Settings
from rlvr_openai.transport import Refused, Transport

TRIAL_TOKENS = 16
HOT_TOKENS = 32
HOT = (2.0, 1.0)
"""Temperatures at which no two long answers are alike by chance; services that refuse the first take the second."""
MOST_ROUNDS = 20
TOPICS = ("Write a short story about", "List ten numbers:", "A random sentence:")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asker:
    """Sends single requests to one served model."""

    settings: Settings
    transport: Transport

    async def ask(self, body: Mapping[str, Any]) -> list[Choice]:
        """The completions. Raises Refused or ModelError."""
        return await self.transport.post(self.settings.path, body, lambda answer: read_choices(answer, ()))


async def agree(asker: Asker, first: Dialect, law: SamplingLaw, problem: Problem) -> Dialect:
    """The dialect that the server takes for this law. Raises ModelError where there is none."""
    dialect, settings = first, asker.settings
    short = replace(law, max_gen_toks=min(law.max_gen_toks, TRIAL_TOKENS))
    for _ in range(MOST_ROUNDS):
        body = full_body(settings, dialect, problem.prompt, dialect.body(problem, short, dialect.n, 1))
        try:
            choices = await asker.ask(body)
        except Refused as refused:
            if is_too_long(refused):
                raise refusal(refused, problem) from refused
            dialect = await _adapted(asker, dialect, law, body, refused)
            continue
        if dialect.n > 1:
            dialect = await _with_n(asker, dialect, law, choices)
        for note in dialect.notes(law):
            _LOG.warning("%s: %s", settings.role, note)
        if settings.logprobs and not dialect.logprobs:
            _LOG.warning("%s: the server refuses logprobs; none are stored", settings.role)
        return dialect
    raise ModelError(f"the server at {settings.root} refuses every form of the request; see that it is the right one")


def refusal(refused: Refused, problem: Problem) -> ModelError:
    """The error for a problem's request that the server does not take."""
    where = f"task '{problem.task}', problem '{problem.problem_id}':"
    if is_too_long(refused):
        return ModelError(
            f"{where} prompt and budget do not fit the served model's context ({refused.text}); lower max_gen_toks in "
            "--gen_kwargs, or give --model_args max_length=TOKENS"
        )
    return ModelError(f"{where} the server refuses the request: {refused.text}")


async def _adapted(
    asker: Asker, dialect: Dialect, law: SamplingLaw, body: Mapping[str, Any], refused: Refused
) -> Dialect:
    """The dialect without what the server refuses; where it does not say what, each field is tried alone."""
    name = named_field(refused, body)
    if name is not None:
        return dialect.without(name, law, refused.text)
    optional = droppable(body, dialect, law)
    bare = {name: value for name, value in body.items() if name not in optional}
    await _ask_or_explain(asker, bare)
    for name in optional:
        try:
            await asker.ask(bare | {name: body[name]})
        except Refused:
            dialect = dialect.without(name, law, refused.text)
    return dialect


async def _ask_or_explain(asker: Asker, body: Mapping[str, Any]) -> None:
    try:
        await asker.ask(body)
    except Refused as refused:
        raise ModelError(f"the server at {asker.settings.root} refuses the request: {refused.text}") from refused


async def _with_n(asker: Asker, dialect: Dialect, law: SamplingLaw, choices: list[Choice]) -> Dialect:
    """The dialect, with one completion a request where the server ignores `n` or copies one completion n times."""
    role = asker.settings.role
    if len(choices) < 2:
        _LOG.warning("%s: the server gives one completion a request, whatever n; each sample is asked for alone", role)
        return replace(dialect, n=1)
    if law.temperature == 0 or len({choice.text for choice in choices}) > 1:
        return dialect
    texts = await _hot(asker, dialect, law, TOPICS[0], seed=1)
    if len(texts) > 1 and len(set(texts)) == 1:
        _LOG.warning("%s: the server gives n copies of one completion; each sample is asked for alone", role)
        return replace(dialect, n=1)
    return dialect


async def ignores_seeds_and_chance(asker: Asker, dialect: Dialect, law: SamplingLaw) -> bool:
    """Whether requests of different seeds give the same answer even at a high temperature, for several prompts."""
    for topic in TOPICS:
        answers = [await _hot(asker, replace(dialect, n=1), law, topic, seed) for seed in (11, 222, 3333)]
        if len({tuple(answer) for answer in answers}) > 1:
            return False
    return True


async def _hot(asker: Asker, dialect: Dialect, law: SamplingLaw, prompt: str, seed: int) -> list[str]:
    """Texts at the highest temperature that the server takes, else at the law's own."""
    problem = Problem("", "", prompt, "")
    for temperature in (*HOT, law.temperature):
        hot = replace(law, temperature=temperature, max_gen_toks=HOT_TOKENS)
        sent = replace(dialect, unsent=dialect.unsent - {"temperature"} if temperature != 1.0 else dialect.unsent)
        body = full_body(asker.settings, sent, prompt, sent.body(problem, hot, sent.n, seed))
        try:
            return [choice.text for choice in await asker.ask(body)]
        except Refused as refused:
            last = refused
    raise ModelError(f"the server at {asker.settings.root} refuses a short request: {last.text}")
