"""Foreign results in, ours out: `import` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rlvr_harness.commands.printing import show
from rlvr_harness.options import FOLDER


@click.command("import")
@click.option("--format", "form", default="auto", show_default=True, help="`rlvr-harness ls importers` lists them")
@click.option("--task", help="name of the task in the report; also which task of files that hold several")
@click.option("--model", type=FOLDER, required=True, help="file or folder of the RLVR model")
@click.option("--base", type=FOLDER, help="file or folder of its base")
@click.option("--also", multiple=True, metavar="NAME=FILE", help="file or folder of one more model (repeatable)")
@click.option("--k", type=click.IntRange(min=1), help="largest k (default: the smallest n)")
@click.option("--metric", help="which score of the files decides, where they have several")
@click.option("--threshold", type=float, help="score from which on a sample is right")
@click.option("--verifier", help="judge the texts with this verifier instead of by the files' own verdicts")
@click.option("--allow_unfair", is_flag=True, help="compare models although their prompts differ")
@click.option("-o", "--output_path", type=FOLDER, required=True, help="run folder to write")
def import_command(form: str, task: str | None, verifier: str | None, output_path: Path, **given: Any) -> None:
    """Turn samples or counts of other programs into a run folder with a report."""
    from rlvr_harness import app
    from rlvr_harness.foreign_files import ImportChoice

    how = ImportChoice(**{name: given.pop(name) for name in ("k", "metric", "threshold", "allow_unfair")})
    show(app.import_results(form, app.import_request(task, given), output_path, how, verifier))


FORMS = ["lm-eval", "hub", "csv", "wandb", "trackio"]
"""Named here again so that `--help` need not load the exporters; a test holds the two lists together."""


@click.command("export")
@click.argument("folder", type=FOLDER)
@click.option("--format", "form", type=click.Choice(FORMS), default="lm-eval", show_default=True, help="whose form")
@click.option("--dataset", "datasets", multiple=True, metavar="TASK=ID", help="hub: the task's data set (repeatable)")
@click.option("--push", metavar="[ROLE=]OWNER/NAME", help="hub: the model's repository; says what it would upload")
@click.option("--yes", is_flag=True, help="upload what --push names, with the token in HF_TOKEN")
@click.option("--pull_request", is_flag=True, help="upload as a pull request")
@click.option("-o", "--output_path", type=FOLDER, required=True, help="folder to write to")
def export_command(folder: Path, form: str, datasets: tuple[str, ...], output_path: Path, **pushing: Any) -> None:
    """Write the results of FOLDER for other programs: lm-eval, the Hub, CSV, W&B or Trackio."""
    from rlvr_harness.exporters import export
    from rlvr_harness.exporting import Export, sequential_warning
    from rlvr_harness.given_pairs import named_option
    from rlvr_harness.pushing import parse_push, push_results

    given = pushing.pop("push")
    if (given or any(pushing.values())) and not (given and form == "hub"):
        raise click.UsageError("--push, --yes and --pull_request belong to --format hub --push OWNER/NAME")
    push = parse_push(given, pushing["yes"], pushing["pull_request"]) if given else None
    what = Export.of(folder, output_path, named_option("--dataset", datasets))
    if form == "csv" and (warning := sequential_warning(what)):
        click.echo(f"warning: {warning}", err=True)
    written = list(export(what, form))
    lines = list(push_results(what, written, push)) if push else []
    for line in (*written, *lines):
        click.echo(line)
