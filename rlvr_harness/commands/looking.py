"""Looking at what there is, and checking it: `ls`, `validate`, `doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rlvr_harness.commands.printing import names
from rlvr_harness.options import FOLDER, INCLUDE, LEVEL, METRIC, SANDBOX, THRESHOLD, WITHOUT

KINDS = "tasks verifiers samplers sandboxes importers trainers metrics report_sections plugins presets prompts"


@click.command("ls")
@click.argument(
    "kind",
    type=click.Choice(KINDS.split()),
)
@WITHOUT
def ls_command(kind: str, without: str) -> None:
    """List what is there of one KIND; `plugins` shows what each offers, and what is wrong with a broken one."""
    from rlvr_harness import listing

    for line in listing.lines(kind, names(without)):
        click.echo(line)


@click.command("validate")
@click.argument("tasks", nargs=-1, required=True)
@click.option("--data_dir", type=FOLDER, help="folder with local copies of the data sets")
@INCLUDE
@METRIC
@THRESHOLD
@SANDBOX
@LEVEL
@click.option("--limit", type=click.IntRange(min=1), help="only the first N problems")
@click.option("--workers", type=click.IntRange(min=1), help="verifier processes (default: free cores)")
def validate_command(tasks: Sequence[str], include_path: Path | None, workers: int | None, **options: Any) -> None:
    """Check for every problem of TASKS: its gold is accepted, a near miss refused, junk survived."""
    from rlvr_harness import validation
    from rlvr_harness.foreign_metric import MetricChoice
    from rlvr_harness.requests import PromptRequest, SandboxChoice

    failed, header = 0, [validation.TABLE_HEADER]
    request = PromptRequest(limit=options["limit"], data_dir=options["data_dir"])
    choice = MetricChoice(options["metric"], options["threshold"])
    sandbox = SandboxChoice(options["sandbox"], options["sandbox_level"])
    for report in validation.validate(tasks, request, include_path, workers, choice, sandbox):
        for line in (*header, *report.lines()):
            click.echo(line)
        header = []
        failed += not report.passed
    if failed:
        raise SystemExit(1)


@click.command("doctor")
def doctor_command() -> None:
    """Check this machine: what is installed, what a run can use, and what each lack costs."""
    from rlvr_harness import doctor

    for line in doctor.lines():
        click.echo(line)
