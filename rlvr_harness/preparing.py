"""Everything that can be known, checked and refused before the first sample: plugins, tasks, models, budgets."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness import presets, provenance
from rlvr_harness.comparing import Conditions, decide, with_own_temperatures
from rlvr_harness.confining import Confined, confine
from rlvr_harness.contracts import ModelProfile, ProfiledTask, Sampler, Task, VariableTask, Verifier
from rlvr_harness.demo_models import resolve_path
from rlvr_harness.device_groups import device_of_each, is_side_by_side
from rlvr_harness.errors import HarnessError, UnknownName, UsageError
from rlvr_harness.executing import LOCAL, find_executor
from rlvr_harness.executor_contracts import Execution, ExecutionRequest, Executor
from rlvr_harness.fairness import Decision
from rlvr_harness.foreign_metric import NO_CHOICE, MetricChoice
from rlvr_harness.foreign_tasks import PREFIX, LmEvalTask
from rlvr_harness.given_pairs import temperature_of_each
from rlvr_harness.lm_eval_bridge import YamlTask, is_lm_eval_name
from rlvr_harness.planning import (
    FIRST_STAGE,
    FixedPlan,
    Plan,
    SequentialPlan,
    doublings,
    plan_from_data,
)
from rlvr_harness.profiles import PromptProfile, find_profile
from rlvr_harness.records import FinishReason, Problem, Sample
from rlvr_harness.registry import Registry
from rlvr_harness.requests import ModelRequest, PromptRequest, SamplingLaw
from rlvr_harness.run_spec import DEFAULT_MAX_GEN_TOKS, SAMPLING_DEFAULTS, RunSpec
from rlvr_harness.sampler_contracts import SideBySideSampler
from rlvr_harness.stages.prompting import ChatUse, CompletionBudget, PromptedTask, prompt_task

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedTask:
    """A prompted task with its verifier, the law and the number of its samples, and the largest k of its curves."""

    prompted: PromptedTask
    verifier: Verifier
    law: SamplingLaw
    plan: Plan
    k: int
    confined: Confined | None = None
    whole: Plan | None = None
    """The plan without a budget, of which `plan` is then the part that is drawn; None where there is none."""

    @property
    def name(self) -> str:
        """The task's name."""
        return self.prompted.name

    def at(self, temperature: float | None) -> PreparedTask:
        """The task sampled at another temperature; as it is for None."""
        if temperature is None:
            return self
        return dataclasses.replace(self, law=dataclasses.replace(self.law, temperature=temperature))


@dataclass(frozen=True)
class PreparedRun:
    """A run that may start: every name resolved, every prompt built, every budget checked."""

    spec: RunSpec
    registry: Registry
    sampler: Sampler
    requests: Mapping[str, ModelRequest]
    profiles: Mapping[str, ModelProfile]
    tasks: Sequence[PreparedTask]
    fairness: Decision
    executor: Executor

    def start_execution(self) -> Execution:
        """The machines that the run works on. Raises HarnessError where they cannot be had."""
        threads = next(iter(self.requests.values())).threads or 1
        args = self.spec.executor_args
        return self.executor.start(ExecutionRequest(args, self.spec.device, threads, self.spec.workers))

    @property
    def side_by_side(self) -> bool:
        """Whether the models are sampled at the same time, each on devices of its own."""
        return is_side_by_side(self.spec.device)

    @property
    def notes(self) -> list[str]:
        """What the user should know before sampling, one line each."""
        notes = [note for task in self.tasks for note in (*task.prompted.loaded.notes, *task.prompted.notes)]
        notes += [note for task in self.tasks if task.confined for note in task.confined.notes()]
        return list(dict.fromkeys(notes + [finding.text for finding in self.fairness.findings]))


