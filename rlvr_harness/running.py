"""Runs the stages of one run in order and keeps run.json true to what is done."""

from __future__ import annotations

import gc
import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlvr_harness import budgeting, provenance
from rlvr_harness.assembling import assemble_results
from rlvr_harness.contracts import OpenModel, StreamingModel
from rlvr_harness.errors import RunFolderError
from rlvr_harness.executing import LocalExecution
from rlvr_harness.executor_contracts import Execution
from rlvr_harness.observing import Observers
from rlvr_harness.pipeline import Cell, Line, Speed
from rlvr_harness.preparing import PreparedRun, PreparedTask, law_as_data
from rlvr_harness.progress import Progress, stderr_unless
from rlvr_harness.recording import identical_notes, record_model, record_speed, record_use
from rlvr_harness.run_spec import RunSpec
from rlvr_harness.run_store import RunStore
from rlvr_harness.sampler_contracts import SharingSampler, SideBySideSampler
from rlvr_harness.side_by_side import Ending, sample_side_by_side, shared_out

Results = dict[str, Any]
Record = dict[str, Any]
"""The content of run.json."""


@dataclass(frozen=True)
class Way:
    """How a run goes: `quiet` without progress; without `sampling` only what is stored is judged and measured."""

    quiet: bool = False
    sampling: bool = True


def run_stages(prepared: PreparedRun, folder: Path, earlier: Mapping[str, Any] | None, way: Way) -> Results:
    """Samples and verifies every model, then writes results.json; `earlier` is the run.json of an earlier part."""
    started = time.perf_counter()
    observers = Observers(prepared.registry.hooks)
    with prepared.start_execution() as execution, RunStore(folder) as store, _imports_left_to_rest():
        record = _start(prepared, store, earlier)
        record["execution"] = execution.as_data()
        store.write_run(record)
        observers.tell("run_started", spec=prepared.spec.as_data(), run_dir=folder)
        with _shared(prepared, execution) as sharing:
            prepared = _sample(sharing, execution, store, record, way)
        observers.tell("stage_finished", stage="sampling", run_dir=folder)
        results = assemble_results(prepared, folder, record)
        _finish_record(record, time.perf_counter() - started)
        store.write_run(record)
        results["run"]["timings"] = record["timings"]
        store.write_json("results.json", results)
    observers.tell("run_finished", results=results, run_dir=folder)
    return results


def _sample(prepared: PreparedRun, execution: Execution, store: RunStore, record: Record, way: Way) -> PreparedRun:
    """All samples of all models; with a budget stage by stage. The run with the plans that came of it."""
    going_on: PreparedRun | None = prepared
    while going_on is not None:
        prepared = going_on
        _sample_models(Part(prepared, "", execution, store), record, way)
        going_on = budgeting.advanced(prepared, store, record) if prepared.spec.budget and way.sampling else None
        if going_on is not None:
            record["tasks"] = {task.name: _task_record(task) for task in going_on.tasks}
            store.write_run(record)
    if prepared.spec.budget:
        record["notes"] = [*record["notes"], *budgeting.ends(prepared)]
    return prepared


def _sample_models(run: Part, record: Record, way: Way) -> None:
    """All models, one after another or at the same time; `run` with the role of each."""
    requests = run.prepared.requests
    speeds: dict[str, Mapping[str, Speed]] = {}

    def sample(role: str, ending: Ending | None = None) -> None:
        execution = shared_out(run.execution, len(requests)) if ending is not None else run.execution
        speeds[role] = _sample_model(replace(run, role=role, execution=execution, ending=ending), record, way)

    if run.prepared.side_by_side:
        sample_side_by_side({role: request.device for role, request in requests.items()}, sample)
    else:
        for role in requests:
            sample(role)
    record["notes"] += [note for role in requests for note in identical_notes(role, speeds[role])]


@contextmanager
def _shared(prepared: PreparedRun, execution: Execution) -> Iterator[PreparedRun]:
    """The run with a sampler that keeps its engines for models that can use them, where it is one and works here."""
    with ExitStack() as stack:
        here = isinstance(execution, LocalExecution) and not prepared.side_by_side
        if here and isinstance(prepared.sampler, SharingSampler):
            sampler = stack.enter_context(prepared.sampler.sharing(list(prepared.requests.values())))
            prepared = replace(prepared, sampler=sampler)
        yield prepared


