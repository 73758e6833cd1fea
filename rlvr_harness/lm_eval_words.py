"""What users of lm-eval may write that has another name here, or no need: the line that tells them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "--model_alias": "models are named by role: --model, --base, --also NAME=PATH",
        "--max_batch_size": "--batch_size N sets it; without it the batch is chosen from memory",
        "--use_cache": "nothing is sampled twice: `resume` and the same `run -o DIR` go on with what is stored",
        "--cache_requests": "nothing is sampled twice: `resume` and the same `run -o DIR` go on with what is stored",
        "--check_integrity": "`validate TASK` checks a task's golds against its verifier",
        "--write_out": "prompts stand in problems/ of the run folder, and `view DIR` shows them",
        "--show_config": "the resolved options stand in run.json of the run folder",
        "--predict_only": "every sample is stored, and `verify DIR` judges it again",
        "--fewshot_as_multiturn": "examples stand in the one prompt that all models share (--num_fewshot)",
        "--samples": "--limit N takes the first N problems of each task",
        "--verbosity": "--quiet leaves progress out",
        "--wandb_args": "--log wandb follows a run, and `export DIR --format wandb` sends a finished one",
        "--wandb_config_args": "--log wandb follows a run, and `export DIR --format wandb` sends a finished one",
        "--hf_hub_log_args": "`export DIR --format hub --push OWNER/NAME` sends a finished run",
        "--confirm_run_unsafe_code": "programs run in a sandbox: --sandbox NAME, --sandbox_level N",
        "--metadata": "options of a task stand in its YAML file (--include_path DIR)",
    }
)
"""lm-eval's flag -> what does the same here."""
GEN_KWARGS: Mapping[str, str] = MappingProxyType(
    {
        "do_sample": "temperature=0 is greedy, above it samples are drawn",
        "max_new_tokens": "its name is max_gen_toks",
        "max_tokens": "its name is max_gen_toks",
        "max_length": "max_gen_toks counts the completion alone",
        "until": "stop strings belong to the task and the prompt profile (--prompt)",
        "stop": "stop strings belong to the task and the prompt profile (--prompt)",
        "n": "the number of samples is --n",
        "seed": "the seed is --seed",
    }
)
"""Generation argument of lm-eval or of an engine -> its counterpart here."""


def hint_of(words: Mapping[str, str], name: str) -> str:
    """`; ` and what there is here instead of `name`; empty where nothing is known of it."""
    return f"; {words[name]}" if name in words else ""


def named_checkpoint(model_args: object) -> str | None:
    """The line for `--model_args pretrained=X`, lm-eval's way to name a checkpoint; None where it is not used."""
    if isinstance(model_args, Mapping):
        path = model_args.get("pretrained")
    else:
        pairs = (part.partition("=") for part in str(model_args or "").split(","))
        path = next((value.strip() for key, _, value in pairs if key.strip() == "pretrained"), None)
    if path is None:
        return None
    return f"--model_args pretrained={path}: the checkpoint is named by --model {path}, and the engine by --sampler hf"
