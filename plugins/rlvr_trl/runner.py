"""One training in a process of its own: `python -m rlvr_trl.runner OUTPUT/train.json`."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, SFTConfig, SFTTrainer  # type: ignore[attr-defined]

from rlvr_harness import HarnessError, LocalTokenizer, UsageError
from rlvr_trl.algorithms import ALGORITHMS, SUPERVISED
from rlvr_trl.marks import FINISHED, STEP_MARK
from rlvr_trl.trainers import VerifiedTrainer

NUMBERS = {
    "loss": "loss",
    "reward": "reward",
    "reward_std": "reward_std",
    "kl": "kl",
    "entropy": "entropy",
    "void": "void",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "completions/mean_length": "tokens",
    "completions/clipped_ratio": "cut",
    "frac_reward_zero_std": "flat_groups",
    "resampled_groups": "resampled_groups",
    "mean_token_accuracy": "token_accuracy",
    "step_time": "seconds",
}
"""TRL's names -> those of a line of progress."""
GPU_MICRO_BATCH = 8
"""Completions per forward and backward pass on a GPU where --train_args micro_batch does not say."""


@dataclass(frozen=True)
class Place:
    """Where it runs: `processes` of them, this being number `rank`."""

    on_gpu: bool
    processes: int
    rank: int

    @classmethod
    def of_environment(cls) -> Place:
        """As the launcher set it."""
        environment = os.environ
        processes, rank = int(environment.get("WORLD_SIZE", 1)), int(environment.get("RANK", 0))
        return cls(torch.cuda.is_available(), processes, rank)


class Teller(TrainerCallback):
    """Prints a line a step, and finishes checkpoints: the base's generation settings, then the mark."""

    def __init__(self, generation: str | None, rank: int) -> None:
        """`generation`: the base's generation_config.json; TRL changes it in memory."""
        self._generation, self._rank = generation, rank

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """The numbers of a step."""
        held = logs or {}
        told = {ours: held[name] for name, ours in NUMBERS.items() if isinstance(held.get(name), int | float)}
        if self._rank == 0 and "loss" in told:
            print(STEP_MARK + json.dumps({"step": state.global_step, **told}), flush=True)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint's folder is complete now but for what is written here."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self._rank != 0:
            return
        config = folder / "config.json"
        if config.is_file():
            held = json.loads(config.read_text(encoding="utf-8"))
            held["use_cache"] = True  # switched off for training, and generation from the checkpoint would crawl
            config.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
            if self._generation is not None:
                (folder / "generation_config.json").write_text(self._generation, encoding="utf-8")
        partial = folder / f".{FINISHED}"
        partial.write_text(json.dumps({"step": state.global_step}) + "\n", encoding="utf-8")
        partial.replace(folder / FINISHED)


