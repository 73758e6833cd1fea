"""The fairness guard: finds, before a sample is drawn, what differs between the models of a run, and refuses it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlvr_harness.contracts import ComparableProfile, ModelProfile
from rlvr_harness.engine_args import differing_args, law_arg, shown_value
from rlvr_harness.errors import UsageError
from rlvr_harness.fairness import ON_PURPOSE, Decision, Finding
from rlvr_harness.stages.prompting import PromptedTask

HALF_OPEN = re.compile(r"(<[|\uff5c][^<>\n]*|</[a-z]*|<(think|answer))\Z")
"""A tag or chat mark that is begun and not closed: "...<|im_start", "...</answ"; "if 3 < 5" is none."""
SHOWN_END = 24
"""Characters of a prompt's end that a message shows: enough for the marks that open an assistant's turn."""


@dataclass(frozen=True)
class Conditions:
    """What the models of a run are to be sampled under. `args`: role -> engine arguments; `chat`: with templates."""

    profiles: Mapping[str, ModelProfile]
    args: Mapping[str, Mapping[str, Any]]
    tasks: Sequence[PromptedTask]
    chat: bool = False


def decide(conditions: Conditions, earlier: Mapping[str, Any] | None, allow_unfair: bool) -> Decision:
    """Compares the models. `earlier`: run.json of a run that goes on, whose decision is kept.

    Raises UsageError with all that differs, unless `allow_unfair`. A run that began before there was this guard goes on
    as it began, each model ending at its own tokens, and what differs becomes a warning.
    """
    if earlier is not None and "fairness" in earlier:
        return Decision.from_data(earlier["fairness"])
    decision = compare(conditions, unify=earlier is None)
    if decision.refusals and earlier is None and not allow_unfair:
        faults = "; ".join(
            f"{finding.text}{f' ({finding.way_out})' if finding.way_out else ''}" for finding in decision.refusals
        )
        raise UsageError(f"not a fair comparison: {faults}; or compare all the same with --allow_unfair")
    return decision


def with_own_temperatures(decision: Decision, temperatures: Mapping[str, float]) -> Decision:
    """The decision, with a warning where models are sampled at different temperatures: asked for, so never refused."""
    kinds = {role: f"{value:g}" for role, value in temperatures.items()}
    known = any(finding.text.startswith(ON_PURPOSE) for finding in decision.findings)
    if known or len(set(kinds.values())) < 2:
        return decision
    finding = Finding(f"{ON_PURPOSE} ({_by_role(kinds)})", "sampling", kinds=kinds)
    return replace(decision, findings=(*decision.findings, finding))


def compare(conditions: Conditions, unify: bool = True) -> Decision:
    """Everything that differs; `unify`: let every model stop at the end tokens of all, where its tokenizer has them."""
    ends = end_tokens(conditions.profiles, unify)
    findings = [*ends.findings, *_arguments(conditions), *_stored_precision(conditions)]
    findings += _unknown_tokens(conditions.profiles)
    if not conditions.chat:
        findings += _unused_template(conditions.profiles)
    for task in conditions.tasks:
        findings += [*_prompts(task), *_tokenization(task, conditions.profiles), *_endings(task)]
    return Decision(tuple(findings), ends.eos_tokens)


def end_tokens(profiles: Mapping[str, ModelProfile], unify: bool) -> Decision:
    """The union of the models' end tokens, or why there is none."""
    own = {role: _ends(profile) for role, profile in profiles.items()}
    if any(ends is None for ends in own.values()):
        if len(profiles) == 1:
            return Decision()
        text = "the sampler does not tell which tokens end a text, so whether all models stop alike is unknown"
        return Decision((Finding(text, "sampling", certain=False),))
    listed = {role: " ".join(map(_shown, ends)) or "none" for role, ends in own.items() if ends is not None}
    union = tuple(sorted({token for ends in own.values() for token in ends or ()}))
    if len(set(listed.values())) == 1:
        return Decision((), union if unify else None)
    text = f"the checkpoints end their texts with different tokens ({_by_role(listed)})"
    if not unify:
        return Decision((Finding(f"{text}, and each model stopped at its own", "sampling", kinds=listed),))
    lacking = {
        role: " ".join(_shown(token) for token in union if not profile.has_token(token))
        for role, profile in profiles.items()
        if isinstance(profile, ComparableProfile)
    }
    missing = {role: tokens for role, tokens in lacking.items() if tokens}
    if not missing:
        return Decision((Finding(f"{text}; every model stops at all of them"),), union)
    text += f", which not every tokenizer has (missing: {_by_role(missing)})"
    return Decision((Finding(text, "sampling", "compare models of one tokenizer", kinds=listed),))


def _ends(profile: ModelProfile) -> list[str] | None:
    return sorted(set(profile.eos_tokens)) if isinstance(profile, ComparableProfile) else None


def _arguments(conditions: Conditions) -> Iterator[Finding]:
    """Engine arguments that are not the same for all models."""
    for name, values in differing_args(conditions.args).items():
        if not law_arg(name):
            # The value is not shown: an argument nobody knows may hold a key.
            yield Finding(f"the engine argument '{name}' differs between the models; it may change what they say")
            continue
        kinds = {role: shown_value(value) for role, value in values.items()}
        if name == "dtype":
            kinds |= _precisions(conditions.profiles)
        if len(set(kinds.values())) > 1:
            text = f"the engine argument '{name}' differs ({_by_role(kinds)})"
            yield Finding(text, "sampling", f"give {name} in --model_args alone", kinds=kinds)


