"""What a sandbox promises the core, and a verifier that needs one. Part of `contracts`, kept apart for its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from rlvr_harness.contracts import Verifier


class Isolation(Protocol):
    """What a sandbox gives on this machine. Level 3: namespaces and seccomp; 2: own uid, seccomp; 1: limits; 0: none.

    `mechanisms` names what is used, `missing` says of each absent one why, `advice` what the user can do about it.
    """

    @property
    def level(self) -> int:
        """0 where the sandbox does not work at all."""

    @property
    def mechanisms(self) -> Sequence[str]:
        """Such as `user_ns`, `seccomp`."""

    @property
    def missing(self) -> Sequence[str]:
        """One reason each."""

    @property
    def advice(self) -> str:
        """Empty where there is none."""


@runtime_checkable
class Sandbox(Protocol):
    """Runs untrusted programs; a backend as `rlvr_sandbox.box.Backend` describes it. Must pickle: workers open it."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    def isolation(self) -> Isolation:
        """What it gives on this machine, found by trying; never raises."""

    def open(self) -> Any:
        """A new box, as `rlvr_sandbox.box.Box` describes it."""


@runtime_checkable
class SandboxedVerifier(Protocol):
    """A verifier that runs what a model wrote; the core tells it where, once that is known to be safe."""

    def in_sandbox(self, sandbox: Sandbox, level: int) -> Verifier:
        """The same verifier for programs in that sandbox, none of which may run below that isolation level."""
