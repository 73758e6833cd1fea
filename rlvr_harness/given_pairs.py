"""Options of the form key=value,... of commands that take no RunSpec; the temperature of each model of a RunSpec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlvr_harness.errors import UsageError
from rlvr_harness.requests import check_law
from rlvr_harness.run_spec import SAMPLING_DEFAULTS, RunSpec, parse_named, parse_pairs


def pairs_option(flag: str, text: str) -> dict[str, Any]:
    """`a=1,b=x` -> {"a": 1, "b": "x"}; raises UsageError naming the flag."""
    try:
        pairs: Any = parse_pairs(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error
    if not isinstance(pairs, dict):
        raise UsageError(f"{flag}: give key=value,...")
    return pairs


def named_option(flag: str, items: Sequence[str]) -> dict[str, str]:
    """["a=x", "b=y"] -> {"a": "x", "b": "y"}; raises UsageError naming the flag."""
    try:
        return dict(parse_named(list(items)))
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def law_option(text: str) -> dict[str, Any]:
    """Fields of a SamplingLaw; raises UsageError for what is none, or outside its range."""
    given = pairs_option("--gen_kwargs", text)
    known = {*SAMPLING_DEFAULTS, "max_gen_toks"}
    if unknown := sorted(set(given) - known):
        raise UsageError(f"--gen_kwargs: unknown {unknown[0]}; known are {', '.join(sorted(known))}")
    try:
        check_law(given)
    except ValueError as error:
        raise UsageError(f"--{error}") from error
    return given


def temperature_of_each(spec: RunSpec) -> dict[str, float]:
    """Role -> temperature that the model is sampled at."""
    shared = float(spec.gen_kwargs.get("temperature", SAMPLING_DEFAULTS["temperature"]))
    return {role: float(spec.temperatures.get(role, shared)) for role in spec.models}
