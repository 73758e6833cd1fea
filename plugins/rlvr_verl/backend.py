"""The backend: a plan from a spec, progress from log lines, checkpoints from folders. It never imports verl."""

from __future__ import annotations

import json
import math
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
    lacking_gpus,
    lacking_packages,
    parameter_count,
    read_rows,
    reward_environment,
    reward_fault,
    survey_environment,
)
from rlvr_verl.checking import check_overrides
from rlvr_verl.settings import ALGORITHMS, CHECKPOINTS, DATA_NAME, RAY_ADDRESS, as_words, check_spec, settings

MODULE = "verl.trainer.main_ppo"
MERGER = "verl.model_merger"
VERSION = "0.9."
WHEELS = {
    "verl": '"verl[vllm,fsdp]==0.9.1"',
    "ray": '"verl[vllm,fsdp]==0.9.1"',
    "vllm": '"verl[vllm]==0.9.1"',
    "flash_attn": "flash-attn==2.8.3",
    "torch": '"verl[vllm]==0.9.1"',
    "rlvr_harness": "--no-deps rlvr-harness",
}
"""Package -> what to give to pip; the last one gives the reward, and its own pins contradict verl's."""
_GPUS_OF_A_NODE = 8
_GIB = 2**30
# Bytes of one parameter: weights, gradients and Adam's two moments in fp32; of a reference in bf16. The rest of a
# GPU's memory goes to activations and buffers.
_TRAINED, _REFERENCE, _USABLE = 16, 2, 0.9
_STEP = re.compile(r"(?:^|[^\w])step:(\d+) - (.*)")
_NUMBER = re.compile(r"([\w/@.+-]+):(?:(?:np|numpy)\.\w+\()?([-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?))\)?(?= - |\s*$)")
_NAMES = {
    "critic/score/mean": "reward",
    "actor/entropy": "entropy",
    "actor/kl_loss": "kl",
    "actor/reward_kl_penalty": "kl",
    "response_length/mean": "response_length",
    "response_length/clip_ratio": "truncated",
    "timing_s/step": "step_s",
}


