"""Reading a run's samples in the web browser: `view`."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlvr_harness.options import FOLDER

if TYPE_CHECKING:
    from rlvr_harness.viewing.index import Snapshot
    from rlvr_harness.viewing.pictures import Found


@click.command("view")
@click.argument("folder", type=FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen at; others need the token")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="port to listen at (default: any free one)")
@click.option("--token", help="ask for this token (default: none on this machine alone, else a new one)")
@click.option(
    "--data_dir", type=FOLDER, help="folder with local copies of the data sets, for pictures (default: the run's)"
)
@click.option("--browser/--no_browser", default=True, help="open the browser")
def view_command(folder: Path, host: str, port: int, token: str | None, data_dir: Path | None, browser: bool) -> None:
    """Read the problems and samples of FOLDER in the web browser, filter them, and mark chains of thought."""
    from rlvr_harness.viewing.server import Address, serve

    def ready(url: str) -> None:
        click.echo(url)
        click.echo("Ctrl-C ends it", err=True)
        if browser:
            webbrowser.open(url)

    def load(snapshot: Snapshot, task: str) -> Found:
        # Only now: it imports what loads tasks, which most runs that are viewed never need.
        from rlvr_harness.viewing.task_pictures import load_pictures

        return load_pictures(snapshot, task, data_dir)

    # Pictures are those on this machine: opening a page must not begin a download.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    serve(folder, Address(host, port), token, ready, load)