def main(arguments: list[str]) -> int:
    """Trains; the exit status."""
    try:
        plan = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))["plan"]["config"]
        train(plan, Place.of_environment())
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def train(plan: Mapping[str, Any], place: Place) -> None:
    """From the last finished checkpoint, or from the base."""
    output = Path(plan["output"])
    last = last_checkpoint(output, place.rank)
    tokenizer = AutoTokenizer.from_pretrained(plan["base"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    trainer = (
        _supervised(plan, place, tokenizer) if plan["algorithm"] == SUPERVISED else _reinforced(plan, place, tokenizer)
    )
    trainer.train(resume_from_checkpoint=str(last) if last else None)


def last_checkpoint(output: Path, rank: int = 0) -> Path | None:
    """The finished one of the most steps; those that a stopped training left half written are removed."""
    finished = {}
    for folder in output.glob("checkpoint-*"):
        if (folder / FINISHED).is_file():
            finished[int(folder.name.rpartition("-")[2])] = folder
        elif rank == 0:
            shutil.rmtree(folder)
    return finished[max(finished)] if finished else None


def batch_shape(rollouts: int, place: Place, asked: int | None) -> tuple[int, int]:
    """(completions per forward pass, passes per step) of a process; the first divides the process's completions."""
    own, rest = divmod(rollouts, place.processes)
    if rest:
        raise UsageError(f"{rollouts} completions a step do not split over {place.processes} processes")
    most = asked or (GPU_MICRO_BATCH if place.on_gpu else own)
    size = next(size for size in range(min(most, own), 0, -1) if own % size == 0)
    return size, own // size


def _reinforced(plan: Mapping[str, Any], place: Place, tokenizer: Any) -> VerifiedTrainer:
    model = _model(plan)
    generation = _generation(model)
    ends = [*_listed(model.generation_config.eos_token_id), *_stop_ids(tokenizer, plan["stop"])]
    model.generation_config.eos_token_id = list(dict.fromkeys(ends)) or None
    config = _config(GRPOConfig, plan, place)
    algorithm = ALGORITHMS[plan["algorithm"]]
    if algorithm.advantage == "greedy_baseline" and config.use_vllm:
        raise UsageError("remax draws its greedy completions with transformers; leave out use_vllm")
    return VerifiedTrainer(
        algorithm,
        int(plan["resample_rounds"]),
        model=model,
        args=config,
        reward_funcs=_reward(Path(plan["reward"])),
        train_dataset=Dataset.from_list(_rows(plan, LocalTokenizer(plan["base"]))),
        processing_class=tokenizer,
        peft_config=_lora(plan["lora_rank"]),
        callbacks=[Teller(generation, place.rank)],
    )


def _supervised(plan: Mapping[str, Any], place: Place, tokenizer: Any) -> Any:
    model = _model(plan)
    own = LocalTokenizer(plan["base"])
    ends = [*_listed(model.generation_config.eos_token_id), tokenizer.eos_token_id]
    rows = [_example(own, tokenizer, row, ends[0]) for row in _lines(plan)]
    return SFTTrainer(
        model=model,
        args=_config(SFTConfig, plan, place, completion_only_loss=True, max_length=None),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=_lora(plan["lora_rank"]),
        callbacks=[Teller(_generation(model), place.rank)],
    )


def _example(own: LocalTokenizer, tokenizer: Any, row: Mapping[str, Any], end: int) -> dict[str, list[int]]:
    """The prompt's tokens as the model sees them in a run, then the completion and the end token, which are learned."""
    before = own.prompt_ids(row["input"])
    after = [*tokenizer(row["completion"], add_special_tokens=False)["input_ids"], end]
    return {"input_ids": before + after, "completion_mask": [0] * len(before) + [1] * len(after)}


def _model(plan: Mapping[str, Any]) -> Any:
    # float32: at a learning rate of 1e-6 most updates would be lost in the rounding of bfloat16 weights.
    return AutoModelForCausalLM.from_pretrained(plan["base"], dtype=torch.float32)


def _generation(model: Any) -> str | None:
    held = copy.deepcopy(model.generation_config)
    return None if held is None else str(held.to_json_string(use_diff=True))


def _listed(value: object) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)  # type: ignore[call-overload]


def _stop_ids(tokenizer: Any, stops: list[str]) -> list[int]:
    """Tokens that are stop strings by themselves: `<|im_end|>` of a base whose own end token is another."""
    found = [tokenizer(stop, add_special_tokens=False)["input_ids"] for stop in stops]
    return [ids[0] for ids in found if len(ids) == 1 and ids[0] != tokenizer.unk_token_id]


def _config(kind: Any, plan: Mapping[str, Any], place: Place, **more: Any) -> Any:
    given = dict(plan["trainer"])
    if unknown := sorted(set(given) - {one.name for one in fields(kind)}):
        raise UsageError(f"--train_args {unknown[0]}: {kind.__name__} of this TRL has no such setting")
    size, passes = batch_shape(plan["prompts_per_step"] * plan["samples_per_prompt"], place, plan["micro_batch"])
    machine = {"use_cpu": not place.on_gpu, "bf16": place.on_gpu, "gradient_checkpointing": place.on_gpu}
    return kind(
        output_dir=plan["output"],
        per_device_train_batch_size=size,
        gradient_accumulation_steps=passes,
        **{**machine, **more, **given},
    )


def _lora(rank: int) -> Any:
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def _reward(path: Path) -> Callable[..., list[float | None]]:
    """The function in the file that `train` wrote."""
    found = importlib.util.spec_from_file_location("rlvr_reward_file", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    reward: Callable[..., list[float | None]] = module.rlvr_reward
    return reward


def _lines(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    with Path(plan["data"]).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _rows(plan: Mapping[str, Any], own: LocalTokenizer) -> list[dict[str, Any]]:
    """Without a begin token that TRL's tokenising adds once more; chat templates write one."""
    return [{"prompt": own.without_bos(row["input"]), "label": row["label"]} for row in _lines(plan)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
