"""What models say of texts: `ppl` and `entropy`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlvr_harness.commands.printing import names
from rlvr_harness.options import FILE, FOLDER

if TYPE_CHECKING:
    from rlvr_harness.scored_samples import Selection
    from rlvr_harness.scoring import ScorerOptions

PER_PROBLEM = 8
SHARED = (
    click.option("--models", default="", metavar="A,B", help="models that score (default: all of the run)"),
    click.option("-L", "--limit", type=click.IntRange(min=1), help="only the first N problems of each task"),
    click.option(
        "--per_problem",
        type=click.IntRange(min=1),
        default=PER_PROBLEM,
        show_default=True,
        help="samples of each problem, the same indices of every model",
    ),
    click.option("--batch_size", type=click.IntRange(min=1), help="texts at once (default: from memory)"),
    click.option("--device", help="cpu, cuda, cuda:1, ... (default: as the run)"),
    click.option("--sampler", help="engine that scores: hf, vllm, ... (default: that of the run)"),
    click.option("-a", "--model_args", default="", metavar="K=V,...", help="further arguments of the engine"),
    click.option(
        "--checkpoint",
        multiple=True,
        metavar="ROLE=PATH",
        help="weights of a model that the run knows by a server only (repeatable)",
    ),
)


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(SHARED):
        command = option(command)
    return command


def _selection(options: dict[str, Any]) -> Selection:
    from rlvr_harness.scored_samples import Selection

    return Selection(options["per_problem"], options["limit"])


def _scorers(options: dict[str, Any]) -> ScorerOptions:
    from rlvr_harness.given_pairs import named_option, pairs_option
    from rlvr_harness.scoring import ScorerOptions

    return ScorerOptions(
        sampler=options["sampler"],
        device=options["device"],
        batch_size=options["batch_size"],
        model_args=pairs_option("--model_args", options["model_args"]),
        checkpoints=named_option("--checkpoint", options["checkpoint"]),
    )


@click.command("ppl")
@click.argument("folder", type=FOLDER)
@click.option("--text", type=FILE, help="JSONL with texts of a third party: problem_id, text and, if wanted, name")
@click.option("--of", default="", metavar="A,B", help="models whose samples are scored (default: all of the run)")
@_shared
def ppl_command(folder: Path, text: Path | None, of: str, models: str, **options: Any) -> None:
    """Perplexity of each model's samples, and of a third party's texts, under every model of the run of FOLDER."""
    from rlvr_harness import analysing

    wish = {"models": names(models), "of": names(of)}
    for line in analysing.ppl(folder, wish, text, _selection(options), _scorers(options)):
        click.echo(line)


@click.command("entropy")
@click.argument("folder", type=FOLDER)
@click.option("--match", is_flag=True, help="find the model's temperature of equal entropy and compare there")
@click.option(
    "--match_problems", type=click.IntRange(min=2), default=64, show_default=True, help="problems it is sought on"
)
@click.option("--match_samples", type=click.IntRange(min=1), default=4, show_default=True, help="texts of each of them")
@click.option("-o", "--output_path", type=FOLDER, help="folder of the matched run (default: FOLDER-matched)")
@_shared
def entropy_command(folder: Path, match: bool, models: str, **options: Any) -> None:
    """Token entropy of each model of the run of FOLDER on its own samples, by teacher forcing."""
    from rlvr_harness import analysing

    selection, scorers = _selection(options), _scorers(options)
    if match:
        wish = analysing.MatchOptions(options["match_problems"], options["match_samples"], options["output_path"])
        lines = analysing.match(folder, selection, scorers, wish)
    else:
        lines = analysing.entropy(folder, names(models), selection, scorers)
    for line in lines:
        click.echo(line)
