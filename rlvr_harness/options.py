"""Command-line options: those made from RunSpec, so that each is named once, and those that commands share."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from rlvr_harness.run_spec import RunSpec, read_spec_file

FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
QUIET = click.option("--quiet", is_flag=True, help="no progress on stderr")
WITHOUT = click.option("--without", default="", metavar="A,B", help="plugins to leave out")
INCLUDE = click.option("--include_path", type=FOLDER, help="folder with lm-eval task YAML of your own")
METRIC = click.option("--metric", help="lm-eval tasks: the metric that judges, NAME or NAME,FILTER")
THRESHOLD = click.option("--threshold", type=float, help="lm-eval tasks: score from which on a sample is right")
SANDBOX = click.option("--sandbox", default="local", show_default=True, help="where programs of code tasks run")
LEVEL = click.option(
    "--sandbox_level", type=click.IntRange(0, 3), default=3, show_default=True, help="least isolation for them"
)
MACHINES = ("executor", "executor_args", "device", "workers", "without")
"""Options of a run that `resume` and `topup` take too: where, and beside which plugins, is no part of what a run is."""
NEEDLESS = {"--log_samples": "taken as in lm-eval, and needless: every sample is stored"}
"""Flags of lm-eval that are taken and change nothing."""
LEAD = "difference in pass@k that the run should be able to show"
CONTEXT = {"help_option_names": ["-h", "--help"], "token_normalize_func": lambda token: token.replace("-", "_")}
SHORT = {"output_path": ("-o",), "limit": ("-L",), "tasks": ("-t",), "model_args": ("-a",), "device": ("--devices",)}


class Commands(click.Group):
    """Commands are listed in the order of a user's path, and `new-plugin` equals `new_plugin`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In order of definition."""
        return list(self.commands)


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds every RunSpec field as an option, unset ones absent from the keyword arguments."""
    for name, field in reversed(RunSpec.model_fields.items()):
        command = click.option(*_declarations(name), **_settings(name, field))(command)
    config = click.option(
        "--config", type=click.Path(path_type=Path), help="YAML file of these options; flags win over it"
    )
    for flag, reason in NEEDLESS.items():
        command = click.option(flag, is_flag=True, expose_value=False, help=reason)(command)
    return config(command)


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options on where the work is done; unset ones are absent from the keyword arguments' `given_options`."""
    for name in reversed(MACHINES):
        command = click.option(*_declarations(name), **_settings(name, RunSpec.model_fields[name]))(command)
    return command


def given_options(flags: dict[str, Any]) -> dict[str, Any]:
    """The options a user gave: those of --config, then the flags over them."""
    config = flags.pop("config", None)
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    return {**(read_spec_file(config) if config else {}), **given}


def _declarations(name: str) -> tuple[str, ...]:
    return (*SHORT.get(name, ()), f"--{name}", name)


def _settings(name: str, field: FieldInfo) -> dict[str, Any]:
    kind = _plain_type(field.annotation)
    settings: dict[str, Any] = {"help": _help(field), "default": None}
    if kind is bool:
        return {**settings, "is_flag": True, "flag_value": True, "type": bool}
    if name == "batch_size":
        return {**settings, "type": _rows, "metavar": "N"}
    if name == "also":
        return {**settings, "multiple": True, "metavar": "NAME=PATH", "default": ()}
    if kind in (int, float):
        return {**settings, "type": kind}
    return {**settings, "type": str, "metavar": _metavar(name)}


def _rows(text: str) -> int | None:
    """The number, or None for lm-eval's `auto` and `auto:N`, which is what no number means here."""
    return None if text.partition(":")[0] == "auto" else int(text)


def _metavar(name: str) -> str:
    if name.endswith(("_args", "_kwargs")):
        return "K=V,..."
    return {"tasks": "A,B", "without": "A,B", "data_dir": "DIR", "include_path": "DIR", "output_path": "DIR"}.get(
        name, name.upper()
    )


def _plain_type(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    plain = field.default
    return f"{text} [{plain}]" if isinstance(plain, int | str) and not isinstance(plain, bool) else text
