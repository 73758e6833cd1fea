"""What commands print of a finished run, and how they read lists of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rlvr_harness.app import Finished


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
