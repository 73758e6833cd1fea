"""The command line: parse, call app, print.

Results on stdout, all else on stderr; exit 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
    spec_options,
)
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.stopping import Stopped, Stopping

if TYPE_CHECKING:
    from rlvr_harness.app import Finished


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(package_name="rlvr-harness", prog_name="rlvr-harness")
def cli() -> None:
    """Compare an RLVR checkpoint with its base: large-k pass@k, verified, with error bars."""


@cli.command("run")
@spec_options
@QUIET
def run_command(quiet: bool, **flags: Any) -> None:
    """Sample, verify, measure and report; goes on where an earlier run of the same options stopped."""
    from rlvr_harness import app

    _show(app.run(parse_spec(given_options(flags), "run"), quiet))


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
@QUIET
def resume_command(folder: Path, quiet: bool) -> None:
    """Complete the run of FOLDER to the samples that it asked for."""
    from rlvr_harness import app

    _show(app.resume(folder, quiet))


@cli.command("topup")
@click.argument("folder", type=FOLDER)
@click.option("--n", type=click.IntRange(min=1), required=True, help="samples per problem and model from now on")
@click.option("--k", type=click.IntRange(min=1), help="largest k of pass@k from now on (default: as it was)")
@QUIET
def topup_command(folder: Path, n: int, k: int | None, quiet: bool) -> None:
    """Raise the samples of the run of FOLDER to N per problem; a sequential plan gets further stages."""
    from rlvr_harness import app

    _show(app.topup(folder, n, k, quiet))


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
@WITHOUT
def report_command(folders: Sequence[Path], output_path: Path | None, without: str) -> None:
    """Write report.html, report.md and figures anew; several run folders go side by side."""
    from rlvr_harness import app

    click.echo(app.rebuild_report(folders, output_path, _names(without)))


@cli.command("import")
@click.option("--format", "form", default="counts", help="what the files hold; `counts`: problem_id, n, c")
@click.option("--task", required=True, help="name of the task in the report")
@click.option("--model", type=FILE, required=True, help="file of the RLVR model")
@click.option("--base", type=FILE, help="file of its base")
@click.option("--also", multiple=True, metavar="NAME=FILE", help="file of one more model (repeatable)")
@click.option("--k", type=click.IntRange(min=1), help="largest k (default: the smallest n)")
@click.option("-o", "--output_path", type=FOLDER, required=True, help="run folder to write")
def import_command(form: str, task: str, k: int | None, output_path: Path, **files: Any) -> None:
    """Turn published or foreign counts into a run folder with a report."""
    from rlvr_harness import app

    _show(app.import_results(form, app.import_request(task, files), output_path, k))


@cli.command("export")
@click.argument("folder", type=FOLDER)
@click.option("--format", "form", type=click.Choice(["lm-eval"]), default="lm-eval", show_default=True)
@click.option("-o", "--output_path", type=FOLDER, required=True, help="folder to write to")
def export_command(folder: Path, form: str, output_path: Path) -> None:
    """Write the results of FOLDER as lm-eval results files, one per model."""
    from rlvr_harness import app

    for path in app.export_lm_eval(folder, output_path):
        click.echo(path)


@cli.group("demo", invoke_without_command=True)
@click.option("-k", "--k", type=click.IntRange(min=1), default=1024, show_default=True, help="largest k")
@click.option("-L", "--limit", type=click.IntRange(min=1), help="only the first N of 100 problems")
@click.option("-o", "--output_path", type=FOLDER, default=Path("runs/demo"), show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default: free cores)")
@QUIET
@click.pass_context
def demo_group(ctx: click.Context, /, **options: Any) -> None:
    """Compare the embedded models demo/rlvr, demo/base and demo/distilled at two temperatures."""
    if ctx.invoked_subcommand is None:
        from rlvr_harness import app

        finished, report = app.demo(**options)
        for one in finished:
            _print_tables(one)
        click.echo(f"report: {report}")


@demo_group.command("train")
@click.option("-o", "--output_path", type=FOLDER, required=True, help="folder for base/, rlvr/ and distilled/")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads")
@click.option("--quick", is_flag=True, help="a few steps only: useless models in seconds")
def demo_train_command(output_path: Path, seed: int, threads: int | None, quick: bool) -> None:
    """Train the embedded models anew (about 25 minutes on one core)."""
    from rlvr_harness.registry import load_plugins

    trainer = load_plugins().get("trainer", "demo")
    for name, folder in trainer.train(output_path, {"seed": seed, "threads": threads, "quick": quick}).items():
        click.echo(f"{name}\t{folder}")


@cli.command("ls")
@click.argument(
    "kind",
    type=click.Choice(["tasks", "verifiers", "samplers", "sandboxes", "importers", "plugins", "presets", "prompts"]),
)
@WITHOUT
def ls_command(kind: str, without: str) -> None:
    """List what is there: tasks, verifiers, samplers, sandboxes, importers, plugins, presets or prompts."""
    from rlvr_harness import listing

    for line in listing.lines(kind, _names(without)):
        click.echo(line)


@cli.command("validate")
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

    failed = 0
    click.echo(validation.TABLE_HEADER)
    request = PromptRequest(limit=options["limit"], data_dir=options["data_dir"])
    choice = MetricChoice(options["metric"], options["threshold"])
    sandbox = SandboxChoice(options["sandbox"], options["sandbox_level"])
    for report in validation.validate(tasks, request, include_path, workers, choice, sandbox):
        for line in report.lines():
            click.echo(line)
        failed += not report.passed
    if failed:
        raise SystemExit(1)


@cli.command("doctor")
def doctor_command() -> None:
    """Check this machine: what is installed, what a run can use, and what each lack costs."""
    from rlvr_harness import doctor

    for line in doctor.lines():
        click.echo(line)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _show(finished: Finished) -> None:
    _print_tables(finished)
    click.echo(f"report: {finished.folder / 'report.html'}")


def _print_tables(finished: Finished) -> None:
    from rlvr_harness.report.terminal import render_terminal

    click.echo(render_terminal(finished.results))


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
        error.show()
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