def _precisions(profiles: Mapping[str, ModelProfile]) -> dict[str, str]:
    return {r: p.dtype for r, p in profiles.items() if isinstance(p, ComparableProfile) and p.dtype is not None}


def _stored_precision(conditions: Conditions) -> Iterator[Finding]:
    """Checkpoints of different precision, loaded as they are stored."""
    dtypes = _precisions(conditions.profiles)
    if len(set(dtypes.values())) > 1 and "dtype" not in differing_args(conditions.args):
        yield Finding(
            f"the checkpoints are stored, and sampled, in different precision ({_by_role(dtypes)}); "
            "--model_args dtype=... rounds all alike"
        )
    kinds = {
        role: profile.quantization or "none"
        for role, profile in conditions.profiles.items()
        if isinstance(profile, ComparableProfile)
    }
    if len(set(kinds.values())) > 1:
        text = f"the checkpoints are quantised differently ({_by_role(kinds)})"
        yield Finding(text, "sampling", "give checkpoints of one precision", kinds=kinds)


def _unused_template(profiles: Mapping[str, ModelProfile]) -> Iterator[Finding]:
    """An instruct model given plain prompts beside one that never saw a chat template."""
    having = [role for role, profile in profiles.items() if profile.chat_template_hash is not None]
    if having and len(having) < len(profiles):
        lacking = [role for role in profiles if role not in having]
        yield Finding(
            f"{_roles(having)} has a chat template and {_roles(lacking)} has none; no template is used, so "
            f"{_roles(having)} may be prompted otherwise than in its training"
        )


def _prompts(task: PromptedTask) -> Iterator[Finding]:
    """Prompts that are worded differently for some models."""
    where = f"task '{task.name}':"
    if task.plain_roles:
        text = f"{where} {_roles(task.plain_roles)} has no chat template and is given plain prompts"
        yield Finding(text, "prompt" if task.variants else "", task=task.name, kinds=task.prompt_kinds)
    templated = {role: kind for role, kind in task.prompt_kinds.items() if role not in task.plain_roles}
    if len(set(templated.values())) > 1:
        first, other = (next(role for role in templated if templated[role] == kind) for kind in _two(templated))
        ends = [repr(task.problems_for(role)[0].prompt[-SHOWN_END:]) for role in (first, other)]
        shown = f", ending in {ends[0]} and {ends[1]}" if ends[0] != ends[1] else ""
        text = f"{where} the chat templates of the {first} and {other} models make different prompts{shown}"
        way_out = "choose a --prompt without chat template, or give all models the same one"
        yield Finding(text, "prompt", way_out, task.name, kinds=task.prompt_kinds)


def _unknown_tokens(profiles: Mapping[str, ModelProfile]) -> Iterator[Finding]:
    """Different tokenizers, where the sampler does not tell what they make of a prompt."""
    known = all(isinstance(profile, ComparableProfile) for profile in profiles.values())
    if not known and len({profile.tokenizer_hash for profile in profiles.values()}) > 1:
        yield Finding("the models have different tokenizers: the same max_gen_toks is not the same length of text")


def _tokenization(task: PromptedTask, profiles: Mapping[str, ModelProfile]) -> Iterator[Finding]:
    """Equal prompts that a model reads as other tokens than the first one does."""
    first = profiles[task.roles[0]]
    for role, profile in profiles.items():
        if not isinstance(profile, ComparableProfile) or not isinstance(first, ComparableProfile):
            continue
        if profile is first or role in task.variants:
            continue
        prompts = [problem.prompt for problem in task.problems]
        if odd := sum(list(first.token_ids(prompt)) != list(profile.token_ids(prompt)) for prompt in prompts):
            text = f"task '{task.name}': {role} reads {odd:,} of {len(prompts):,} prompts as other tokens than "
            text += f"{task.roles[0]}, so the same max_gen_toks may not be the same length of text"
            yield Finding(text, task=task.name)


def _endings(task: PromptedTask) -> Iterator[Finding]:
    """Prompts of one task that do not end alike, or end inside a mark."""
    prompts = [problem.prompt for problem in task.problems]
    ends = Counter(prompt[len(prompt.rstrip()) :] for prompt in prompts)
    if len(ends) > 1:
        usual, count = ends.most_common(1)[0]
        yield Finding(
            f"task '{task.name}': {len(prompts) - count:,} of {len(prompts):,} prompts do not end like the others "
            f"(most end with {_white(usual)})",
            task=task.name,
        )
    if half := sum(HALF_OPEN.search(prompt) is not None for prompt in prompts):
        text = f"task '{task.name}': {half:,} of {len(prompts):,} prompts end inside a mark that is not closed"
        yield Finding(text, task=task.name)


def _white(end: str) -> str:
    return {"": "no white space", " ": "a blank", "\n": "a line break"}.get(end, repr(end))


def _shown(token: str) -> str:
    return token if token.isprintable() and " " not in token else repr(token)


def _by_role(kinds: Mapping[str, str]) -> str:
    return "; ".join(f"{role}: {kind}" for role, kind in kinds.items())


def _two(kinds: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(kinds.values()))[:2]


def _roles(roles: Sequence[str]) -> str:
    return " and ".join(roles)
