"""A training spec in the option names of verl 0.9, as Hydra overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr_harness import TrainingSpec, UsageError

RAY_ADDRESS = "ray_address"
"""The one option of this backend that verl does not have."""
CHECKPOINTS = "checkpoints"
DATA_NAME = "verl.parquet"
_ALGORITHMS = {
    "ppo": "gae",
    "grpo": "grpo",
    "rloo": "rloo",
    "reinforce++": "reinforce_plus_plus",
    "remax": "remax",
    "dapo": "grpo",
}
ALGORITHMS = tuple(_ALGORITHMS)
_GROUPED = ("grpo", "rloo", "dapo")
# Clip range of DAPO: arXiv:2503.14476, section 3.1; overlong buffer of a fifth of the length: section 4.1.
_CLIP, _DAPO_CLIP, _OVERLONG_SHARE = (0.2, 0.2), (0.2, 0.28), 5
_TOKENS_PER_GPU = 16384
# A prompt that is text goes to the model as it is, and verl knows chats alone.
_VERBATIM = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
_PLAIN = re.compile(r"[\w./:@-]+")


def check_spec(spec: TrainingSpec, gpus: int, rows: int, pictures: bool) -> None:
    """Raises UsageError for what verl cannot do. `gpus`: of all nodes."""
    if spec.algorithm not in _ALGORITHMS:
        raise UsageError(f"verl has no algorithm '{spec.algorithm}'; there are: {', '.join(ALGORITHMS)}")
    if spec.algorithm in _GROUPED and spec.samples_per_prompt < 2:
        raise UsageError(f"{spec.algorithm} compares samples of one prompt; ask for 2 or more samples per prompt")
    if spec.algorithm == "dapo" and spec.kl:
        raise UsageError("dapo has no KL term; leave the KL coefficient at 0, or take grpo")
    if spec.algorithm == "ppo" and pictures:
        raise UsageError("a critic that sees pictures is not planned for here; take another algorithm than ppo")
    if rows < spec.prompts_per_step:
        raise UsageError(
            f"{rows} problems are fewer than the {spec.prompts_per_step} of a step, and verl leaves out what does not "
            "fill one; ask for fewer prompts per step"
        )
    if spec.prompts_per_step * spec.samples_per_prompt % gpus:
        raise UsageError(
            f"{spec.prompts_per_step} prompts x {spec.samples_per_prompt} samples do not divide among {gpus} GPUs; "
            "change one of them"
        )


def settings(spec: TrainingSpec, gpus: int, files: Mapping[str, Path], is_chat: bool) -> dict[str, Any]:
    """All overrides by name; a user's own take the place of ours. `gpus`: of a node; `files`: data, reward."""
    found = {
        **_data(spec, files["data"]),
        "algorithm.adv_estimator": _ALGORITHMS[spec.algorithm],
        **_models(spec, is_chat),
        **_kl(spec),
        "reward.custom_reward_function.path": str(files["reward"]),
        "reward.custom_reward_function.name": "compute_score",
        **_trainer(spec, gpus),
        **(_dapo(spec) if spec.algorithm == "dapo" else {}),
        # The trainer of today has no greedy baseline; the one before it has.
        **({"trainer.use_v1": False} if spec.algorithm == "remax" else {}),
    }
    return found | {name: value for name, value in spec.options.items() if name != RAY_ADDRESS}


def as_words(found: Mapping[str, Any]) -> list[str]:
    """The overrides, with values in Hydra's grammar."""
    return [f"{name}={_value(value)}" for name, value in found.items()]


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_value(one) for one in value)}]"
    text = str(value)
    if not isinstance(value, str) or _PLAIN.fullmatch(text):
        return text
    # Hydra reads \\ as one backslash only before a quote, and \" as the quote.
    return '"' + re.sub(r'(\\*)"', r'\1\1\\"', re.sub(r"(\\+)$", r"\1\1", text)) + '"'


def _data(spec: TrainingSpec, path: Path) -> dict[str, Any]:
    """verl wants problems to validate on; validation is off, and one of the training problems does."""
    return {
        "data.train_files": str(path),
        "data.val_files": str(path),
        "data.val_max_samples": 1,
        "data.train_batch_size": spec.prompts_per_step,
        "data.max_prompt_length": spec.max_prompt_toks,
        "data.max_response_length": spec.max_gen_toks,
        "data.truncation": "left",
        "data.seed": spec.seed,
    }


