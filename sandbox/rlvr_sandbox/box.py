"""The one interface of every backend: boxes move bytes, the judge decides. A box never learns an expected answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rlvr_sandbox.records import Job, TestRun

Accept = Callable[[int, TestRun], bool]
"""Called in the judge's process with (test index, its run), in order, as each test ends; False ends the program."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What a machine can give. Levels: 3 namespaces and seccomp, 2 own uid, seccomp, rlimits, 1 rlimits only, 0 none.

    `mechanisms` names what is used (`user_ns`, `pid_ns`, `seccomp`, `landlock`, ...); `missing` says of each absent one
    why, and `advice` what the user can do about it. Level 0 means that the backend does not work here at all.
    """

    level: int
    mechanisms: Sequence[str] = ()
    missing: Sequence[str] = ()
    advice: str = ""


class Box(Protocol):
    """One worker: runs one program at a time, each in a fresh confined place. Used by one thread at a time."""

    @property
    def level(self) -> int:
        """Isolation level of the programs it runs."""

    @property
    def alive(self) -> bool:
        """False when it must be replaced (a process of the box died, its pipe broke, or it is worn out)."""

    def run(self, job: Job, accept: Accept) -> None:
        """Runs the tests in order, telling `accept` of each, until it says False or a test does not end in RETURNED.

        After a function program's test that is not RETURNED no further test is run. When the box itself fails, the
        last call has `Exit.LOST`. Returns when nothing that the program started is alive and no file of it is left.
        """

    def close(self) -> None:
        """Ends every process of the box; safe to call twice, and after a failure."""


@runtime_checkable
class Backend(Protocol):
    """A way to make boxes."""

    @property
    def name(self) -> str:
        """`local`, `bwrap`, `docker`, `unsafe` or a plugin's own."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    def isolation(self) -> Isolation:
        """What this backend can give on this machine; probed by trying, cached, never raises."""

    def open(self) -> Box:
        """A new box. Raises `SandboxUnavailable` with the reason and the way out."""