def prepare(spec: RunSpec, registry: Registry, earlier: Mapping[str, Any] | None = None) -> PreparedRun:
    """Resolves and checks the spec. `earlier`: run.json of a run that goes on, whose decisions are kept."""
    sampler = _sampler(spec, registry)
    if spec.sandbox != RunSpec.model_fields["sandbox"].default:
        registry.get("sandbox", spec.sandbox)
    executor = find_executor(registry, spec.executor)
    own_threads = executor.threads(spec.executor_args)
    profile = find_profile(spec.prompt)
    wanted = _wanted_tasks(spec, registry)
    threads = spec.threads or (earlier or {}).get("threads") or own_threads or provenance.free_cores()
    requests = {role: _model_request(spec, role, path, threads) for role, path in spec.models.items()}
    profiles = {role: sampler.profile(request) for role, request in requests.items()}
    prompt_request = PromptRequest(
        num_fewshot=spec.num_fewshot,
        seed=spec.seed,
        limit=spec.limit,
        data_dir=spec.data_dir,
        system_instruction=spec.system_instruction,
        profile=profile,
    )
    chat = ChatUse(spec.apply_chat_template or profile.chat, plain_where_missing=spec.allow_unfair)
    budget = CompletionBudget(spec.gen_kwargs.get("max_gen_toks"), DEFAULT_MAX_GEN_TOKS)
    prepared = []
    for task, number in wanted.values():
        _check_wording(task, profile)
        prompted = prompt_task(task, prompt_request, profiles, chat, budget)
        law = SamplingLaw(**{**SAMPLING_DEFAULTS, **spec.gen_kwargs, "max_gen_toks": prompted.max_gen_toks})
        kept = (earlier or {}).get("tasks", {}).get(task.name, {}).get("plan")
        whole = plan_for(spec, task.name, number) if spec.budget else None
        plan = plan_from_data(kept) if kept else first_plan(whole) if whole else plan_for(spec, task.name, number)
        verifier = _verifier(registry, prompted, spec)
        confined = confine(verifier, registry, spec.sandbox_choice)
        verifier = confined.verifier if confined else verifier
        _try_verifier(verifier, prompted.problems[:1])
        prepared.append(PreparedTask(prompted, verifier, law, plan, min(spec.k, plan.n), confined, whole))
    args = {role: request.args for role, request in requests.items()}
    conditions = Conditions(profiles, args, [task.prompted for task in prepared], chat.wanted)
    fair = with_own_temperatures(decide(conditions, earlier, spec.allow_unfair), temperature_of_each(spec))
    requests = {role: dataclasses.replace(request, eos_tokens=fair.eos_tokens) for role, request in requests.items()}
    return PreparedRun(spec, registry, sampler, requests, profiles, prepared, fair, executor)


def find_task(
    registry: Registry, name: str, include_path: Path | None = None, choice: MetricChoice = NO_CHOICE
) -> Task:
    """A task of a plugin, else an lm-eval task: of `include_path`, or built in. Raises UnknownName.

    `lm_eval:NAME` is lm-eval's task even where a plugin has one of that name.
    """
    if include_path is not None and not include_path.is_dir():
        raise UsageError(f"--include_path {include_path}: no such folder; give the one that holds the tasks' YAML")
    if name.startswith(PREFIX):
        return LmEvalTask(name, include_path, choice)
    if name not in registry.offered["task"] and (include_path is not None or is_lm_eval_name(name)):
        return LmEvalTask(name, include_path, choice)
    stem, at, variant = name.partition("@")
    if at and name not in registry.offered["task"]:
        varied = registry.get("task", stem)
        if not isinstance(varied, VariableTask):
            raise UsageError(f"task '{stem}' has no variants; leave out '@{variant}'")
        return varied.variant(variant)
    found: Task = registry.get("task", name)
    return found


def find_tasks(
    registry: Registry, name: str, include_path: Path | None = None, choice: MetricChoice = NO_CHOICE
) -> list[Task]:
    """The task of that name, or the tasks of an lm-eval group or tag."""
    task = find_task(registry, name, include_path, choice)
    if not isinstance(task, LmEvalTask):
        return [task]
    return [dataclasses.replace(task, name=member) for member in task.members()]