def _models(spec: TrainingSpec, is_chat: bool) -> dict[str, Any]:
    actor, rollout, model = (f"actor_rollout_ref.{part}" for part in ("actor", "rollout", "model"))
    tokens = max(_TOKENS_PER_GPU, spec.max_prompt_toks + spec.max_gen_toks)
    base = str(Path(spec.base).resolve()) if Path(spec.base).is_dir() else spec.base
    low, high = _DAPO_CLIP if spec.algorithm == "dapo" else _CLIP
    found: dict[str, Any] = {
        f"{model}.path": base,
        f"{actor}.optim.lr": spec.learning_rate,
        f"{actor}.optim.weight_decay": 0.0,
        f"{actor}.ppo_mini_batch_size": spec.prompts_per_step,
        f"{actor}.use_dynamic_bsz": True,
        f"{actor}.ppo_max_token_len_per_gpu": tokens,
        f"{actor}.clip_ratio_low": low if spec.clip_low is None else spec.clip_low,
        f"{actor}.clip_ratio_high": high if spec.clip_high is None else spec.clip_high,
        f"{actor}.checkpoint.save_contents": ["model", "extra"] if spec.lora_rank else ["hf_model"],
        f"{rollout}.name": "vllm",
        f"{rollout}.n": spec.samples_per_prompt,
        f"{rollout}.temperature": spec.temperature,
        f"{rollout}.seed": spec.seed,
        f"{rollout}.tensor_model_parallel_size": 1,
        f"{rollout}.gpu_memory_utilization": 0.6,
    }
    if not is_chat:
        found[f"{model}.custom_chat_template"] = _VERBATIM
    if spec.lora_rank:
        found |= {
            f"{model}.lora_rank": spec.lora_rank,
            f"{model}.lora_alpha": 2 * spec.lora_rank,
            f"{rollout}.load_format": "safetensors",
        }
    if spec.algorithm == "ppo":
        found |= {"critic.model.path": base, "critic.ppo_max_token_len_per_gpu": tokens}
    return found


def _kl(spec: TrainingSpec) -> dict[str, Any]:
    """In the loss for GRPO, as its paper has it (arXiv:2402.03300, eq. 3); in the reward for the others."""
    if not spec.kl:
        return {"actor_rollout_ref.actor.use_kl_loss": False, "algorithm.use_kl_in_reward": False}
    if spec.algorithm == "grpo":
        return {
            "actor_rollout_ref.actor.use_kl_loss": True,
            "actor_rollout_ref.actor.kl_loss_coef": spec.kl,
            "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
        }
    return {"algorithm.use_kl_in_reward": True, "algorithm.kl_ctrl.kl_coef": spec.kl}


def _trainer(spec: TrainingSpec, gpus: int) -> dict[str, Any]:
    """The last step is saved where anything is; passes over the data are as many as the steps may need."""
    return {
        "trainer.logger": ["console"],
        "trainer.project_name": "rlvr-harness",
        "trainer.experiment_name": spec.algorithm,
        "trainer.n_gpus_per_node": gpus,
        "trainer.nnodes": spec.nodes,
        "trainer.total_training_steps": spec.steps,
        "trainer.total_epochs": max(1, spec.steps) * (100 if spec.algorithm == "dapo" else 1),
        "trainer.save_freq": spec.save_steps or spec.steps,
        "trainer.test_freq": -1,
        "trainer.val_before_train": False,
        "trainer.resume_mode": "auto",
        "trainer.default_local_dir": str(spec.output.resolve() / CHECKPOINTS),
    }


def _dapo(spec: TrainingSpec) -> dict[str, Any]:
    """Groups are filtered by `score`, which is ours, not by a reward that holds the penalty for length."""
    overlong = "+reward.reward_kwargs.overlong_buffer_cfg"
    return {
        "algorithm.filter_groups.enable": True,
        "algorithm.filter_groups.metric": "score",
        "reward.reward_manager.name": "dapo",
        "+reward.reward_kwargs.max_resp_len": spec.max_gen_toks,
        f"{overlong}.enable": True,
        f"{overlong}.len": spec.max_gen_toks // _OVERLONG_SHARE,
        f"{overlong}.penalty_factor": 1.0,
        f"{overlong}.log": False,
    }
