"""A training spec in OpenRLHF 0.11's own option names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness import TrainingSpec, UsageError

OVERSAMPLING, RAY_ADDRESS = "oversampling", "ray_address"
OWN_OPTIONS = (OVERSAMPLING, RAY_ADDRESS)
"""Options of this backend that OpenRLHF does not have."""
DATA_NAME = "openrlhf.jsonl"
CHECKPOINTS, FINAL = "checkpoints", "final"
FILTERING = "algo.dynamic_filtering_enable"
_GROUPED = {"algo.advantage.estimator": "group_norm"}
_ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    "ppo": {"algo.advantage.estimator": "gae"},
    "grpo": _GROUPED,
    "dr_grpo": {"algo.advantage.estimator": "dr_grpo"},
    "rloo": {"algo.advantage.estimator": "rloo"},
    "reinforce++": {"algo.advantage.estimator": "reinforce"},
    "reinforce++-baseline": {"algo.advantage.estimator": "reinforce_baseline"},
    "dapo": {**_GROUPED, FILTERING: True, "reward.overlong_penalty_factor": 1},
    "gspo": {**_GROUPED, "actor.policy_loss_type": "gspo"},
}
ALGORITHMS = tuple(_ALGORITHMS)
# Clip ranges of the papers: DAPO arXiv:2503.14476, section 3.1; GSPO arXiv:2507.18071, section 5.1.
_CLIPS = {"dapo": (0.2, 0.28), "gspo": (3e-4, 4e-4)}
_CLIP = (0.2, 0.2)
# In the loss for those that OpenRLHF's own scripts give a KL loss, with their estimators; in the reward for the others.
_KL_LOSSES = {"grpo": "k3", "dr_grpo": "k3", "gspo": "k3", "reinforce++-baseline": "k2"}
_UNGROUPED = ("ppo", "reinforce++")
# DAPO keeps 4,096 of 20,480 tokens for it (section 4.1).
_OVERLONG_SHARE = 5
# Of a step's token budget on each GPU, OpenRLHF's own default; no sequence may be longer.
_TOKENS_PER_GPU = 16192


@dataclass(frozen=True)
class Layout:
    """Where the run takes place: `gpus` on each of `nodes`, `pictures` in one prompt at most, `parallel` per engine."""

    nodes: int
    gpus: int
    parallel: int = 1
    pictures: int = 0

    @property
    def total(self) -> int:
        """GPUs of all nodes."""
        return self.nodes * self.gpus


def check_spec(spec: TrainingSpec, layout: Layout) -> None:
    """Raises UsageError for what OpenRLHF cannot do, or would do other than asked without a word."""
    if spec.algorithm not in _ALGORITHMS:
        raise UsageError(f"openrlhf has no algorithm '{spec.algorithm}'; there are: {', '.join(ALGORITHMS)}")
    if spec.algorithm not in _UNGROUPED and spec.samples_per_prompt < 2:
        raise UsageError(f"{spec.algorithm} compares samples of one prompt; ask for 2 or more samples per prompt")
    if spec.algorithm == "dapo" and spec.kl:
        raise UsageError("dapo has no KL term; leave the KL coefficient at 0, or take grpo")
    filtering = spec.options.get(FILTERING, _ALGORITHMS[spec.algorithm].get(FILTERING))
    if filtering and not spec.save_steps:
        raise UsageError("with dynamic filtering the last step is not known before; give save steps")
    if spec.algorithm == "ppo" and layout.pictures:
        raise UsageError("OpenRLHF trains no critic on pictures; take another algorithm than ppo")
    if layout.gpus % layout.parallel:
        raise UsageError(
            f"vllm.tensor_parallel_size={layout.parallel} does not divide the {layout.gpus} GPUs of a node; "
            "choose one that does"
        )
    batch = spec.prompts_per_step * spec.samples_per_prompt
    if batch % layout.total:
        raise UsageError(
            f"{spec.prompts_per_step} prompts x {spec.samples_per_prompt} samples do not divide among {layout.total} "
            "GPUs; OpenRLHF would leave the rest out of each step; change one of them"
        )


def check_path(path: Path) -> None:
    """Raises UsageError for a path that OpenRLHF would take apart."""
    if bad := [sign for sign in ",@" if sign in str(path)]:
        raise UsageError(f"{path}: OpenRLHF splits paths at '{bad[0]}'; choose another folder")


def settings(spec: TrainingSpec, layout: Layout, files: Mapping[str, Path], is_chat: bool) -> dict[str, Any]:
    """All options by name without dashes; a user's own take the place of ours. `files`: data, reward."""
    base = Path(spec.base)
    found: dict[str, Any] = {
        "actor.model_name_or_path": str(base.resolve()) if base.is_dir() else spec.base,
        "reward.remote_url": str(files["reward"]),
        "data.prompt_dataset": str(files["data"]),
        "data.input_key": "input",
        "data.label_key": "label",
        "data.apply_chat_template": is_chat,
        **_lengths(spec),
        **_batches(spec, layout),
        **_placement(spec, layout),
        **_learning(spec),
        **_saving(spec),
        **(_pictures(layout) if layout.pictures else {"ds.packing_samples": True, "train.dynamic_batch_enable": True}),
        **_ALGORITHMS[spec.algorithm],
        **({"reward.overlong_buffer_len": spec.max_gen_toks // _OVERLONG_SHARE} if spec.algorithm == "dapo" else {}),
    }
    return found | {name: value for name, value in spec.options.items() if name not in OWN_OPTIONS}


def check_engines(chosen: Mapping[str, Any], layout: Layout) -> None:
    """Raises UsageError for engines that do not fill the GPUs they share; OpenRLHF finds it only when Ray has them."""
    if not chosen.get("train.colocate_all") or chosen.get("train.async_enable"):
        return
    engines = chosen.get("vllm.num_engines")
    if not str(engines).isdecimal() or int(str(engines)) * layout.parallel != layout.total:
        raise UsageError(
            f"{engines} vLLM engines with {layout.parallel} GPUs each do not fill {layout.total} GPUs; leave out "
            "vllm.num_engines, or part them from the trainer with train.colocate_all=false"
        )


def as_words(found: Mapping[str, Any]) -> list[str]:
    """The command line: True is a bare flag, False and None leave an option out, a list is several values."""
    words: list[str] = []
    for name, value in found.items():
        if value is None or value is False:
            continue
        words.append(f"--{name}")
        if isinstance(value, Sequence) and not isinstance(value, str):
            words += [str(one) for one in value]
        elif value is not True:
            words.append(str(value))
    return words


def _lengths(spec: TrainingSpec) -> dict[str, Any]:
    whole = spec.max_prompt_toks + spec.max_gen_toks
    return {
        "data.max_len": whole,
        "rollout.max_new_tokens": spec.max_gen_toks,
        "rollout.temperature": spec.temperature,
        "train.max_tokens_per_gpu": max(_TOKENS_PER_GPU, whole),
        "rollout.max_tokens_per_gpu": max(_TOKENS_PER_GPU, whole),
    }


def _batches(spec: TrainingSpec, layout: Layout) -> dict[str, Any]:
    """One optimiser step on each batch of rollouts; one episode, as the data file holds every prompt to be drawn."""
    return {
        "rollout.batch_size": spec.prompts_per_step,
        "rollout.n_samples_per_prompt": spec.samples_per_prompt,
        "train.batch_size": spec.prompts_per_step * spec.samples_per_prompt,
        "train.max_epochs": 1,
        "train.num_episodes": 1,
        "train.seed": spec.seed,
        "vllm.num_engines": layout.total // layout.parallel,
        "vllm.tensor_parallel_size": layout.parallel,
    }


def _placement(spec: TrainingSpec, layout: Layout) -> dict[str, Any]:
    """Trainer and engines share all GPUs, and take turns."""
    models = ["actor", *(["ref"] if spec.kl else []), *(["critic"] if spec.algorithm == "ppo" else [])]
    seats = {f"{model}.num_nodes": layout.nodes for model in models}
    return {
        **seats,
        **{f"{model}.num_gpus_per_node": layout.gpus for model in models},
        "train.colocate_all": True,
        "vllm.enable_sleep": True,
        "ds.enable_sleep": True,
        "vllm.gpu_memory_utilization": 0.6,
        "ds.zero_stage": 3,
        "actor.gradient_checkpointing_enable": True,
    }


def _learning(spec: TrainingSpec) -> dict[str, Any]:
    low, high = _CLIPS.get(spec.algorithm, _CLIP)
    found: dict[str, Any] = {
        "actor.adam.lr": spec.learning_rate,
        "actor.lr_scheduler": "constant",
        "actor.eps_clip_low_high": [
            low if spec.clip_low is None else spec.clip_low,
            high if spec.clip_high is None else spec.clip_high,
        ],
        "actor.entropy_coef": 0,
        "algo.kl.init_coef": spec.kl,
    }
    if spec.algorithm == "ppo":
        found["critic.lr_scheduler"] = "constant"
    if spec.kl and spec.algorithm in _KL_LOSSES:
        found |= {"algo.kl.use_loss": True, "algo.kl.estimator": _KL_LOSSES[spec.algorithm]}
    if spec.lora_rank:
        found |= {"ds.lora.rank": spec.lora_rank, "ds.lora.alpha": 2 * spec.lora_rank}
    return found


def _saving(spec: TrainingSpec) -> dict[str, Any]:
    """Hugging Face folders, and the states of the last two saves, some 14 bytes a parameter each, to go on from.

    Two, because OpenRLHF deletes the oldest before it writes the next.
    """
    return {
        "ckpt.output_dir": str(spec.output.resolve() / FINAL),
        "ckpt.path": str(spec.output.resolve() / CHECKPOINTS),
        "ckpt.save_hf": True,
        "ckpt.save_steps": spec.save_steps or -1,
        "ckpt.max_num": 2,
        "ckpt.load_enable": True,
        "logger.logging_steps": 1,
    }


def _pictures(layout: Layout) -> dict[str, Any]:
    return {"data.image_key": "images", "data.max_images_per_prompt": layout.pictures}
