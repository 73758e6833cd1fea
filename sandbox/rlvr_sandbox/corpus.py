"""Runs a folder of attacks, honest and wrong programs through a judge, each on a stage that shows its doings."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_sandbox.box import Backend
from rlvr_sandbox.cache import Cache
from rlvr_sandbox.errors import TaskInvalid
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.records import CodeTask, Judgement, Limits, Ruling
from rlvr_sandbox.stage import Stage, open_stage
from rlvr_sandbox.task_files import read_json, read_program, read_tasks, task_of
from rlvr_sandbox.watching import Peak, adopt_orphans, descendants, wait_until_gone, watched

_CHECKS = frozenset({
    "no_drop", "no_connect", "witness_alive", "no_survivor", "deadline", "next_ok", "judge_alive", "mem_cap",
    "pids_cap", "disk_cap", "no_mount", "no_cgroup", "no_core", "no_poison",
})  # fmt: skip
_EXPECTATIONS = ("pass", "fail", "any")
# What a machine under load adds to a verdict; the supervisor's own and the stage's processes; pages that a fork copies.
_LATE_S, _MORE_PROCESSES, _MORE_MB = 4.0, 8, 384.0
# Other programs of the machine use its tmpfs too; the fillers of the corpus write twice as much.
_MORE_TMPFS_MB = 900.0
_GONE_S = 2.0


@dataclass(frozen=True, slots=True)
class Program:
    """A line of the manifest."""

    file: str
    kind: str
    task: str
    expect: str
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """How a program was judged and what it broke. `problem` is empty where all is as it should be."""

    program: Program
    judgement: Judgement
    breaches: tuple[str, ...]

    @property
    def problem(self) -> str:
        """`accepted`, `refused`, `void`, or `contained not: ...`."""
        wrong = {"pass": Ruling.FAIL, "fail": Ruling.PASS}.get(self.program.expect)
        if self.judgement.ruling is Ruling.VOID:
            return f"void: {self.judgement.reason}"
        if self.judgement.ruling is wrong:
            return "accepted" if wrong is Ruling.PASS else "refused"
        return f"not contained: {', '.join(self.breaches)}" if self.breaches else ""

    def row(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "file": self.program.file,
            "kind": self.program.kind,
            "task": self.program.task,
            "expect": self.program.expect,
            "verdict": self.judgement.ruling.value,
            "reason": self.judgement.reason,
            "level": self.judgement.level,
            "seconds": round(self.judgement.seconds, 3),
            "breaches": list(self.breaches),
            "problem": self.problem,
        }


class Corpus:
    """A folder with `manifest.json`, `tasks.json` and the programs that the manifest names."""

    def __init__(self, folder: Path) -> None:
        """Reads and checks the manifest and the tasks. Raises TaskInvalid."""
        self.folder = folder
        self.tasks = read_tasks(folder / "tasks.json")
        content = read_json(folder / "manifest.json")
        rows = content.get("programs") if isinstance(content, dict) else None
        if not isinstance(rows, list) or not rows:
            raise TaskInvalid(f"{folder / 'manifest.json'} lists no programs")
        self.programs = [self._program(row) for row in rows]
        self.sources = {program.file: read_program(folder / program.file) for program in self.programs}
        self._honest = next((program for program in self.programs if program.kind == "correct"), None)

    def unknown_checks(self) -> set[str]:
        """Checks that the manifest names and nobody here knows how to look at."""
        return {check for program in self.programs for check in program.checks} - _CHECKS

    def _program(self, row: Mapping[str, Any]) -> Program:
        try:
            program = Program(row["file"], row["kind"], row["task"], row["expect"], tuple(row.get("checks", ())))
        except (KeyError, TypeError, AttributeError) as error:
            raise TaskInvalid(f"manifest.json: {row!r} is no program: {error!r}") from error
        if program.expect not in _EXPECTATIONS:
            raise TaskInvalid(f"manifest.json: {program.file}: expect is {program.expect!r}, not pass, fail or any")
        self.task(program)
        return program

    def task(self, program: Program, secret: str = "@SECRET@") -> CodeTask:
        """The program's task. Raises TaskInvalid."""
        if program.task not in self.tasks:
            raise TaskInvalid(f"manifest.json: {program.file}: tasks.json has no task {program.task!r}")
        return task_of(program.task, self.tasks[program.task], secret)

    def run(self, backend: str | Backend, level: int) -> Iterator[Result]:
        """Judges the programs one after another on one box, as they stand in the manifest. Nothing is cached.

        Raises SandboxUnavailable, and SandboxError where the stage cannot be set up.
        """
        adopt_orphans()
        with open_stage() as stage, Judge(backend, workers=1, level=level, cache=Cache(0)) as judge:
            stage.set_up()
            if self._honest is not None:
                self._next_passes(judge)  # opens the box, so that its processes are not taken for the program's
            for program in self.programs:
                yield self._run_one(program, stage, judge)

    def _next_passes(self, judge: Judge) -> bool:
        """Whether an honest program passes now; so it counts where the corpus has none."""
        honest = self._honest
        if honest is None:
            return True
        return judge.judge(self.sources[honest.file], self.task(honest)).ruling is Ruling.PASS

    def _run_one(self, program: Program, stage: Stage, judge: Judge) -> Result:
        stage.set_up()
        task, source = self.task(program, stage.secret), self.sources[program.file]
        before = len(descendants())
        with watched() as peak:
            started = time.monotonic()
            judgement = judge.judge(source, task)
            seconds = time.monotonic() - started
        breaches = stage.breaches(source)
        breaches += _excesses(peak, before, task.limits)
        if "deadline" in program.checks and seconds > _deadline_s(task):
            breaches.append("deadline")
        if program.kind == "containment" or program.checks:
            breaches += [] if wait_until_gone(before, _GONE_S) else ["no_survivor"]
            breaches += [] if self._next_passes(judge) else ["next_ok"]
        return Result(program, judgement, tuple(breaches))


def _deadline_s(task: CodeTask) -> float:
    """When a verdict on a program that hangs must be there. It is run twice."""
    return 2 * (task.limits.wall_factor * task.limits.cpu_s + task.limits.wall_slack_s) + _LATE_S


def _excesses(peak: Peak, before: int, limits: Limits) -> list[str]:
    found = {
        "mem_cap": peak.memory_mb > limits.memory_mb + _MORE_MB,
        "pids_cap": peak.processes - before > limits.processes + _MORE_PROCESSES,
        "disk_cap": peak.tmpfs_mb > limits.disk_mb + _MORE_TMPFS_MB,
    }
    return [name for name, exceeded in found.items() if exceeded]


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Counts: programs by kind, attacks and wrong programs accepted, right ones refused, void, not contained."""
    problems = Counter(result.problem.partition(":")[0] for result in results if result.problem)
    return {
        "programs": dict(Counter(result.program.kind for result in results)),
        "accepted": problems["accepted"],
        "refused": problems["refused"],
        "void": problems["void"],
        "not_contained": sum(bool(result.breaches) for result in results),
        "unsound": sum(bool(result.problem) for result in results),
    }
