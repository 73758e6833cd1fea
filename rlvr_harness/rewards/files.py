"""Reward files for training frameworks: a few lines of Python that call the verifier which judges evaluations."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from rlvr_harness.errors import UsageError
from rlvr_harness.rewards.opening import RewardSpec

FUNCTIONS: Mapping[str, tuple[str, str]] = {
    "openrlhf": ("openrlhf_function", "reward_func"),
    "trl": ("trl_function", "rlvr_reward"),
    "verl": ("verl_function", "compute_score"),
}
"""Framework -> the function of `rewards.calling` that makes its reward, and the name it has in the file."""
_FILE = '''"""Reward of {tasks} for {framework}, by rlvr-harness {version}: {name}({arguments}).

A label is the problem as `rlvr_harness.rewards.labels.label_of` writes it.
"""

import json

from rlvr_harness.rewards.calling import {maker}

SPEC = json.loads({spec})
{name} = {maker}(SPEC)
'''
_ARGUMENTS = {
    "openrlhf": "queries, prompts, labels",
    "trl": "completions, label",
    "verl": "data_source, solution_str, ground_truth",
}


def reward_file(framework: str, spec: RewardSpec, version: str) -> str:
    """The text of the file. Raises UsageError for a framework that is not known."""
    if framework not in FUNCTIONS:
        raise UsageError(f"no reward format '{framework}'; there are: {', '.join(FUNCTIONS)}")
    maker, name = FUNCTIONS[framework]
    return _FILE.format(
        tasks=", ".join(json.dumps(task)[1:-1] for task in spec.verifiers),
        framework=framework,
        version=version,
        maker=maker,
        name=name,
        arguments=_ARGUMENTS[framework],
        spec=repr(json.dumps(spec.as_data())),
    )


def write_whole(path: Path, text: str) -> None:
    """Writes the file all at once. Raises UsageError where it cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; choose another path with -o") from error
