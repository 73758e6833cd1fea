"""`reward export` and `reward serve`: the verifier that judges evaluations, for training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from rlvr_harness.commands.printing import names
from rlvr_harness.options import FILE, FOLDER, INCLUDE, LEVEL, SANDBOX, Commands

TASKS = click.option("--tasks", required=True, metavar="A,B", help="tasks whose problems will be trained on")
WORKERS = click.option("--workers", type=click.IntRange(min=1), help="verifier processes (default: free cores)")
DATA = click.option("--data_dir", type=FOLDER, help="folder with local copies of the data sets")
TOKENIZER = click.option("--base", help="the model's folder or Hub id: its special tokens are cut off completions")
TOKEN = "RLVR_HARNESS_REWARD_TOKEN"


@click.group("reward", cls=Commands)
def reward_group() -> None:
    """The verifier of a task as the reward of a training run."""


@reward_group.command("export")
@TASKS
@click.option("--format", "framework", required=True, help="openrlhf, trl or verl")
@click.option("-o", "--output_path", type=FILE, required=True, help="Python file to write")
@TOKENIZER
@SANDBOX
@LEVEL
@INCLUDE
@DATA
@WORKERS
def export_command(tasks: str, framework: str, output_path: Path, base: str | None, **options: Any) -> None:
    """Write a Python file with the reward function that a training framework loads."""
    from rlvr_harness import rewarding

    click.echo(rewarding.export(names(tasks), framework, output_path, base, options))


@reward_group.command("serve")
@TASKS
@click.option("--host", default="127.0.0.1", show_default=True, help="elsewhere needs a token in " + TOKEN)
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="0: any free one")
@click.option("--queue", type=click.IntRange(min=1), default=4096, show_default=True, help="completions under way")
@TOKENIZER
@SANDBOX
@LEVEL
@INCLUDE
@DATA
@WORKERS
def serve_command(tasks: str, host: str, port: int, queue: int, base: str | None, **options: Any) -> None:
    """Serve the reward over HTTP, by OpenRLHF's remote protocol; ends with Ctrl-C."""
    from rlvr_harness import rewarding

    address = (host, port, os.environ.get(TOKEN) or None)
    rewarding.serve(names(tasks), address, queue, base, options)
