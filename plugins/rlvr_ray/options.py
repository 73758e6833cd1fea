"""What `--executor_args` may say, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rlvr_harness import UsageError

WAIT_S = 60.0
"""How long machines of a cluster may take to become free: an actor of a run that has just ended needs a moment."""
RESTARTS = 3


@dataclass(frozen=True)
class RayOptions:
    """None stands for what depends on the cluster: an actor for each GPU, one verifier actor for each node."""

    address: str | None = None
    sampler_actors: int | None = None
    gpus_per_actor: float | None = None
    cpus_per_actor: float | None = None
    verifier_actors: int | None = None
    restarts: int = RESTARTS
    wait_s: float = WAIT_S

    @property
    def threads(self) -> int:
        """CPU threads of one engine."""
        return max(1, math.ceil(self.cpus_per_actor or 1))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: Any) -> bool:
    """Ray takes shares of one CPU or GPU, and whole numbers above one."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return number and (value <= 1 or value == int(value))


RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "address": (lambda value: isinstance(value, str) and bool(value), "HOST:PORT, auto or local"),
    "sampler_actors": (lambda value: _is_count(value) and value > 0, "a whole number from 1 on"),
    "gpus_per_actor": (_is_share, "0, a share below 1, or a whole number"),
    "cpus_per_actor": (_is_share, "0, a share below 1, or a whole number"),
    "verifier_actors": (_is_count, "a whole number; 0 verifies on this machine"),
    "restarts": (_is_count, "a whole number"),
    "wait_s": (lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value >= 0, "seconds"),
}


def ray_options(args: Mapping[str, Any]) -> RayOptions:
    """The options. Raises UsageError naming what is unknown or out of range."""
    if unknown := sorted(set(args) - set(RULES)):
        raise UsageError(f"--executor_args: unknown {', '.join(unknown)}; known are {', '.join(sorted(RULES))}")
    for name, value in args.items():
        allowed, what = RULES[name]
        if not allowed(value):
            raise UsageError(f"--executor_args: {name}={value} is not {what}")
    address = args.get("address")
    if address is not None and "://" in address:
        raise UsageError(
            f"--executor_args: address={address} is Ray's client protocol, through which no run goes; start the run on "
            "a machine of the cluster with address=auto, or with `ray job submit`"
        )
    return RayOptions(**args)
