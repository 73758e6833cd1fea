"""Chains of thought behind right answers: `audit`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from rlvr_harness.options import FOLDER


@click.command("audit")
@click.argument("folder", type=FOLDER)
@click.option(
    "--queue", type=click.IntRange(min=1), help="samples for each reason, model and task [20]; builds it anew"
)
@click.option("--judge", metavar="SAMPLER:MODEL", help="have a model judge the queue, as openai:my-judge")
@click.option("-a", "--model_args", default="", metavar="K=V,...", help="how the judge is reached: base_url=...")
@click.option("--gen_kwargs", default="", metavar="K=V,...", help="how it answers [temperature=0,max_gen_toks=4096]")
@click.option("--status", is_flag=True, help="what is marked so far, and the rates")
def audit_command(
    folder: Path, queue: int | None, judge: str | None, model_args: str, gen_kwargs: str, status: bool
) -> None:
    """Queue chains of thought of the run of FOLDER for judging; rates of right chains behind right answers."""
    from rlvr_harness import analysing
    from rlvr_harness.auditing_by_model import JudgeChoice
    from rlvr_harness.given_pairs import law_option, pairs_option

    if status and (queue or judge):
        raise click.UsageError("--status only looks; leave out --queue and --judge")
    if status:
        lines = analysing.audit_status(folder)
    elif judge:
        choice = JudgeChoice(judge, pairs_option("--model_args", model_args))
        choice = replace(choice, law=replace(choice.law, **law_option(gen_kwargs)))
        lines = analysing.audit_by_model(folder, queue, choice)
    else:
        lines = analysing.audit(folder, queue)
    for line in lines:
        click.echo(line)
