"""The line of OpenRLHF's log that ends a global step."""

from __future__ import annotations

import ast
import math
import re

from rlvr_harness import TrainingProgress

# INFO 11-21 10:00:00 ppo_trainer.py:430] ✨ Global step 3: {'policy_loss': 0.01, 'kl': 0.0, 'reward': 0.5}
_STEP = re.compile(r"Global step (\d+): (\{.*\})")
# Python's repr of a float that is no number is no literal.
_NO_NUMBER = re.compile(r"(?<![\w'\"])-?(?:nan|inf)(?![\w'\"])")
# Whole tensors and NumPy scalars are printed by their repr: tensor(0.5, device='cuda:0').
_BOXED = re.compile(r"\b(?:tensor|(?:np|numpy)\.float\d+)\(([-+\d.e]+|-?nan|-?inf)\b[^()]*\)")
_NAMES = {
    "rollout/reward_mean": "reward",
    "kl": "kl",
    "entropy_loss": "entropy",
    "void": "void",
    "rollout/response_length_mean": "response_length",
    "rollout/truncated_rate": "truncated",
    "dynamic_filtering_pass_rate": "filter_pass_rate",
    "timing/step_total": "step_s",
}


def progress_of(line: str) -> TrainingProgress | None:
    """None for every other line. Numbers that several backends tell have the harness's names, others OpenRLHF's."""
    match = _STEP.search(line)
    if match is None:
        return None
    try:
        told = ast.literal_eval(_NO_NUMBER.sub("None", _BOXED.sub(r"\1", match[2])))
    except (ValueError, SyntaxError):
        return None
    if not isinstance(told, dict):
        return None
    numbers = {
        _NAMES.get(name, name): float(value)
        for name, value in told.items()
        if isinstance(name, str) and isinstance(value, int | float) and math.isfinite(value)
    }
    return TrainingProgress(int(match[1]), numbers)
