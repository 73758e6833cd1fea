"""The embedded example: `demo` and `demo train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rlvr_harness.commands.printing import print_tables
from rlvr_harness.options import FOLDER, QUIET


@click.group("demo", invoke_without_command=True)
@click.option("-k", "--k", type=click.IntRange(min=1), default=1024, show_default=True, help="largest k")
@click.option("-L", "--limit", type=click.IntRange(min=1), help="only the first N of 100 problems")
@click.option(
    "-o", "--output_path", type=FOLDER, default=Path("runs/demo"), show_default=True, help="folder for runs and report"
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default: free cores)")
@QUIET
@click.pass_context
def demo_group(ctx: click.Context, /, **options: Any) -> None:
    """Compare the embedded models demo/rlvr, demo/base and demo/distilled at two temperatures."""
    if ctx.invoked_subcommand is None:
        from rlvr_harness import app

        finished, report = app.demo(**options)
        for one in finished:
            print_tables(one)
        click.echo(f"report: {report}")


@demo_group.command("train")
@click.option("-o", "--output_path", type=FOLDER, required=True, help="folder for base/, rlvr/ and distilled/")
@click.option("--seed", type=int, default=0, show_default=True, help="seed of the training")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads")
@click.option("--quick", is_flag=True, help="a few steps only: useless models in seconds")
def demo_train_command(output_path: Path, seed: int, threads: int | None, quick: bool) -> None:
    """Train the embedded models anew (about 25 minutes on one core)."""
    from rlvr_harness.registry import load_plugins

    trainer = load_plugins().get("trainer", "demo")
    for name, folder in trainer.train(output_path, {"seed": seed, "threads": threads, "quick": quick}).items():
        click.echo(f"{name}\t{folder}")