def plan_for(spec: RunSpec, task: str, number: int | None) -> Plan:
    """The plan of one task, which may have a number of samples of its own."""
    n = number or spec.samples_per_problem
    if spec.plan == "fixed":
        return FixedPlan(n)
    stages = tuple(spec.stages) if spec.stages else doublings(FIRST_STAGE, n)
    if n not in stages:
        listed = ",".join(str(stage) for stage in stages)
        raise UsageError(f"task '{task}' has {n} samples per problem, which is none of --stages {listed}; add it there")
    return SequentialPlan(tuple(stage for stage in stages if stage <= n), spec.stop_after)


def first_plan(whole: Plan) -> Plan:
    """The first stage alone: with a budget the others wait."""
    return dataclasses.replace(whole, stages=whole.stages[:1]) if isinstance(whole, SequentialPlan) else whole


def law_as_data(law: SamplingLaw) -> dict[str, Any]:
    """The sampling law for run.json."""
    return dataclasses.asdict(law)


def _wanted_tasks(spec: RunSpec, registry: Registry) -> dict[str, tuple[Task, int | None]]:
    """Name -> task and its own number of samples, groups of lm-eval resolved into their tasks."""
    wanted = {
        task.name: (task, n)
        for name, n in presets.tasks_of(spec).items()
        for task in find_tasks(registry, name, spec.include_path, spec.metric_choice)
    }
    if spec.metric_choice and not any(isinstance(task, LmEvalTask) for task, _ in wanted.values()):
        raise UsageError("--metric and --threshold choose among an lm-eval task's metrics; no task of this run is one")
    return wanted


def _sampler(spec: RunSpec, registry: Registry) -> Sampler:
    """Raises UsageError where `--devices` gives each model its own, and they cannot be sampled at the same time."""
    sampler: Sampler = registry.get("sampler", spec.sampler)
    if not is_side_by_side(spec.device):
        return sampler
    if spec.executor != LOCAL:
        raise UsageError(f"--devices {spec.device}: it is --executor {spec.executor} that places models; leave out /")
    if not isinstance(sampler, SideBySideSampler):
        raise UsageError(
            f"--devices {spec.device}: sampler '{spec.sampler}' cannot sample several models at the same time; leave "
            "out / to sample them one after another, or take --sampler hf or vllm"
        )
    return sampler


def _check_wording(task: Task, profile: PromptProfile) -> None:
    if profile.before is not None and not isinstance(task, YamlTask | ProfiledTask):
        raise UsageError(f"task '{task.name}' words its prompts itself; it cannot take --prompt {profile.name}")


def _try_verifier(verifier: Verifier, problems: Sequence[Problem]) -> None:
    """Judges an empty completion: what the task or the prompt profile lacks is told before a sample is paid for."""
    for problem in problems:
        empty = Sample(problem.task, "", problem.problem_id, 0, 0, "", FinishReason.STOP, 0)
        try:
            (verifier.verify if verifier.limits is None else verifier.quick)(problem, empty)
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001  (a plugin is called; samples it fails on become void)
            _LOG.debug("verifier '%s' fails on an empty text: %s", verifier.name, error)


def _model_request(spec: RunSpec, role: str, path: str, threads: int) -> ModelRequest:
    return ModelRequest(
        role=role,
        path=resolve_path(path),
        args=spec.args_for(role),
        device=device_of_each(spec.device, list(spec.models))[role],
        batch_size=spec.batch_size,
        threads=threads,
        trust_remote_code=spec.trust_remote_code,
        allow_pickle=spec.allow_pickle,
        beside=len(spec.models) - 1 if is_side_by_side(spec.device) else 0,
    )


def _verifier(registry: Registry, prompted: PromptedTask, spec: RunSpec) -> Verifier:
    wanted = spec.verifier or prompted.loaded.verifier
    if not isinstance(wanted, str):
        return wanted
    try:
        found: Verifier = registry.get("verifier", wanted)
    except UnknownName as error:
        raise UnknownName(f"task '{prompted.name}' wants verifier '{wanted}': {error}") from error
    return found
