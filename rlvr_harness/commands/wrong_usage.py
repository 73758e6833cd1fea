"""Wrong usage in one line: click's own message without its usage text, and what lm-eval's flags are called here."""

from __future__ import annotations

import click

from rlvr_harness.lm_eval_words import FLAGS, hint_of


def line_of(error: click.ClickException) -> str:
    """What is wrong with the command line, and which `--help` tells more."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.NoSuchOption):
        message += hint_of(FLAGS, error.option_name.replace("-", "_").replace("__", "--", 1))
    return f"{message}; see `{context.command_path} --help`" if context is not None else message
