"""What commands print of a finished run, and how they read lists of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rlvr_harness.app import Finished


VERSION_HELP = "Versions of the harness and of what decides samples and verdicts."


def print_versions(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """The harness's version on a line, then those of Python and the libraries that are there; ends the command."""
    if not wanted or ctx.resilient_parsing:
        return
    from rlvr_harness import provenance

    versions = provenance.library_versions()
    click.echo(f"rlvr-harness, version {versions.pop('rlvr-harness', 'unknown')}")
    for name, version in versions.items():
        click.echo(f"{name} {version}")
    ctx.exit()


def names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def show(finished: Finished) -> None:
    """The tables of a run, then where its report lies."""
    print_tables(finished)
    click.echo(f"report: {finished.folder / 'report.html'}")


def print_tables(finished: Finished) -> None:
    """The tables of a run."""
    from rlvr_harness.report.terminal import render_terminal

    click.echo(render_terminal(finished.results))
