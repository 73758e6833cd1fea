"""`--devices`: what each model works on. `0,1` is for all models in turn, `0/1` gives each devices of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_harness.errors import UsageError

BETWEEN_MODELS = "/"
ROUNDING_ALIKE = ("cpu", "cuda")
"""Kinds of devices that a run's record is compared by; other records name servers or files."""


def is_side_by_side(device: str | None) -> bool:
    """Whether the models are sampled at the same time."""
    return BETWEEN_MODELS in (device or "")


def device_of_each(device: str | None, roles: Sequence[str]) -> dict[str, str | None]:
    """Role -> its devices: "0,1/2" for base and model -> {"base": "0,1", "model": "2"}; without `/` all have the same.

    Raises ValueError where groups and models differ in number, and for a GPU in two groups.
    """
    if device is None or not is_side_by_side(device):
        return dict.fromkeys(roles, device)
    groups = [",".join(_names(group)) for group in device.split(BETWEEN_MODELS)]
    order = ", ".join(roles)
    if len(groups) != len(roles) or not all(groups):
        raise ValueError(
            f"--devices {device} names {sum(map(bool, groups))} group(s) of devices, and the run has {len(roles)} "
            f"model(s): {order}; name a group for each, in this order, with / between them, or one for all without /"
        )
    uses = Counter(name for group in groups for name in {_full(each) for each in _names(group)})
    if twice := sorted(name for name, count in uses.items() if count > 1 and name != "cpu"):
        raise ValueError(
            f"--devices {device} gives {twice[0]} to {uses[twice[0]]} models; side by side ({order}) each needs "
            "devices of its own, or leave out / to sample one model after the other"
        )
    return dict(zip(roles, groups, strict=True))


def kinds_of(device: str | None) -> str | None:
    """What decides on rounding: "0,1/2" -> "cuda", "cpu" -> "cpu"; None where the engine chooses."""
    if device is None:
        return None
    kinds = {_full(name).partition(":")[0] for group in device.split(BETWEEN_MODELS) for name in _names(group)}
    return ",".join(sorted(kinds))


def check_kinds(device: str | None, record: Mapping[str, Any]) -> None:
    """Raises UsageError where a run that goes on was sampled on another kind of device: its record is run.json."""
    facts = [str(model.get("device", "")) for model in record.get("models", {}).values()]
    before = {name.partition(":")[0].split()[0] for text in facts for name in _names(text)} & set(ROUNDING_ALIKE)
    now = set((kinds_of(device) or "").split(",")) & set(ROUNDING_ALIKE)
    if before and now - before:
        raise UsageError(
            f"--devices {device}: the samples of this run were drawn on {' and '.join(sorted(before))}, and another "
            f"kind of device rounds otherwise; name such devices, or begin a run with -o"
        )


def _names(group: str) -> list[str]:
    return [name.strip() for name in group.split(",") if name.strip()]


def _full(name: str) -> str:
    """ "0" -> "cuda:0", "cuda" -> "cuda:0", "cpu" -> "cpu"."""
    if name.isdecimal():
        return f"cuda:{int(name)}"
    return f"{name}:0" if name == "cuda" else name
