"""One judge, many programs, a tenth of them hostile: does anything leak, and do the verdicts stay what they were?

    PYTHONPATH=sandbox python benchmarks/sandbox_soak.py ATTACKS [--programs 20000] [--backend local]

ATTACKS is a folder of programs with tasks.json and manifest.json. Every program of it is judged once; those over in
`QUICK_S` are then judged again and again under ever new comments, so that no verdict comes from the cache. Every tenth
verdict is asked for a second time. Ends with exit code 1 when a verdict changed, one was void, or processes,
descriptors, memory or files are left that were not there after the first thousand programs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_sandbox import CodeTask, Judge, Ruling
from rlvr_sandbox.task_files import read_program, read_tasks, task_of
from rlvr_sandbox.watching import descendants

QUICK_S = 0.5
HOSTILE = ("verdict", "containment")
WARM_UP = 1000
MEMORY_SLACK_MB = 64


@dataclass(frozen=True)
class Known:
    """A program with the ruling that it got the first time."""

    kind: str
    text: str
    task: CodeTask
    ruling: Ruling


@dataclass(frozen=True)
class Held:
    """What this process and its children hold at one moment."""

    processes: int
    descriptors: int
    memory_mb: float
    files: int

    @classmethod
    def now(cls) -> Held:
        """Counted from /proc, the sandbox's folders in the temporary folder, and shared memory."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        files = [*Path(tempfile.gettempdir()).glob("rlvr-sandbox-*"), *Path("/dev/shm").iterdir()]
        return cls(len(descendants()), descriptors, memory, len(files))

    def excess(self, before: Held) -> list[str]:
        """What is held now and was not before, beyond what a process may keep for itself."""
        found = []
        for name, slack in (("processes", 0), ("descriptors", 0), ("memory_mb", MEMORY_SLACK_MB), ("files", 0)):
            was, now = getattr(before, name), getattr(self, name)
            if now > was + slack:
                found.append(f"{name}: {was:,.0f} before, {now:,.0f} now")
        return found


def known_programs(folder: Path, judge: Judge) -> list[Known]:
    """Every program of the folder with its first ruling, the slow ones left out."""
    tasks = read_tasks(folder / "tasks.json")
    found = []
    for row in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["programs"]:
        task, text = task_of(row["task"], tasks[row["task"]]), read_program(folder / row["file"])
        judgement = judge.judge(text, task)
        wanted = {"pass": Ruling.PASS, "fail": Ruling.FAIL}.get(row["expect"], judgement.ruling)
        if judgement.ruling is not wanted:
            sys.exit(f"{row['file']}: {judgement.ruling} ({judgement.reason}), not {wanted}")
        if judgement.seconds < QUICK_S:
            found.append(Known(row["kind"], text, task, judgement.ruling))
    return found


def stream(programs: Sequence[Known], count: int) -> Iterator[Known]:
    """`count` programs, every tenth of them hostile, in a fixed random order; no text occurs twice."""
    chosen = random.Random(0)
    hostile = [program for program in programs if program.kind in HOSTILE]
    honest = [program for program in programs if program.kind not in HOSTILE]
    for number in range(count):
        known = chosen.choice(hostile if number % 10 == 0 else honest)
        yield Known(known.kind, f"{known.text}\n# {number}\n", known.task, known.ruling)


def main() -> int:
    """Runs and prints; 1 on any fault."""
    parser = argparse.ArgumentParser(description="soak test of the sandbox")
    parser.add_argument("attacks", type=Path)
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--backend", default="local")
    asked = parser.parse_args()
    started, faults = time.perf_counter(), list[str]()
    rulings: Counter[str] = Counter()
    with Judge(asked.backend) as judge:
        programs = known_programs(asked.attacks, judge)
        print(f"{len(programs)} programs of {asked.attacks}", flush=True)
        before = None
        batch: list[Known] = []
        for number, known in enumerate(stream(programs, asked.programs), start=1):
            batch.append(known)
            if len(batch) < WARM_UP and number < asked.programs:
                continue
            again = [Known(k.kind, f"{k.text}# again", k.task, k.ruling) for k in batch[::10]]
            judged = [*batch, *again]
            for one, judgement in zip(judged, judge.judge_all((k.text, k.task) for k in judged), strict=True):
                rulings[judgement.ruling] += 1
                if judgement.ruling is not one.ruling:
                    faults.append(f"{one.task.name}: {judgement.ruling} ({judgement.reason}), at first {one.ruling}")
            batch.clear()
            held = Held.now()
            before = before or held
            print(f"{number:,} programs, {time.perf_counter() - started:.0f} s: {held}", flush=True)
        assert before is not None
        faults += held.excess(before)
    time.sleep(1)
    if left := descendants():
        faults.append(f"{len(left)} processes are left after closing")
    print(f"{rulings.total():,} verdicts in {time.perf_counter() - started:.0f} s: {dict(rulings)}")
    print("\n".join(faults[:20]) or "nothing leaked, no verdict changed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
