"""What a judge is asked, what a box is given, what comes back, and what the judge says. All frozen, all plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Style(StrEnum):
    """How a program is used: its entry point is called once per test, or it is run once per test on standard input."""

    FUNCTION = "function"
    STDIN = "stdin"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one program. `cpu_s` is per test, `total_cpu_s` for all tests of a program together.

    Wall time is bounded by `wall_factor` times each of the two plus `wall_slack_s`; time in which the program waits for
    a processor, or for the judge to take its answers, does not count.
    """

    cpu_s: float = 6.0
    wall_factor: float = 3.0
    wall_slack_s: float = 2.0
    total_cpu_s: float = 60.0
    memory_mb: int = 4096
    """Over the whole process tree of the program."""
    processes: int = 32
    open_files: int = 128
    file_mb: int = 16
    disk_mb: int = 64
    """Size of the program's own temporary folder, its only writable place."""
    output_bytes: int = 1 << 20
    """Bytes kept of a test's output; a judge asks for more where the expected output is itself large."""


@dataclass(frozen=True)
class CodeTask:
    """A problem as the judge holds it. `inputs` are argument lists (function) or texts (stdin), `expected` the answers.

    `oracle` names one of `rlvr_sandbox.oracles`; `settings` are what that oracle needs beyond the answers. `prelude` is
    source run before the program, in the same namespace. `limits_s`: CPU seconds per test, one for each input, or empty
    for `limits.cpu_s` throughout. `entry` is a function's name, or `Solution.name` for a method of a class.
    """

    name: str
    style: Style
    inputs: Sequence[Any]
    expected: Sequence[Any]
    entry: str | None = None
    oracle: str = "exact"
    settings: Mapping[str, Any] = field(default_factory=dict)
    prelude: str = ""
    limits: Limits = field(default_factory=Limits)
    limits_s: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """What a box is given: everything about a program but the answers.

    `inputs`: as `jail.given` reads them (function) or raw (stdin).
    """

    program: bytes
    style: Style
    inputs: Sequence[bytes]
    cpu_s: Sequence[float]
    """CPU seconds for each test."""
    output_caps: Sequence[int]
    """Bytes kept for each test; more than that ends it with `Exit.OUTPUT`."""
    limits: Limits
    entry: str | None = None
    prelude: bytes = b""


class Exit(StrEnum):
    """How one test ended, as the supervisor saw it, never as the program said it."""

    RETURNED = "returned"
    """An output arrived in time: a frame of the result stream, or standard output of a stdin program that ended."""
    RAISED = "raised"
    """The program raised, or could not be compiled, or has no such entry; `detail` is the exception's type."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    DIED = "died"
    """The process ended without an answer: exit, signal, crash."""
    LOST = "lost"
    """The machine's fault, not the program's: the box must be replaced and the job run again."""


class TestRun(NamedTuple):
    """One test as it went. `output` is what the program made of it: bytes to distrust. `detail` is a short text."""

    exit: Exit
    output: bytes = b""
    detail: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0


class Ruling(StrEnum):
    """The judge's word. VOID means that the harness failed, never the program."""

    PASS = "pass"
    FAIL = "fail"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A ruling with its reason: `passed`, or why not (`wrong_answer`, `timeout`, `raised: ValueError`, ...)."""

    ruling: Ruling
    reason: str
    level: int
    seconds: float
    test: int | None = None
    """Index of the first test that failed."""
