"""A static site over many run folders: `leaderboard`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from rlvr_harness.options import FOLDER, WITHOUT


@click.command("leaderboard")
@click.argument("folders", type=FOLDER, nargs=-1, required=True)
@click.option("-o", "--output_path", type=FOLDER, required=True, metavar="SITE", help="folder of the site")
@click.option("--title", help="heading of the site")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="date to print on it [none: equal runs, equal bytes]")
@WITHOUT
def leaderboard_command(
    folders: Sequence[Path], output_path: Path, title: str | None, date: datetime | None, without: str
) -> None:
    """Write a static site over the run folders FOLDERS; rows are ranked only with rows of the same conditions.

    No plugin takes part, so --without changes nothing; it is taken as `report` takes it.
    """
    from rlvr_harness.leaderboard import Choices, build_site

    given = {"title": title} if title else {}
    choices = Choices(**given, date=date.date().isoformat() if date else None)
    groups = build_site(folders, output_path, choices)
    ranked = sum(one.rank is not None for group in groups for one in group.rows)
    rows = sum(len(group.rows) for group in groups)
    click.echo(f"{rows:,} rows, {ranked:,} of them ranked, in {len(groups):,} tables")
    click.echo(f"site: {output_path / 'index.html'}")
