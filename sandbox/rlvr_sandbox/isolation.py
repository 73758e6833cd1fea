"""What isolation this machine gives, found by trying the ways in turn, best first, and saying why each one failed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr_sandbox.backends.stream import StreamBox
from rlvr_sandbox.box import Isolation
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.records import Exit, Job, Limits, Style, TestRun

NOT_LINUX = "it needs Linux; use the `docker` backend on this system"
_ADVICE = (
    "For level 3 allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0), or use the `docker` backend"
)
# Reads the interpreter's files from inside, which the zygote need not have done.
_TRIAL = Job(b"import wave\nprint(input()[::-1])\n", Style.STDIN, [b"abc"], [10.0], [1000], Limits())


@dataclass(frozen=True, slots=True)
class Found:
    """The way that works, or None, and what it gives."""

    way: Mapping[str, Any] | None
    isolation: Isolation


def first_that_works(
    ways: Callable[[], Sequence[Mapping[str, Any]]], start: Callable[[Mapping[str, Any]], StreamBox]
) -> Found:
    """The first way in which a zygote starts and runs a trial program; level 0 when there is no such way."""
    if not sys.platform.startswith("linux"):
        return Found(None, Isolation(0, missing=[NOT_LINUX], advice="Use the `docker` backend"))
    missing: list[str] = []
    try:
        for way in ways():
            try:
                box = start(way)
            except (SandboxUnavailable, OSError) as error:
                missing.append(f"{way['confinement']}: {error}")
                continue
            fault = trial_fault(box)
            box.close()
            if fault:
                missing.append(f"{way['confinement']}: a trial program did not run: {fault}")
                continue
            level = box.hello.level
            missing += box.hello.missing
            return Found(way, Isolation(level, box.hello.mechanisms, missing, "" if level == 3 else _ADVICE))
    except SandboxUnavailable as error:
        return Found(None, Isolation(0, missing=[str(error)], advice="Use the `local` or the `docker` backend"))
    return Found(None, Isolation(0, missing=missing, advice=_ADVICE))


def trial_fault(box: StreamBox) -> str:
    """What went wrong with a program that reverses a line; empty when nothing did."""
    seen: list[TestRun] = []

    def keep(_: int, run: TestRun) -> bool:
        seen.append(run)
        return True

    box.run(_TRIAL, keep)
    if len(seen) == 1 and seen[0].exit is Exit.RETURNED and seen[0].output == b"cba\n":
        return ""
    return ", ".join(f"{run.exit}: {run.detail}" for run in seen) or "no answer"
