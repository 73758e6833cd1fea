"""The plan of a TRL training, and what its output and folder tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_harness import Checkpoint, TrainingData, TrainingPlan, TrainingProgress, TrainingSpec, UsageError
from rlvr_trl.algorithms import ALGORITHMS, NAMES, SUPERVISED
from rlvr_trl.marks import FINISHED, STEP_MARK

WANTED = "1.16"
"""The TRL release whose internals `trainers` builds on."""
OWN_OPTIONS: Mapping[str, Any] = {"micro_batch": None, "resample_rounds": 3}
"""Options that are none of TRL's: completions per forward pass, and how often DAPO draws anew what teaches nothing."""
_TAKEN = (
    "output_dir max_steps learning_rate beta epsilon epsilon_high num_generations max_completion_length temperature "
    "top_k top_p min_p repetition_penalty loss_type scale_rewards save_steps save_strategy seed "
    "per_device_train_batch_size gradient_accumulation_steps generation_batch_size steps_per_generation "
    "model_init_kwargs report_to resume_from_checkpoint generation_kwargs"
)
TAKEN = frozenset(_TAKEN.split())
"""Fields of TRL's configuration that the options of `train` decide."""
_PROBE = """
import importlib.util as u, json
from importlib.metadata import PackageNotFoundError, version
def v(name):
    try: return version(name)
    except PackageNotFoundError: return None
print(json.dumps({n: v(n) for n in ("trl", "peft", "transformers", "torch")} | {
    m: u.find_spec(m) is not None for m in ("rlvr_harness", "rlvr_trl")}))
"""


