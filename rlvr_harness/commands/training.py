"""`train`: an RLVR checkpoint from a base, with the verifier that judges evaluations as its reward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rlvr_harness.commands.printing import names
from rlvr_harness.options import FOLDER, INCLUDE, LEVEL, QUIET, SANDBOX

AT_LEAST_1 = click.IntRange(min=1)
ABOVE_0 = click.FloatRange(0, min_open=True)
_SPEC = (
    "steps prompts_per_step samples_per_prompt learning_rate kl clip_low clip_high temperature lora_rank save_steps "
    "gpus nodes python"
)
_PROBLEMS = "base prompt apply_chat_template system_instruction problems max_gen_toks seed data_dir include_path traces"


@click.command("train")
@click.option("--backend", required=True, help="trl, or another that `ls trainers` shows")
@click.option("--base", required=True, help="checkpoint to start from: folder or Hub id")
@click.option("-t", "--tasks", default="", metavar="A,B", help="tasks whose training problems are used")
@click.option("--algorithm", required=True, help="grpo, dr_grpo, dapo, rloo, ...; what the backend has")
@click.option("--steps", type=AT_LEAST_1, default=150, show_default=True, help="optimiser steps")
@click.option("--prompts_per_step", type=AT_LEAST_1, default=128, show_default=True, help="problems of a step")
@click.option("--samples_per_prompt", type=AT_LEAST_1, default=8, show_default=True, help="completions of each")
@click.option("--learning_rate", type=ABOVE_0, default=1e-6, show_default=True, help="the same at every step")
@click.option(
    "--kl", type=click.FloatRange(0), default=0.0, show_default=True, help="weight of the KL term to the base"
)
@click.option("--clip_low", type=click.FloatRange(0, 1), help="of the policy ratio (default: the algorithm's)")
@click.option("--clip_high", type=click.FloatRange(0), help="of the policy ratio (default: the algorithm's)")
@click.option("--temperature", type=ABOVE_0, default=1.0, show_default=True, help="of the completions")
@click.option("--max_gen_toks", type=AT_LEAST_1, help="of a completion (default: the task's own)")
@click.option("--lora_rank", type=click.IntRange(min=0), default=0, show_default=True, help="0: all weights")
@click.option("--save_steps", type=AT_LEAST_1, default=50, show_default=True, help="steps between checkpoints")
@click.option("--problems", type=AT_LEAST_1, help="training problems of each task (default: all)")
@click.option("--seed", type=int, default=0, show_default=True, help="of the choice of problems and the training")
@click.option("--prompt", default="boxed", show_default=True, help="prompt profile, as for `run`")
@click.option("--apply_chat_template", is_flag=True, help="prompts through the base's chat template")
@click.option("--system_instruction", help="system message of the chat")
@click.option("--eval_tasks", default="", metavar="A,B", help="further tasks to check the training problems against")
@click.option("--traces", metavar="RUN[:MODEL]", help="for sft: learn from the right samples of a run")
@click.option("--train_args", default="", metavar="K=V,...", help="the backend's own settings")
@click.option("--data_dir", type=FOLDER, help="folder with local copies of the data sets")
@click.option("--python", type=click.Path(path_type=Path), help="interpreter of the backend's environment")
@click.option(
    "--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="0: one if there is one, else CPU"
)
@click.option("--nodes", type=AT_LEAST_1, default=1, show_default=True, help="machines, for backends that use several")
@click.option("--workers", type=AT_LEAST_1, help="verifier processes (default: free cores)")
@click.option("--dry_run", is_flag=True, help="print the plan, write nothing")
@click.option("-o", "--output_path", type=FOLDER, required=True, help="folder for data, reward, logs, checkpoints")
@INCLUDE
@SANDBOX
@LEVEL
@QUIET
def train_command(backend: str, algorithm: str, output_path: Path, **given: Any) -> None:
    """Train a checkpoint; goes on where an earlier call with the same options stopped."""
    from rlvr_harness import training
    from rlvr_harness.given_pairs import pairs_option
    from rlvr_harness.training_problems import TrainingChoice

    choice = TrainingChoice(
        tasks=names(given["tasks"]),
        eval_tasks=names(given["eval_tasks"]),
        **{name: given[name] for name in _PROBLEMS.split()},
    )
    wish = training.TrainingWish(
        backend=backend,
        algorithm=algorithm,
        choice=choice,
        output=output_path,
        settings={name: given[name] for name in _SPEC.split()},
        options=pairs_option("--train_args", given["train_args"]),
        judging={name: given[name] for name in ("sandbox", "sandbox_level", "workers")},
    )
    for line in training.train(wish, given["dry_run"], given["quiet"]):
        click.echo(line)