class Verl:
    """Plans for verl 0.9.1 with FSDP and vLLM, on one node or a Ray cluster."""

    name = "verl"
    description = "verl 0.9 in an environment of its own, on one node or a Ray cluster"
    algorithms: Sequence[str] = ALGORITHMS
    reward_format = "verl"

    def plan(self, spec: TrainingSpec, data: TrainingData, reward_file: Path) -> TrainingPlan:
        """The command, checked against the configuration of the verl that will run it. Writes the data as parquet."""
        rows = read_rows(data.path)
        if spec.nodes < 1 or spec.gpus < 0:
            raise UsageError(
                f"{spec.nodes} nodes with {spec.gpus} GPUs: give 1 or more nodes; 0 GPUs means all there are"
            )
        found = survey_environment(spec.python, tuple(WHEELS))
        gpus = spec.gpus or (len(found.gpu_bytes) if spec.nodes == 1 else 0) or _GPUS_OF_A_NODE
        check_spec(spec, gpus * spec.nodes, len(rows), any(row.get("images") for row in rows))
        files = {"reward": reward_file.resolve(), "data": data.path.resolve().with_name(DATA_NAME)}
        chosen = settings(spec, gpus, files, data.is_chat)
        words = as_words(chosen)
        missing = [*_lacking(spec, gpus, found)]
        if "verl" in found.packages:
            missing += check_overrides(found.python, words).faults
        if "rlvr_harness" in found.packages and (fault := reward_fault(found.python, files["reward"])):
            missing.append(fault)
        environment = reward_environment(spec.output)
        write_parquet(files["data"], rows)
        command = (str(found.python), "-m", MODULE, *words)
        return TrainingPlan(
            as_ray_job(command, environment, spec.options.get(RAY_ADDRESS)) if spec.nodes > 1 else command,
            environment,
            spec.output.resolve(),
            tuple(missing),
            tuple(_notes(spec, gpus, found)),
            {"verl": found.packages.get("verl"), **chosen},
        )

    def progress(self, line: str) -> TrainingProgress | None:
        """From the line that verl's console logger prints after each step: `step:3 - actor/entropy:0.2 - ...`."""
        match = _STEP.search(line)
        if match is None:
            return None
        told = {name: float(value) for name, value in _NUMBER.findall(match[2])}
        numbers = {_NAMES.get(name, name): value for name, value in told.items() if math.isfinite(value)}
        return TrainingProgress(int(match[1]), numbers)

    def checkpoints(self, output: Path) -> Sequence[Checkpoint]:
        """Hugging Face folders alone: saved as such by verl, or merged from its shards as the plan's notes say."""
        return [*_finished(output / CHECKPOINTS)]


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows in verl's columns. Raises UsageError where they cannot be written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = [
        {
            "data_source": json.loads(row["label"]).get("task", "rlvr-harness"),
            "prompt": row["input"] if isinstance(row["input"], list) else [{"role": "user", "content": row["input"]}],
            "ability": "reasoning",
            "reward_model": {"style": "rule", "ground_truth": row["label"]},
            "extra_info": {"index": number},
            **({"images": row["images"]} if row.get("images") else {}),
        }
        for number, row in enumerate(rows)
    ]
    try:
        pq.write_table(pa.Table.from_pylist(table), path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: the training data cannot be written as parquet: {error}") from error


def _lacking(spec: TrainingSpec, gpus: int, found: TrainingEnvironment) -> Iterator[str]:
    yield from lacking_packages(found, WHEELS)
    yield from lacking_gpus(found, "verl", spec.nodes, gpus)
    version = found.packages.get("verl", VERSION)
    if not version.startswith(VERSION):
        told = f"verl {version or 'of unknown version'} is installed; its options change between versions"
        yield f'{told}: {found.python} -m pip install "verl==0.9.1"'
    parameters = parameter_count(spec.base)
    if parameters is None or not found.gpu_bytes:
        return
    held = _REFERENCE if spec.lora_rank else _TRAINED * (2 if spec.algorithm == "ppo" else 1)
    needed = (held + (_REFERENCE if spec.kl else 0)) * parameters / (gpus * spec.nodes)
    each = min(found.gpu_bytes)
    if needed > _USABLE * each:
        yield (
            f"{parameters / 1e9:.1f} billion parameters need about {needed / _GIB:.1f} GiB on each of "
            f"{gpus * spec.nodes} GPUs for weights, gradients and Adam's state, and a GPU has {each / _GIB:.1f} GiB; "
            "take more GPUs"
        )


def _notes(spec: TrainingSpec, gpus: int, found: TrainingEnvironment) -> Iterator[str]:
    yield f"{spec.nodes} node(s) with {gpus} GPUs each; verl's workers and vLLM share them"
    if spec.lora_rank:
        folder = spec.output.resolve() / CHECKPOINTS / "global_step_N" / "actor"
        merge = f"{found.python} -m {MERGER} merge --backend fsdp --local_dir {folder} --target_dir {folder / 'merged'}"
        yield f"adapters are saved in shards; a step N becomes a checkpoint with: {merge}"
    if spec.nodes > 1:
        yield f"every node must see {spec.output.resolve()}, the reward file and the base under the same path"


def _finished(folder: Path) -> Iterator[Checkpoint]:
    """A merged adapter before the folder around it, which then holds the base's weights."""
    steps = {}
    for path in folder.glob("global_step_*"):
        number = path.name.removeprefix("global_step_")
        if number.isdecimal():
            steps[int(number)] = path / "actor"
    for step, actor in sorted(steps.items()):
        adapter = actor / "merged" / "lora_adapter"
        if adapter.is_dir():
            if is_whole_checkpoint(adapter, tokenizer=False):
                yield Checkpoint(step, adapter, is_adapter=True)
            continue
        whole = [place for place in (actor / "huggingface", actor / "merged") if is_whole_checkpoint(place)]
        if whole:
            yield Checkpoint(step, whole[0])