class TrlBackend:
    """Trains on this machine: one CPU, one GPU, or several GPUs with one process each."""

    name = "trl"
    description = f"Hugging Face TRL on a CPU or GPUs: {', '.join(NAMES)}"
    algorithms = NAMES
    reward_format = "trl"

    def plan(self, spec: TrainingSpec, data: TrainingData, reward_file: Path) -> TrainingPlan:
        """Nothing is started but the interpreter, which is asked for its versions."""
        _check(spec)
        python = str(spec.python or sys.executable)
        found = _probe(python)
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={spec.gpus}"]
        command = [
            python,
            *(launcher if spec.gpus > 1 else []),
            "-m",
            "rlvr_trl.runner",
            str(spec.output / "train.json"),
        ]
        one = spec.gpus <= 1 and "CUDA_VISIBLE_DEVICES" not in os.environ
        return TrainingPlan(
            command=tuple(command),
            environment={"TOKENIZERS_PARALLELISM": "false", **({"CUDA_VISIBLE_DEVICES": "0"} if one else {})},
            missing=tuple(_missing(python, found, spec)),
            notes=tuple(_notes(spec, data)),
            config={**_config(spec, data, reward_file), "versions": found},
        )

    def progress(self, line: str) -> TrainingProgress | None:
        """The runner's own lines."""
        if not line.startswith(STEP_MARK):
            return None
        try:
            held = json.loads(line.removeprefix(STEP_MARK))
            return TrainingProgress(int(held.pop("step")), {name: float(value) for name, value in held.items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def checkpoints(self, output: Path) -> Sequence[Checkpoint]:
        """Those that the runner marked as finished."""
        found = []
        for mark in (output / "checkpoints").glob(f"checkpoint-*/{FINISHED}"):
            step = mark.parent.name.rpartition("-")[2]
            if step.isdecimal():
                is_adapter = (mark.parent / "adapter_config.json").is_file()
                found.append(Checkpoint(int(step), mark.parent, is_adapter))
        return sorted(found, key=lambda checkpoint: checkpoint.step)


def _check(spec: TrainingSpec) -> None:
    if spec.nodes > 1:
        raise UsageError("backend 'trl' trains on one machine; leave out --nodes, or take another backend")
    if spec.algorithm != SUPERVISED and spec.samples_per_prompt < 2:
        raise UsageError("backend 'trl' compares completions of a prompt; --samples_per_prompt must be 2 or more")
    if taken := sorted(TAKEN & set(spec.options)):
        raise UsageError(f"--train_args {taken[0]}: the options of `train` decide it")
    if spec.gpus > 1 and (spec.prompts_per_step * spec.samples_per_prompt) % spec.gpus:
        raise UsageError(f"prompts_per_step x samples_per_prompt is no multiple of --gpus {spec.gpus}")


def _probe(python: str) -> dict[str, Any]:
    """Versions of what the interpreter has; empty where it does not run."""
    try:
        done = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return found


def _missing(python: str, found: Mapping[str, Any], spec: TrainingSpec) -> list[str]:
    if not found:
        return [f"{python} does not run; name the interpreter of an environment with TRL by --python"]
    lacks = []
    if found["trl"] is None:
        lacks.append(f'{python} has no TRL; pip install "rlvr-harness[trl]" there, or name another by --python')
    elif ".".join(str(found["trl"]).split(".")[:2]) != WANTED:
        lacks.append(f'{python} has trl {found["trl"]}, wanted is {WANTED}; pip install "trl~={WANTED}.0" there')
    if not (found["rlvr_harness"] and found["rlvr_trl"]):
        lacks.append(f"{python} has no rlvr-harness, whose verifier gives the reward; install it there too")
    if spec.lora_rank and found["peft"] is None:
        lacks.append(f"{python} has no peft, which --lora_rank needs; pip install peft there")
    return lacks


def _notes(spec: TrainingSpec, data: TrainingData) -> list[str]:
    notes = ["weights are trained and stored in float32: evaluate base and checkpoints with the same dtype"]
    if spec.algorithm == SUPERVISED:
        return [*notes, "sft: loss on the completions alone; samples_per_prompt, kl and temperature have no part in it"]
    algorithm = ALGORITHMS[spec.algorithm]
    if not {"num_iterations"} & set(spec.options):
        notes.append("one update per batch: the policy ratio is 1, and clipping changes nothing")
    if spec.kl and spec.algorithm == "dapo":
        notes.append(f"dapo has no KL term of its own; --kl {spec.kl:g} adds one")
    if algorithm.resamples and spec.gpus > 1:
        notes.append(
            "dynamic sampling needs a single process: with several GPUs groups of equal rewards stay, and teach nothing"
        )
    elif algorithm.resamples:
        rounds = spec.options.get("resample_rounds", OWN_OPTIONS["resample_rounds"])
        notes.append(
            f"dynamic sampling: groups of equal rewards are drawn anew, up to {rounds} times; the rest teach nothing"
        )
    if spec.algorithm == "reinforce++" and spec.kl:
        notes.append("the KL term is part of the loss, not of the reward")
    if data.stop:
        notes.append("of the stop strings those end a completion that are one token of the tokenizer")
    return notes


def _config(spec: TrainingSpec, data: TrainingData, reward_file: Path) -> dict[str, Any]:
    """What the runner reads. `trainer`: fields of TRL's own configuration, as they are."""
    own = {name: spec.options.get(name, default) for name, default in OWN_OPTIONS.items()}
    others = {name: value for name, value in spec.options.items() if name not in OWN_OPTIONS}
    return {
        "algorithm": spec.algorithm,
        "base": spec.base,
        "data": str(data.path),
        "reward": str(reward_file),
        "output": str(spec.output / "checkpoints"),
        "stop": list(data.stop),
        "prompts_per_step": spec.prompts_per_step,
        "samples_per_prompt": 1 if spec.algorithm == SUPERVISED else spec.samples_per_prompt,
        "lora_rank": spec.lora_rank,
        **own,
        "trainer": {**_common(spec), **({} if spec.algorithm == SUPERVISED else _reinforcing(spec)), **others},
    }


def _common(spec: TrainingSpec) -> dict[str, Any]:
    return {
        "max_steps": spec.steps,
        "learning_rate": spec.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "save_strategy": "steps",
        "save_steps": spec.save_steps,
        "logging_steps": 1,
        "seed": spec.seed,
        "report_to": "none",
        "disable_tqdm": True,
    }


def _reinforcing(spec: TrainingSpec) -> dict[str, Any]:
    algorithm = ALGORITHMS[spec.algorithm]
    low, high = algorithm.clip
    return {
        "loss_type": algorithm.loss,
        "scale_rewards": "none",
        "beta": spec.kl,
        "epsilon": low if spec.clip_low is None else spec.clip_low,
        "epsilon_high": high if spec.clip_high is None else spec.clip_high,
        "num_generations": spec.samples_per_prompt,
        "max_completion_length": spec.max_gen_toks,
        "temperature": spec.temperature,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": None,
        "repetition_penalty": 1.0,
        **algorithm.settings,
    }
