"""Every checkpoint of a training against its base: `sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from rlvr_harness.options import QUIET, given_options, spec_options

PER_PROBLEM = 8
POLL_S = 60.0
"""Small beside the minutes between two checkpoints, and kind to a file server."""


@click.command("sweep")
@click.argument("checkpoints", nargs=-1, required=True)
@spec_options
@click.option("--follow", is_flag=True, help="wait for checkpoints that are still to come")
@click.option(
    "--poll",
    type=click.FloatRange(min=0, min_open=True),
    default=POLL_S,
    show_default=True,
    help="seconds between two looks for them",
)
@click.option("--until", type=click.IntRange(min=0), help="leave out later steps; --follow ends when this step is done")
@click.option("--ppl", is_flag=True, help="perplexity of the checkpoints' texts under the base, over steps")
@click.option("--entropy", is_flag=True, help="token entropy over steps")
@click.option(
    "--per_problem",
    type=click.IntRange(min=1),
    default=PER_PROBLEM,
    show_default=True,
    help="samples of each problem for --ppl and --entropy",
)
@QUIET
def sweep_command(checkpoints: Sequence[str], quiet: bool, **flags: Any) -> None:
    """Compare every checkpoint in the folders CHECKPOINTS with --base, which is sampled once; goes on when repeated.

    A folder may hold checkpoints (checkpoint-N, global_step_N, global_stepN_hf), be one, or be that of an adapter.
    """
    from rlvr_harness.sweep_analyses import Analyses
    from rlvr_harness.sweep_work import Following
    from rlvr_harness.sweeping import sweep, wish_of

    follow, poll, until = (flags.pop(name) for name in ("follow", "poll", "until"))
    analyses = Analyses(flags.pop("ppl"), flags.pop("entropy"), flags.pop("per_problem"))
    following = Following(poll if follow else None, until)
    wish = wish_of(given_options(flags), checkpoints)
    for line in sweep(replace(wish, following=following, analyses=analyses, quiet=quiet)):
        click.echo(line)
