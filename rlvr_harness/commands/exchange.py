"""Foreign results in, ours out: `import` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rlvr_harness.commands.printing import show
from rlvr_harness.options import FILE, FOLDER


@click.command("import")
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

    show(app.import_results(form, app.import_request(task, files), output_path, k))


@click.command("export")
@click.argument("folder", type=FOLDER)
@click.option("--format", "form", type=click.Choice(["lm-eval"]), default="lm-eval", show_default=True)
@click.option("-o", "--output_path", type=FOLDER, required=True, help="folder to write to")
def export_command(folder: Path, form: str, output_path: Path) -> None:
    """Write the results of FOLDER as lm-eval results files, one per model."""
    from rlvr_harness import app

    for path in app.export_lm_eval(folder, output_path):
        click.echo(path)
