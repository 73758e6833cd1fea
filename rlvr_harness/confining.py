"""Where programs that a model wrote may run: decided before the first sample, refused where it is not safe enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr_harness.contracts import Verifier
from rlvr_harness.errors import UsageError
from rlvr_harness.registry import Registry
from rlvr_harness.requests import SandboxChoice
from rlvr_harness.sandbox_contracts import Isolation, Sandbox, SandboxedVerifier

UNSAFE = "unsafe"
"""The one sandbox that is exempt from levels: who asks for it by this name has been told what it is."""


@dataclass(frozen=True)
class Confined:
    """A verifier that runs programs, and the sandbox that was found good enough for them."""

    verifier: Verifier
    sandbox: Sandbox
    isolation: Isolation
    asked_level: int

    def as_data(self) -> dict[str, Any]:
        """For run.json and results.json."""
        return {
            "name": self.sandbox.name,
            "level": self.isolation.level,
            "asked_level": self.asked_level,
            "mechanisms": list(self.isolation.mechanisms),
            "missing": list(self.isolation.missing),
        }

    def notes(self) -> list[str]:
        """What a user must know of it."""
        if self.sandbox.name == UNSAFE:
            return ["sandbox 'unsafe': programs that the models wrote run with all the rights of this user"]
        if self.isolation.level < SandboxChoice().level:
            return [f"sandbox '{self.sandbox.name}' isolates programs at level {self.isolation.level} of 3 only"]
        return []


def confine(verifier: Verifier, registry: Registry, choice: SandboxChoice) -> Confined | None:
    """The verifier bound to the sandbox asked for; None for one that runs no programs.

    Raises UsageError with the reason and the way out where the sandbox is below the level asked for.
    """
    if not isinstance(verifier, SandboxedVerifier):
        return None
    sandbox: Sandbox = registry.get("sandbox", choice.name)
    isolation = sandbox.isolation()
    if sandbox.name != UNSAFE and isolation.level < max(1, choice.level):
        raise UsageError(_refusal(sandbox, isolation, choice))
    return Confined(verifier.in_sandbox(sandbox, choice.level), sandbox, isolation, choice.level)


def _refusal(sandbox: Sandbox, isolation: Isolation, choice: SandboxChoice) -> str:
    missing = "; ".join(isolation.missing) or "it does not say why"
    other = "docker" if sandbox.name != "docker" else "local"
    lower = f", or accept less with --sandbox_level {isolation.level}" if isolation.level else ""
    advice = f" {isolation.advice.rstrip('.')}." if isolation.advice else ""
    return (
        f"sandbox '{sandbox.name}' reaches isolation level {isolation.level} of {max(1, choice.level)} asked for: "
        f"{missing}.{advice} Way out: --sandbox {other}{lower}"
    )
