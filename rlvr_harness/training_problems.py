"""Training problems as a backend reads them: rendered as a run renders them, checked against evaluations, written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr_harness.contamination import Overlap, find_overlap
from rlvr_harness.contracts import ModelProfile, ProfiledTask, Task
from rlvr_harness.demo_models import resolve_path
from rlvr_harness.errors import UsageError
from rlvr_harness.lm_eval_bridge import YamlTask
from rlvr_harness.preparing import find_tasks
from rlvr_harness.profiles import find_profile
from rlvr_harness.records import FinishReason, Outcome, Problem
from rlvr_harness.registry import Registry
from rlvr_harness.requests import ModelRequest, PromptRequest
from rlvr_harness.rewards.labels import label_of
from rlvr_harness.run_reader import read_json, read_problems, read_samples, read_verdicts
from rlvr_harness.run_spec import DEFAULT_MAX_GEN_TOKS
from rlvr_harness.stages.prompting import ChatUse, CompletionBudget, prompt_task
from rlvr_harness.training_contracts import TrainingData
from rlvr_harness.training_tasks import TrainingView, require_trainable

ROLE = "base"


@dataclass(frozen=True)
class TrainingChoice:
    """Which problems are trained on, and how they are worded; names as the options of `train`."""

    base: str
    tasks: Sequence[str]
    eval_tasks: Sequence[str] = ()
    prompt: str = "boxed"
    apply_chat_template: bool = False
    system_instruction: str | None = None
    problems: int | None = None
    max_gen_toks: int | None = None
    seed: int = 0
    data_dir: Path | None = None
    include_path: Path | None = None
    traces: str | None = None


@dataclass(frozen=True)
class TrainingProblems:
    """What is trained on. `rows` as `TrainingData` describes them; lengths in tokens; `tasks` judge the answers."""

    rows: Sequence[Mapping[str, Any]]
    tasks: tuple[str, ...]
    stop: tuple[str, ...]
    longest_prompt: int
    max_gen_toks: int
    notes: tuple[str, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The rows as JSONL."""
        return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in self.rows)

    def data(self, path: Path) -> TrainingData:
        """What a backend is told of the file with the rows; writes nothing."""
        digest = hashlib.sha256(self.text().encode()).hexdigest()
        return TrainingData(path, len(self.rows), digest, tasks=self.tasks, stop=self.stop)


def training_problems(choice: TrainingChoice, registry: Registry) -> TrainingProblems:
    """The training problems of the tasks. Raises HarnessError where there are none, or a prompt does not fit."""
    tasks = _tasks(registry, choice.tasks, choice.include_path)
    known = [*registry.all("task"), *tasks]
    views = [TrainingView(task, require_trainable(task, known), choice.problems, choice.seed) for task in tasks]
    wording = _Wording(choice, _profile(choice, registry))
    prompted = [wording.prompted(view) for view in views]
    chosen = [_some(one.problems, choice.problems, choice.seed) for one in prompted]
    longest = max(one.longest_prompt for one in prompted)
    context = wording.profile.context_length
    room = [] if context is None else [context - longest]
    notes = [note for one in prompted for note in (*one.loaded.notes, *one.notes)]
    return TrainingProblems(
        rows=[_row(problem) for problems in chosen for problem in problems],
        tasks=tuple(task.name for task in tasks),
        stop=_stops([problem for problems in chosen for problem in problems]),
        longest_prompt=longest,
        max_gen_toks=min([max(one.max_gen_toks for one in prompted), *room]),
        notes=tuple(dict.fromkeys(notes)),
        overlaps=tuple(_overlaps(chosen, wording.evaluation(registry, tasks))),
        sources={one.name: one.loaded.data_revision for one in prompted},
    )


