"""The backend: a plan from a spec, progress from log lines, checkpoints from folders. It never imports OpenRLHF."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_harness import (
    Checkpoint,
    TrainingData,
    TrainingEnvironment,
    TrainingPlan,
    TrainingProgress,
    TrainingSpec,
    UsageError,
    as_ray_job,
    is_whole_checkpoint,
    read_rows,
    reward_environment,
    reward_fault,
    survey_environment,
)
from rlvr_openrlhf.checking import check_command
from rlvr_openrlhf.needs import WHEELS, lacking
from rlvr_openrlhf.reading import progress_of
from rlvr_openrlhf.settings import (
    ALGORITHMS,
    CHECKPOINTS,
    DATA_NAME,
    FILTERING,
    FINAL,
    OVERSAMPLING,
    RAY_ADDRESS,
    Layout,
    as_words,
    check_engines,
    check_path,
    check_spec,
    settings,
)

MODULE = "openrlhf.cli.train_ppo_ray"
RECORD = "openrlhf.json"
"""In the output folder: the step of the last weights, which their folder does not tell."""
_GPUS_OF_A_NODE = 8
# With dynamic filtering: prompts for each that is trained on. A guess: how many are dropped depends on the model.
_OVERSAMPLING = 2.0
_NUMBERED = re.compile(r"global_step(\d+)_hf")


class OpenRLHF:
    """Plans for OpenRLHF 0.11.2: Ray, DeepSpeed and vLLM on the GPUs of one node or of a cluster."""

    name = "openrlhf"
    description = "OpenRLHF 0.11 in an environment of its own, on one node or a Ray cluster"
    algorithms: Sequence[str] = ALGORITHMS
    reward_format = "openrlhf"

    def plan(self, spec: TrainingSpec, data: TrainingData, reward_file: Path) -> TrainingPlan:
        """The command, checked by the parser of the OpenRLHF that will run it. Writes the data file and the record."""
        rows = read_rows(data.path)
        found = survey_environment(spec.python, tuple(WHEELS))
        layout = _layout(spec, rows, found)
        check_spec(spec, layout)
        files = {"reward": reward_file.resolve(), "data": data.path.resolve().with_name(DATA_NAME)}
        for path in (*files.values(), spec.output.resolve()):
            check_path(path)
        chosen = settings(spec, layout, files, data.is_chat)
        check_engines(chosen, layout)
        words = as_words(chosen)
        missing, notes = [*lacking(spec, layout, found, chosen)], [*_notes(spec, layout, chosen)]
        if "openrlhf" in found.packages:
            checked = check_command(found.python, words)
            missing += checked.faults
            notes += [f"OpenRLHF says: {note}" for note in checked.notes]
        if "rlvr_harness" in found.packages and (fault := reward_fault(found.python, files["reward"])):
            missing.append(fault)
        environment = reward_environment(spec.output)
        _write(files["data"], _drawn(spec, rows, bool(chosen.get(FILTERING))))
        _record(spec, bool(chosen.get(FILTERING)))
        command = (str(found.python), "-m", MODULE, *words)
        return TrainingPlan(
            as_ray_job(command, environment, spec.options.get(RAY_ADDRESS)) if spec.nodes > 1 else command,
            environment,
            spec.output.resolve(),
            tuple(missing),
            tuple(notes),
            {"openrlhf": found.packages.get("openrlhf"), **chosen},
        )

    def progress(self, line: str) -> TrainingProgress | None:
        """From the line that the trainer logs after each global step."""
        return progress_of(line)

    def checkpoints(self, output: Path) -> Sequence[Checkpoint]:
        """The numbered folders, and the last weights where the planned steps are not numbered."""
        return [*_finished(output)]


def _layout(spec: TrainingSpec, rows: Sequence[Mapping[str, Any]], found: TrainingEnvironment) -> Layout:
    if spec.nodes < 1 or spec.gpus < 0:
        raise UsageError(f"{spec.nodes} nodes with {spec.gpus} GPUs: give 1 node or more; 0 GPUs means all there are")
    pictures = max(len(row.get("images") or ()) for row in rows)
    parallel = spec.options.get("vllm.tensor_parallel_size", 1)
    if isinstance(parallel, bool) or not str(parallel).isdecimal() or int(parallel) < 1:
        raise UsageError(f"vllm.tensor_parallel_size={parallel}: give a whole number of GPUs, 1 or more")
    gpus = spec.gpus or (len(found.gpu_bytes) if spec.nodes == 1 else 0) or _GPUS_OF_A_NODE
    return Layout(spec.nodes, gpus, int(parallel), pictures)


def _notes(spec: TrainingSpec, layout: Layout, chosen: Mapping[str, Any]) -> Iterator[str]:
    yield f"{layout.nodes} node(s) with {layout.gpus} GPUs each; OpenRLHF's workers and vLLM share them"
    if chosen.get(FILTERING):
        times = _oversampling(spec)
        yield (
            f"dynamic filtering drops prompts: the data holds {times:g} times what {spec.steps} steps train on, and "
            f"the run ends when they are used up, before or after step {spec.steps}; change with {OVERSAMPLING}=X"
        )
    if spec.lora_rank:
        yield (
            "OpenRLHF 0.11.2 sends the weights to vLLM under the names that PEFT gives them; "
            "try one step with this vLLM before a long run with LoRA"
        )
    if spec.nodes > 1:
        yield f"every node must see {spec.output.resolve()}, the reward file and the base under the same path"


def _oversampling(spec: TrainingSpec) -> float:
    told = spec.options.get(OVERSAMPLING, _OVERSAMPLING)
    try:
        times = float(told)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{OVERSAMPLING}={told}: give a number, 1 or more") from error
    if not 1 <= times < math.inf:
        raise UsageError(f"{OVERSAMPLING}={told}: give a number, 1 or more")
    return times


def _drawn(spec: TrainingSpec, rows: Sequence[Mapping[str, Any]], filtering: bool) -> list[Mapping[str, Any]]:
    """As many rows as the steps draw: whole passes over the problems, each in an order of its own.

    OpenRLHF counts passes over its data, not steps, so one pass over this file is the run.
    """
    wanted = spec.steps * spec.prompts_per_step
    if filtering:
        wanted = math.ceil(wanted * _oversampling(spec))
    order, drawn = random.Random(spec.seed), list[Mapping[str, Any]]()
    while len(drawn) < wanted:
        drawn += order.sample(rows, len(rows))
    return drawn[:wanted]


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another output folder") from error


def _record(spec: TrainingSpec, filtering: bool) -> None:
    """The step of the last weights; none with dynamic filtering, where it is not known before."""
    path = spec.output / RECORD
    try:
        path.write_text(json.dumps({"last_step": None if filtering else spec.steps}), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another output folder") from error


def _finished(output: Path) -> Iterator[Checkpoint]:
    places = {
        int(match[1]): path
        for path in sorted((output / CHECKPOINTS).glob("global_step*_hf"))
        if (match := _NUMBERED.fullmatch(path.name)) and is_whole_checkpoint(path)
    }
    try:
        steps = json.loads((output / RECORD).read_text(encoding="utf-8"))["last_step"]
    except (OSError, ValueError, KeyError, TypeError):
        steps = None
    if steps is not None and steps not in places and is_whole_checkpoint(output / FINAL):
        places[steps] = output / FINAL
    for step, path in sorted(places.items()):
        yield Checkpoint(step, path, (path / "adapter_config.json").is_file())
