"""The rewards of several tasks behind one door, opened from what an exported file or a server was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr_harness import provenance
from rlvr_harness.confining import confine
from rlvr_harness.contracts import Task, Verifier
from rlvr_harness.errors import HarnessError, TaskError, UsageError
from rlvr_harness.preparing import find_task
from rlvr_harness.records import Verdict
from rlvr_harness.registry import Registry, load_plugins
from rlvr_harness.requests import PromptRequest, SandboxChoice
from rlvr_harness.rewards.labels import completion_of, problem_of
from rlvr_harness.rewards.reward import Answer, Reward


@dataclass(frozen=True)
class RewardSpec:
    """Which verifiers judge, and where.

    `verifiers`: task -> (name, version) of the verifier; one that belongs to the task itself is found by loading the
    task, of which the name is then that of the task. `end_tokens`: what may stand behind a completion.
    """

    verifiers: Mapping[str, tuple[str, str]]
    sandbox: str = "local"
    sandbox_level: int = 3
    workers: int | None = None
    end_tokens: Sequence[str] = ()
    include_path: str | None = None
    data_dir: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Plain data, which `spec_from_data` reads."""
        verifiers = {task: list(both) for task, both in self.verifiers.items()}
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {**plain, "verifiers": verifiers, "end_tokens": list(self.end_tokens)}


_PLAIN = ("sandbox", "sandbox_level", "workers", "include_path", "data_dir")


def spec_from_data(data: Mapping[str, Any]) -> RewardSpec:
    """The reverse of `RewardSpec.as_data`."""
    verifiers = {task: (name, version) for task, (name, version) in data["verifiers"].items()}
    return RewardSpec(verifiers, end_tokens=tuple(data["end_tokens"]), **{name: data[name] for name in _PLAIN})


@dataclass
class Rewards:
    """Rewards by task; safe to call from many threads. Nothing here raises, not even for a label that is none."""

    spec: RewardSpec
    by_task: Mapping[str, Reward]
    void: Counter[str] = field(default_factory=Counter)

    def judge(
        self, texts: Sequence[str], labels: Sequence[object], prompts: Sequence[str] | None = None
    ) -> list[Verdict | None]:
        """A verdict for each completion, None for a label that names no problem of these tasks.

        With `prompts`, texts are prompt and completion together, decoded with special tokens.
        """
        answers = [self._answer(place, texts, labels, prompts) for place in range(len(texts))]
        found: list[Verdict | None] = [None] * len(answers)
        for task, reward in self.by_task.items():
            places = [place for place, answer in enumerate(answers) if answer and answer.problem.task == task]
            verdicts = reward.verdicts([answer for place in places if (answer := answers[place])])
            for place, verdict in zip(places, verdicts, strict=True):
                found[place] = verdict
        return found

    def close(self) -> None:
        """Ends all workers."""
        for reward in self.by_task.values():
            reward.close()

    def _answer(
        self, place: int, texts: Sequence[str], labels: Sequence[object], prompts: Sequence[str] | None
    ) -> Answer | None:
        try:
            problem = problem_of(labels[place])
            if problem.task not in self.by_task:
                raise TaskError(f"task '{problem.task}' is none of {', '.join(self.by_task)}")
        except (TaskError, IndexError) as error:
            self.void[f"{error}"] += 1
            return None
        prompt = prompts[place] if prompts is not None and place < len(prompts) else None
        return Answer(problem, completion_of(texts[place], prompt, self.spec.end_tokens))


def reward_spec(registry: Registry, tasks: Sequence[str], choice: RewardSpec) -> RewardSpec:
    """The verifiers of these tasks, put into `choice`. Raises HarnessError where a task cannot be judged here."""
    if not tasks:
        raise UsageError("name at least one task with --tasks")
    verifiers = {}
    for name in tasks:
        verifier = _verifier_of(registry, name, choice)
        confine(verifier, registry, SandboxChoice(choice.sandbox, choice.sandbox_level))
        verifiers[name] = (verifier.name, verifier.version)
    return RewardSpec(
        verifiers,
        choice.sandbox,
        choice.sandbox_level,
        choice.workers,
        choice.end_tokens,
        choice.include_path,
        choice.data_dir,
    )


def open_rewards(spec: RewardSpec, registry: Registry | None = None) -> Rewards:
    """The rewards. Raises HarnessError where a verifier is missing, of another version, or its sandbox too weak."""
    registry = registry or load_plugins()
    shared: dict[str, Reward] = {}
    by_task = {}
    for task, (name, version) in spec.verifiers.items():
        verifier = registry.offered["verifier"].get(name) or _verifier_of(registry, task, spec)
        if verifier.version != version:
            raise HarnessError(
                f"verifier '{name}' is version {verifier.version} here, and {version} was exported; "
                "install that version of rlvr-harness, or export the reward again"
            )
        confined = confine(verifier, registry, SandboxChoice(spec.sandbox, spec.sandbox_level))
        if name not in shared:
            workers = spec.workers or provenance.free_cores()
            shared[name] = Reward(confined.verifier if confined else verifier, workers)
        by_task[task] = shared[name]
    return Rewards(spec, by_task)


def _verifier_of(registry: Registry, name: str, spec: RewardSpec) -> Verifier:
    """The verifier that judges a task; the task is loaded, since only then it tells."""
    include = Path(spec.include_path) if spec.include_path else None
    task: Task = find_task(registry, name, include)
    loaded = task.load(PromptRequest(limit=1, data_dir=Path(spec.data_dir) if spec.data_dir else None))
    if isinstance(loaded.verifier, str):
        found: Verifier = registry.get("verifier", loaded.verifier)
        return found
    return loaded.verifier
