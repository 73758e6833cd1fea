"""A task loaded again for its pictures, as the run loaded it, and held against the run's hash of prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rlvr_harness.contracts import LoadedTask, Task
from rlvr_harness.errors import HarnessError, TaskError, UnknownName, first_line
from rlvr_harness.foreign_tasks import PREFIX, REVISION
from rlvr_harness.lm_eval_bridge import YamlTask
from rlvr_harness.pictures import check_shown
from rlvr_harness.preparing import find_task
from rlvr_harness.profiles import find_profile
from rlvr_harness.records import Problem
from rlvr_harness.registry import BrokenPlugin, Registry, load_working
from rlvr_harness.report import reading
from rlvr_harness.requests import PromptRequest
from rlvr_harness.run_spec import RunSpec, parse_spec
from rlvr_harness.stages.prompting import hash_prompts
from rlvr_harness.viewing.index import Snapshot
from rlvr_harness.viewing.pictures import Found

_ELSEWHERE = "`rlvr-harness view --data_dir DATA` names the folder with the data of the run"

Plugins = Callable[[], tuple[Registry, tuple[BrokenPlugin, ...]]]


def load_pictures(snapshot: Snapshot, task: str, data_dir: Path | None, plugins: Plugins = load_working) -> Found:
    """The pictures of a task of the run; `data_dir` replaces the one that the run was given."""
    recorded = reading.mapping(snapshot.folder.run, "tasks", task)
    if task.startswith(PREFIX) or str(recorded.get("data_revision")).startswith(REVISION):
        return Found()
    known = False
    try:
        spec = parse_spec(snapshot.folder.run["spec"], f"{snapshot.folder.root}/run.json")
        found = _offered(task, plugins)
        if isinstance(found, YamlTask):
            known = found.file.image_field is not None
            if not known:
                return Found()
        loaded = _loaded(found, spec, data_dir or spec.data_dir)
        known = loaded.image_field is not None or any(problem.images for problem in loaded.problems)
        if not known:
            return Found()
        return Found(_those_of_the_run(snapshot, task, spec, loaded, data_dir or spec.data_dir))
    except HarnessError as error:
        what = f"The pictures of task '{task}' are not shown" if known else f"Task '{task}' may show pictures"
        return Found(fault=f"{what}: {error}")


def _offered(task: str, plugins: Plugins) -> Task:
    """The task of a plugin. A broken plugin beside it is no obstacle. Raises UnknownName."""
    registry, broken = plugins()
    offered = registry.offered["task"]
    if task not in offered and task.partition("@")[0] not in offered:
        faults = f" (broken: {', '.join(one.plugin.name for one in broken)})" if broken else ""
        raise UnknownName(
            f"no plugin installed here offers it{faults}; install the one that the run was made with, and view again"
        )
    return find_task(registry, task)


def _loaded(task: Task, spec: RunSpec, data_dir: Path | None) -> LoadedTask:
    """As `preparing` loads it, but without chat templates: they change prompts, which the folder has, not pictures."""
    request = PromptRequest(
        num_fewshot=spec.num_fewshot,
        seed=spec.seed,
        limit=spec.limit,
        data_dir=data_dir,
        system_instruction=spec.system_instruction,
        profile=find_profile(spec.prompt),
    )
    try:
        loaded = task.load(request)
        if loaded.image_field is not None:
            check_shown(loaded.problems, loaded.image_field)
    except HarnessError as error:
        raise TaskError(f"{error}; {_ELSEWHERE}") from error
    except Exception as error:  # a plugin is called
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise TaskError(f"its data cannot be read: {reason}; {_ELSEWHERE}") from error
    return loaded


def _those_of_the_run(
    snapshot: Snapshot, task: str, spec: RunSpec, loaded: LoadedTask, data_dir: Path | None
) -> dict[str, tuple[bytes, ...]]:
    """problem_id -> pictures, of the stored problems. Raises TaskError where the run had other prompts or pictures."""
    by_id = {problem.problem_id: problem for problem in loaded.problems}
    stored = _stored(snapshot, task, spec)
    recorded = reading.at(snapshot.folder.run, "tasks", task, "prompt_hash")
    if any(problem.problem_id not in by_id for problem in stored) or _hash(stored, by_id) != recorded:
        place = f"the data in {data_dir}" if data_dir else "the data on this machine"
        raise TaskError(f"{place} is not that of the run, the hash of its prompts and pictures differs; {_ELSEWHERE}")
    return {problem.problem_id: by_id[problem.problem_id].images for problem in stored}


def _stored(snapshot: Snapshot, task: str, spec: RunSpec) -> list[Problem]:
    """The problems in the order in which the run hashed them: those of all models, then those of single ones."""
    own = [problem for role in spec.models for problem in snapshot.folder.own_problems(task, role).values()]
    return [*snapshot.tasks[task].problems.values(), *own]


def _hash(stored: Sequence[Problem], by_id: Mapping[str, Problem]) -> str:
    loaded = [by_id[problem.problem_id] for problem in stored]
    return hash_prompts(
        [replace(kept, stop=again.stop, images=again.images) for kept, again in zip(stored, loaded, strict=True)]
    )
