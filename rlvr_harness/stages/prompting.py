"""Prompting: one prompt per problem, the same for every model, and a completion budget that fits them all."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rlvr_harness.contracts import LoadedTask, ModelProfile, Task
from rlvr_harness.errors import ModelError, UsageError
from rlvr_harness.pictures import check_shown
from rlvr_harness.records import Problem
from rlvr_harness.requests import PromptRequest
from rlvr_harness.sampler_contracts import PictureProfile


@dataclass(frozen=True)
class PromptedTask:
    """A task ready to be sampled: its problems, and a completion budget that every model's context holds.

    `variants`: role -> its problems, for models whose chat template makes other prompts than that of the first role.
    `plain_roles` have no chat template and are given plain prompts in a run that asked for one.
    """

    name: str
    loaded: LoadedTask
    prompt_hash: str
    longest_prompt: int
    max_gen_toks: int
    notes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    variants: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    plain_roles: tuple[str, ...] = ()

    @property
    def problems(self) -> Sequence[Problem]:
        """The task's problems."""
        return self.loaded.problems

    @property
    def prompt_kinds(self) -> Mapping[str, str]:
        """Role -> hash of its prompts: equal for models that are given the same ones."""
        return {role: hash_prompts(self.problems_for(role)) for role in self.roles}

    def problems_for(self, role: str) -> Sequence[Problem]:
        """The problems with the prompts that this model is given."""
        return self.variants.get(role, self.loaded.problems)


@dataclass(frozen=True)
class ChatUse:
    """Whether prompts are wrapped in chat templates, and whether a model without one may be given plain prompts."""

    wanted: bool = False
    plain_where_missing: bool = False


def prompt_task(
    task: Task, request: PromptRequest, profiles: Mapping[str, ModelProfile], chat: ChatUse, budget: CompletionBudget
) -> PromptedTask:
    """The task's problems with the prompts that each model is given.

    Raises ModelError when a chat template is wanted and missing, UsageError when a budget that was asked for does not
    fit a model's context.
    """
    given = _load_for_all(task, request, profiles, chat)
    first_role = next(iter(profiles))
    loaded = given[first_role].loaded
    texts = {role: prompts_of(given[role].loaded) for role in profiles}
    check_pictures(loaded, task.name, profiles)
    longest = {role: _longest(profile, given[role].loaded.problems) for role, profile in profiles.items()}
    max_gen_toks, notes = budget.resolve(task.name, loaded, longest, profiles)
    variants = {role: given[role].loaded.problems for role in profiles if texts[role] != texts[first_role]}
    hashed = [problem for problems in (loaded.problems, *variants.values()) for problem in problems]
    return PromptedTask(
        name=task.name,
        loaded=loaded,
        prompt_hash=hash_prompts(hashed),
        longest_prompt=max(longest.values(), default=0),
        max_gen_toks=max_gen_toks,
        notes=notes,
        roles=tuple(profiles),
        variants=variants,
        plain_roles=tuple(role for role in profiles if chat.wanted and not given[role].rendered),
    )


@dataclass(frozen=True)
class CompletionBudget:
    """How many tokens a completion may have: `asked` by the user or None, else the task's own, else `default`."""

    asked: int | None
    default: int

    def resolve(
        self, task: str, loaded: LoadedTask, longest: Mapping[str, int], profiles: Mapping[str, ModelProfile]
    ) -> tuple[int, tuple[str, ...]]:
        """The budget in tokens, the same for all models, and notes on what it was lowered to."""
        wanted = self.asked or loaded.max_gen_toks or self.default
        room = {
            role: profile.context_length - longest[role]
            for role, profile in profiles.items()
            if profile.context_length is not None
        }
        tight = min(room, key=lambda role: room[role], default=None)
        if tight is None or room[tight] >= wanted:
            return wanted, ()
        context = profiles[tight].context_length
        where = f"task '{task}': the {tight} model's context of {context} tokens less its longest prompt of "
        where += f"{longest[tight]} leaves {room[tight]}"
        if room[tight] < 1:
            raise ModelError(f"{where}; no completion fits, take a model with a longer context or drop the task")
        if self.asked is not None:
            raise UsageError(f"{where}, max_gen_toks={self.asked} does not fit; lower it in --gen_kwargs")
        return room[tight], (f"{where}: max_gen_toks is {room[tight]} for every model, not {wanted}",)


def check_pictures(loaded: LoadedTask, task: str, profiles: Mapping[str, ModelProfile]) -> None:
    """Raises UsageError when a model that reads text alone is to answer questions about pictures, TaskError without."""
    if loaded.image_field is None:
        return
    for role, profile in profiles.items():
        if not (isinstance(profile, PictureProfile) and profile.reads_images):
            raise UsageError(
                f"task '{task}' shows pictures, and the {role} model, as this sampler opens it, reads text only; "
                "take a model that sees pictures with --sampler hf, or another task"
            )
    check_shown(loaded.problems, loaded.image_field)


def _longest(profile: ModelProfile, problems: Sequence[Problem]) -> int:
    if not isinstance(profile, PictureProfile):
        return max(profile.count_tokens(problem.prompt) for problem in problems)
    return max(profile.count_tokens_with(problem.prompt, problem.images) for problem in problems)


def prompts_of(loaded: LoadedTask) -> list[str]:
    """The prompts alone."""
    return [problem.prompt for problem in loaded.problems]


def hash_prompts(problems: Sequence[Problem]) -> str:
    """sha256 over problem ids, prompts, stop strings and pictures, in order."""
    digest = hashlib.sha256()
    for problem in problems:
        pictures = (hashlib.sha256(image).hexdigest() for image in problem.images)
        for part in (problem.problem_id, problem.prompt, *problem.stop, *pictures):
            digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Given:
    """The task as one model is given it; `rendered`: through its chat template."""

    loaded: LoadedTask
    rendered: bool


def _load_for_all(
    task: Task, request: PromptRequest, profiles: Mapping[str, ModelProfile], chat: ChatUse
) -> dict[str, _Given]:
    """Role -> the task; loaded once for all models that make the same prompts of it."""
    if not profiles:
        raise UsageError("there is no model to build prompts for")
    given: dict[str, _Given] = {}
    by_kind: dict[tuple[str | None, str] | None, _Given] = {}
    for role, profile in profiles.items():
        kind = _template_kind(profile, request, chat) if chat.wanted else None
        if kind not in by_kind:
            asked = request
            if kind is not None:
                asked = dataclasses.replace(request, chat_renderer=profile.render_chat, tokenizer_name=role)
            by_kind[kind] = _Given(task.load(asked), kind is not None)
        given[role] = by_kind[kind]
    return given


def _template_kind(profile: ModelProfile, request: PromptRequest, chat: ChatUse) -> tuple[str | None, str] | None:
    """Models of one kind make the same chat prompts; None: this one has no template and may do without.

    Equal templates still differ by the tokenizer's special tokens or by arguments, which a rendered sample shows.
    """
    system = [{"role": "system", "content": "s"}] if request.system_instruction else []
    shots = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}] if request.num_fewshot else []
    try:
        shown = profile.render_chat([*system, *shots, {"role": "user", "content": "q"}], True)
    except ModelError:
        if profile.chat_template_hash is None and chat.plain_where_missing:
            return None
        raise
    return profile.chat_template_hash, shown
