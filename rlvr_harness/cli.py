"""The command line: parse, call app, print.

Results on stdout, all else on stderr; exit 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from rlvr_harness.commands.auditing import audit_command
from rlvr_harness.commands.demo import demo_group
from rlvr_harness.commands.exchange import export_command, import_command
from rlvr_harness.commands.leaderboard import leaderboard_command
from rlvr_harness.commands.looking import doctor_command, ls_command, validate_command
from rlvr_harness.commands.plugins import new_plugin_command
from rlvr_harness.commands.printing import VERSION_HELP, names, print_versions, show
from rlvr_harness.commands.reward import reward_group
from rlvr_harness.commands.sweeping import sweep_command
from rlvr_harness.commands.texts import entropy_command, ppl_command
from rlvr_harness.commands.training import train_command
from rlvr_harness.commands.viewing import view_command
from rlvr_harness.commands.wrong_usage import line_of
from rlvr_harness.errors import HarnessError
from rlvr_harness.options import (
    CONTEXT,
    FILE,
    FOLDER,
    INCLUDE,
    LEAD,
    LEVEL,
    METRIC,
    QUIET,
    SANDBOX,
    THRESHOLD,
    WITHOUT,
    Commands,
    given_options,
    machine_options,
    spec_options,
)
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.stopping import Stopped, Stopping


@click.group(cls=Commands, context_settings=CONTEXT)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=print_versions, help=VERSION_HELP)
def cli() -> None:
    """Compare an RLVR checkpoint with its base: large-k pass@k, verified, with error bars."""


@cli.command("run")
@spec_options
@QUIET
def run_command(quiet: bool, **flags: Any) -> None:
    """Sample, verify, measure and report; goes on where an earlier run of the same options stopped."""
    from rlvr_harness import app

    show(app.run(parse_spec(given_options(flags), "run"), quiet))


@cli.command("plan")
@spec_options
@click.option("--tokens_per_s", type=click.FloatRange(min=0, min_open=True), help="speed of your engine, for the hours")
@click.option("--probe", is_flag=True, help="measure the speed: open each model and sample for some seconds")
@click.option("--detectable", type=click.FloatRange(0, 1, min_open=True), default=0.05, show_default=True, help=LEAD)
def plan_command(tokens_per_s: float | None, probe: bool, detectable: float, **flags: Any) -> None:
    """Print what `run` with the same options would cost and could show; stores nothing."""
    from rlvr_harness import app

    for line in app.plan(parse_spec(given_options(flags), "plan"), tokens_per_s, probe, detectable):
        click.echo(line)


@cli.command("resume")
@click.argument("folder", type=FOLDER)
@machine_options
@QUIET
def resume_command(folder: Path, quiet: bool, **machines: Any) -> None:
    """Complete the run of FOLDER to the samples that it asked for."""
    from rlvr_harness import app

    show(app.resume(folder, quiet, given_options(machines)))


@cli.command("topup")
@click.argument("folder", type=FOLDER)
@click.option("--n", type=click.IntRange(min=1), required=True, help="samples per problem and model from now on")
@click.option("--k", type=click.IntRange(min=1), help="largest k of pass@k from now on (default: as it was)")
@machine_options
@QUIET
def topup_command(folder: Path, n: int, k: int | None, quiet: bool, **machines: Any) -> None:
    """Raise the samples of the run of FOLDER to N per problem; a sequential plan gets further stages."""
    from rlvr_harness import app

    show(app.topup(folder, n, k, quiet, given_options(machines)))


@cli.command("verify")
@click.argument("folder", type=FOLDER)
@click.option("--verifier", help="a second verifier; without it each task's own judges again")
@METRIC
@THRESHOLD
@click.option("--workers", type=click.IntRange(min=1), help="verifier processes (default: free cores)")
@QUIET
def verify_command(folder: Path, metric: str | None, threshold: float | None, **options: Any) -> None:
    """Judge the stored samples of FOLDER again; a second verifier shows where the two differ and what it means."""
    from rlvr_harness import app
    from rlvr_harness.foreign_metric import MetricChoice

    for line in app.verify(folder, **options, choice=MetricChoice(metric, threshold)):
        click.echo(line)


@cli.command("check_verifier")
@click.argument("file", type=FILE)
@click.option("--task", help="task of rows that name a problem_id; also chooses the verifier")
@click.option("--verifier", help="verifier to check (default: the task's own, else math)")
@click.option("--prompt", default="boxed", show_default=True, help="prompt profile: where the answer stands")
@click.option("--data_dir", type=FOLDER, help="folder with local copies of the data sets")
@INCLUDE
@METRIC
@THRESHOLD
@SANDBOX
@LEVEL
@click.option("--workers", type=click.IntRange(min=1), help="verifier processes (default: free cores)")
@click.option("-o", "--output_path", type=FILE, help="JSONL of the rows with verdict, answer and reason")
def check_verifier_command(file: Path, **options: Any) -> None:
    """Verdicts on labelled answers: rows {gold or problem_id, text, label (optional)}; prints the agreement."""
    from rlvr_harness import app

    for line in app.check_verifier(file, **options):
        click.echo(line)


@cli.command("report")
@click.argument("folders", type=FOLDER, nargs=-1, required=True)
@click.option("-o", "--output_path", type=FOLDER, help="where to write (default: the first folder)")
@click.option("--published", type=FILE, help="YAML of a paper's numbers, to be set beside those measured")
@WITHOUT
def report_command(folders: Sequence[Path], output_path: Path | None, published: Path | None, without: str) -> None:
    """Write report.html, report.md and figures anew; several run folders go side by side."""
    from rlvr_harness import app
    from rlvr_harness.report.published import PublishedSection

    further = [PublishedSection.read(published)] if published else []
    for line in (line for section in further for line in section.lines(folders)):
        click.echo(line)
    click.echo(app.rebuild_report(folders, output_path, names(without), further))


for command in (
    sweep_command,
    *(view_command, ppl_command, entropy_command, audit_command),
    *(leaderboard_command, reward_group, train_command, import_command, export_command, demo_group),
    *(ls_command, validate_command, doctor_command, new_plugin_command),
):
    cli.add_command(command)


def _be_quiet() -> None:
    """Keeps libraries' progress bars and hints off stderr, unless the user set the variables."""
    for name, value in (
        ("TQDM_DISABLE", "1"),
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("HF_HUB_VERBOSITY", "error"),
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("TOKENIZERS_PARALLELISM", "false"),
    ):
        os.environ.setdefault(name, value)


def main(arguments: Sequence[str] | None = None, exit_with: Callable[[int], Any] = sys.exit) -> None:
    """Runs the command line and ends the process with its status."""
    _be_quiet()
    with Stopping() as stopping:
        exit_with(_status(arguments, stopping))


def _status(arguments: Sequence[str] | None, stopping: Stopping) -> int:
    try:
        status = cli.main(args=arguments, prog_name="rlvr-harness", standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"error: {line_of(error)}", err=True)
        return error.exit_code
    except (click.Abort, Stopped):
        return stopping.status
    except HarnessError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    return status if isinstance(status, int) else 0
