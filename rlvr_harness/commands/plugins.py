"""Starting a plugin: `new-plugin`."""

from __future__ import annotations

from pathlib import Path

import click

from rlvr_harness.options import FOLDER


@click.command("new_plugin")
@click.argument("name")
@click.option("-o", "--output_path", type=FOLDER, help="folder to write (default: ./rlvr-harness-NAME)")
def new_plugin_command(name: str, output_path: Path | None) -> None:
    """Write a plugin to begin with: the distribution rlvr-harness-NAME with a task, verifier, metric and tests."""
    from rlvr_harness import starting_plugins

    for line in starting_plugins.start(name, output_path):
        click.echo(line)