@contextmanager
def _imports_left_to_rest() -> Iterator[None]:
    """Keeps the garbage collector off what is loaded by now: walking torch's modules takes 0.2 s each time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _start(prepared: PreparedRun, store: RunStore, earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """Writes the problems and the first run.json; refuses a folder whose data or verifiers have changed since."""
    record = dict(earlier or {})
    tasks = {task.name: _task_record(task) for task in prepared.tasks}
    for name, now in tasks.items():
        before = record.get("tasks", {}).get(name, now)
        for key in ("data_hash", "prompt_hash", "verifier", "verifier_version"):
            if before[key] != now[key]:
                raise RunFolderError(
                    f"{store.folder}: {key} of task '{name}' has changed since the run began; start a new run with -o"
                )
    record.setdefault("created", datetime.now(UTC).isoformat(timespec="seconds"))
    record |= {
        "spec": prepared.spec.as_data(),
        "command": command_of(prepared.spec),
        "tasks": tasks,
        "threads": next(iter(prepared.requests.values())).threads,
        "plugins": {plugin.name: asdict(plugin) for plugin in prepared.registry.plugins},
        "versions": provenance.library_versions(),
        "git_commit": provenance.git_commit(),
        "hardware": provenance.hardware(),
        "notes": prepared.notes,
        "fairness": prepared.fairness.as_data(),
    }
    record.setdefault("models", {})
    record.setdefault("rows_per_unit", {})
    record.setdefault("status", {})
    if earlier is None:
        store.clear_problems()  # of a run that ended before its first sample
    for task in prepared.tasks:
        store.write_problems(task.name, task.prompted.problems)
        for role, problems in task.prompted.variants.items():
            store.write_problems(task.name, problems, role)
    record["status"]["prompting"] = "done"
    store.write_run(record)
    return record


def _task_record(task: PreparedTask) -> dict[str, Any]:
    loaded = task.prompted.loaded
    return {
        "problems": len(task.prompted.problems),
        "data_revision": loaded.data_revision,
        "data_hash": loaded.data_hash,
        "prompt_hash": task.prompted.prompt_hash,
        "verifier": task.verifier.name,
        "verifier_version": task.verifier.version,
        "longest_prompt": task.prompted.longest_prompt,
        "sampling": law_as_data(task.law),
        "plan": task.plan.as_data(),
        **({"sandbox": task.confined.as_data()} if task.confined else {}),
    }


@dataclass(frozen=True)
class Part:
    """One model of a run: where it is sampled, and where its samples are stored. `ending`: of models side by side."""

    prepared: PreparedRun
    role: str
    execution: Execution
    store: RunStore
    ending: Ending | None = None

    def open(self) -> OpenModel:
        """The model, in whatever the run gives it."""
        sampler, request = self.prepared.sampler, self.prepared.requests[self.role]
        if self.ending is not None and isinstance(sampler, SideBySideSampler):
            return sampler.open_beside(request, self.ending)
        return self.execution.open(sampler, request)

    @contextmanager
    def line(self, cells: Sequence[Cell], quiet: bool) -> Iterator[Line]:
        """The pipeline, its threads running; with an `ending` it ends with those of the other models."""
        sampler, ending = self.prepared.sampler.name, self.ending
        ks = {cell.task.name: cell.task.k for cell in cells}
        progress = Progress(self.role, ks, stderr_unless(quiet), alone=ending is None)
        if ending is None:
            with Line(self.store, cells, progress, sampler, self.execution) as line:
                yield line
            return
        with Line(self.store, cells, progress, sampler, self.execution, ending.judging) as line, ending.watched(line):
            yield line


def _sample_model(part: Part, record: Record, way: Way) -> Mapping[str, Speed]:
    """Task -> what it took; nothing where no sample was missing."""
    prepared, role, store = part.prepared, part.role, part.store
    opened: list[OpenModel] = []

    def model() -> OpenModel:
        if not opened:
            opened.append(part.open())
            with store.lock:
                record_model(record, prepared, role, opened[0], store.folder)
        return opened[0]

    try:
        with part.line(_cells(part, record, model), way.quiet) as line:
            if not line.wants_samples():
                line.finish()
                return {}
            if not way.sampling:
                raise RunFolderError(
                    f"{store.folder}: by the new verdicts some problems need more samples of the {role} model; "
                    f"`rlvr-harness resume {store.folder}` draws them and renews the report"
                )
            model()
            store.write_run(record)
            speeds = line.sample(model())
            with store.lock:
                for task, speed in speeds.items():
                    record_speed(record, task, role, speed)
            return speeds
    finally:
        for each in opened:
            try:
                with store.lock:
                    record_use(record, role, each)
            finally:
                each.close()
        if opened:
            store.write_run(record)


def _cells(part: Part, record: Record, model: Callable[[], OpenModel]) -> list[Cell]:
    spec, role = part.prepared.spec, part.role
    tasks = (task.at(spec.temperatures.get(role)) for task in part.prepared.tasks)
    return [Cell(part.store.folder, role, task, spec.seed, _rows(part, record, task, model)) for task in tasks]


def _rows(part: Part, record: Record, task: PreparedTask, model: Callable[[], OpenModel]) -> int | None:
    """Samples per unit, None where the engine streams: decided once and kept, since batches decide on rounding."""
    with part.store.lock:
        kept: dict[str, int | None] = record["rows_per_unit"].setdefault(task.name, {})
    if part.role not in kept:
        longest = task.prompted.longest_prompt + task.law.max_gen_toks
        rows = None if isinstance(model(), StreamingModel) else model().rows_per_unit(longest)
        with part.store.lock:
            kept[part.role] = rows
    return kept[part.role]


def _finish_record(record: dict[str, Any], seconds: float) -> None:
    record["status"] |= {"sampling": "done", "verifying": "done", "measuring": "done"}
    timings = record.setdefault("timings", {})
    timings["wall_s"] = round(timings.get("wall_s", 0.0) + seconds, 1)
    timings["peak_memory_mb"] = max(timings.get("peak_memory_mb", 0), provenance.peak_memory_mb())


def command_of(spec: RunSpec) -> str:
    """The command line that repeats the run, options at their default left out."""
    words = ["rlvr-harness", "run"]
    defaults = RunSpec(model="")
    for name, value in spec.as_data().items():
        if name == "output_path" or value == defaults.as_data()[name]:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}")
        elif name == "also":
            words += [f"--also {role}={path}" for role, path in value.items()]
        elif isinstance(value, dict):
            words.append(f"--{name} {shlex.quote(_pairs(value))}")
        elif isinstance(value, list):
            words.append(f"--{name} {','.join(str(item) for item in value)}")
        else:
            words.append(f"--{name} {shlex.quote(str(value))}")
    return " ".join(words)


def _pairs(value: Mapping[str, Any]) -> str:
    """key=value,... as the flags take it; JSON where a value is nested or holds a comma."""
    if any(isinstance(item, dict | list) or "," in str(item) for item in value.values()):
        return json.dumps(value)
    return ",".join(f"{key}={item}" for key, item in value.items())