def traced_problems(choice: TrainingChoice, registry: Registry) -> TrainingProblems:
    """Right answers of a model of a run, for `sft`; those that ended at the token limit are left out."""
    folder, role = _traced(str(choice.traces))
    record = read_json(folder, "run.json")
    tasks = list(choice.tasks) or list(record["tasks"])
    if unknown := sorted(set(tasks) - set(record["tasks"])):
        raise UsageError(
            f"--tasks: the run of {folder} has no task '{unknown[0]}'; it has {', '.join(record['tasks'])}"
        )
    roles = list(record["models"])
    if role not in roles:
        raise UsageError(f"--traces: the run of {folder} has no model '{role}'; it has {', '.join(roles)}")
    rows: list[dict[str, Any]] = []
    sets, cut = [], 0
    for task in tasks:
        problems = {problem.problem_id: problem for problem in read_problems(folder, task, role)}
        verifier = str(record["tasks"][task]["verifier"])
        verdicts = read_verdicts(folder, task, role, verifier)
        right = {(one.problem_id, one.index) for one in verdicts if one.outcome is Outcome.RIGHT}
        taken = [one for one in read_samples(folder, task, role) if (one.problem_id, one.index) in right]
        ended = [sample for sample in taken if sample.finish_reason is FinishReason.STOP]
        cut += len(taken) - len(ended)
        rows += [{**_row(problems[sample.problem_id]), "completion": sample.text} for sample in ended]
        sets.append(list({sample.problem_id: problems[sample.problem_id] for sample in ended}.values()))
    if not rows:
        raise UsageError(f"--traces: '{role}' has no right sample in {folder}; take another model or run")
    wording = _Wording(choice, _profile(choice, registry))
    held = _tasks(registry, tasks, choice.include_path)
    lengths = [wording.profile.count_tokens(str(prompt)) for prompt in dict.fromkeys(row["input"] for row in rows)]
    notes = (f"{cut} right samples that ended at the token limit are left out",) if cut else ()
    return TrainingProblems(
        rows=rows,
        tasks=tuple(tasks),
        stop=_stops([problem for problems in sets for problem in problems]),
        longest_prompt=max(lengths),
        max_gen_toks=choice.max_gen_toks or DEFAULT_MAX_GEN_TOKS,
        notes=notes,
        overlaps=tuple(_overlaps(sets, wording.evaluation(registry, held))),
        sources={task: f"right samples of {role} in {folder}" for task in tasks},
    )


@dataclass(frozen=True)
class _Wording:
    """Renders tasks for one model, as `run` would with the same options."""

    choice: TrainingChoice
    profile: ModelProfile

    def prompted(self, task: Any) -> Any:
        """The task with its prompts and its completion budget."""
        choice, words = self.choice, find_profile(self.choice.prompt)
        if words.before is not None and not isinstance(getattr(task, "task", task), YamlTask | ProfiledTask):
            raise UsageError(f"task '{task.name}' words its prompts itself; it cannot take --prompt {words.name}")
        request = PromptRequest(
            seed=choice.seed, data_dir=choice.data_dir, system_instruction=choice.system_instruction, profile=words
        )
        chat = ChatUse(choice.apply_chat_template or words.chat)
        budget = CompletionBudget(choice.max_gen_toks, DEFAULT_MAX_GEN_TOKS)
        return prompt_task(task, request, {ROLE: self.profile}, chat, budget)

    def evaluation(self, registry: Registry, tasks: Sequence[Task]) -> list[Sequence[Problem]]:
        """The problems that the tasks, and those of --eval_tasks, evaluate with."""
        wanted = {task.name: task for task in tasks}
        wanted |= {task.name: task for task in _tasks(registry, self.choice.eval_tasks, self.choice.include_path)}
        return [self.prompted(task).problems for task in wanted.values()]


def _profile(choice: TrainingChoice, registry: Registry) -> ModelProfile:
    path = resolve_path(choice.base)
    request = ModelRequest(ROLE, path)
    profile: ModelProfile = registry.get("sampler", "hf").profile(request)
    return profile


def _tasks(registry: Registry, names: Sequence[str], include_path: Path | None) -> list[Task]:
    found = [task for name in names for task in find_tasks(registry, name, include_path)]
    return list({task.name: task for task in found}.values())


def _some(problems: Sequence[Problem], count: int | None, seed: int) -> list[Problem]:
    """`count` of the problems, chosen by the seed, in their order; all where there are no more."""
    if count is None or count >= len(problems):
        return list(problems)
    return [problems[place] for place in sorted(random.Random(seed).sample(range(len(problems)), count))]


def _row(problem: Problem) -> dict[str, Any]:
    return {"input": problem.prompt, "label": label_of(problem)}


def _stops(problems: Sequence[Problem]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stop for problem in problems for stop in problem.stop))


def _overlaps(training: Sequence[Sequence[Problem]], evaluation: Sequence[Sequence[Problem]]) -> list[Overlap]:
    """Of each training set with each evaluation set; a task that trains on what it evaluates with tells so."""
    pairs = [(ours, theirs) for ours in training for theirs in evaluation if ours and theirs]
    found = [find_overlap(ours, theirs) for ours, theirs in pairs]
    return [overlap for overlap in found if overlap is not None]


def _traced(text: str) -> tuple[Path, str]:
    """RUN or RUN:ROLE; without a role the model that was compared with its base."""
    folder, colon, role = text.rpartition(":")
    return (Path(folder), role) if colon and not Path(text).is_dir() else (Path(text), "model")


def as_plain(choice: TrainingChoice) -> dict[str, Any]:
    """The choice as data that JSON holds, for the record of a training."""
    plain = dataclasses.asdict(choice)
    return {name: str(value) if isinstance(value, Path) else value for name, value in plain.items()}
