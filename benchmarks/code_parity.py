"""Our verdicts beside evalplus's own, on one machine in one run: every difference is listed.

    python benchmarks/code_parity.py --evalplus-python VENV/bin/python [--data DIR] [--only Mbpp/2 ...] [--json OUT]

Programs: the right program of every row of HumanEval+ and MBPP+, and the programs of a model that came with evalplus's
verdicts (`verifier/` of the data folder). Ours is a pass when all base and plus tests are passed, theirs when both of
their runs say so. A label comes from another machine and other releases of the tests. Rows that differ are judged once
more by both, so that a time-out of a busy moment is told from a difference.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr_sandbox import Judge
from rlvr_sandbox.cache import Cache
from rlvr_sandbox.calibrate import calibrate
from rlvr_sandbox.datasets import evalplus_solution, evalplus_task
from rlvr_sandbox.records import Judgement, Ruling

FILES = {"humaneval": "humanevalplus/HumanEvalPlus.jsonl.gz", "mbpp": "mbppplus/MbppPlus.jsonl.gz"}
LABELS = "verifier/evalplus_qwen2.5-coder-7b-base_{}_eval_results.json"
_THEIRS = Path(__file__).with_name("evalplus_verdicts.py")
Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Program:
    """A program of one task. `label`: what its file says of it, None for the task's own right program."""

    task_id: str
    text: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ours and theirs on one program. `ours_test`, `theirs_test`: the first test that failed, base ones first."""

    task_id: str
    label: str | None
    ours: str
    reason: str
    ours_test: int | None
    theirs: str
    theirs_test: int | None

    @property
    def differs(self) -> bool:
        """Whether one of the two passes the program and the other does not."""
        return (self.ours == "pass") != (self.theirs == "pass")

    @property
    def off_label(self) -> bool:
        """Whether ours is not what the file of labels says."""
        return self.label is not None and (self.ours == "pass") != (self.label == "pass")


def read_rows(data: Path, dataset: str) -> Rows:
    """The rows of a benchmark by their ids."""
    rows = map(json.loads, gzip.decompress((data / FILES[dataset]).read_bytes()).splitlines())
    return {row["task_id"]: row for row in rows}


def programs_of(data: Path, dataset: str, rows: Rows, only: Sequence[str]) -> list[Program]:
    """Right programs and labelled ones, task by task; of tasks of other releases there are no tests, so they go."""
    labelled = json.loads((data / LABELS.format(dataset)).read_text())["eval"]
    programs = []
    for task_id, row in rows.items():
        if only and task_id not in only:
            continue
        programs.append(Program(task_id, evalplus_solution(row), None))
        for entry in labelled.get(task_id, ()):
            programs.append(Program(task_id, entry["solution"], both(entry["base_status"], entry["plus_status"])))
    return programs


def both(base: str, plus: str) -> str:
    """One word for evalplus's two runs."""
    return "pass" if base == plus == "pass" else f"{base}/{plus}"


def ours(rows: Rows, programs: Sequence[Program], judge: Judge) -> list[Judgement]:
    """Our judgements."""

    def pairs() -> Iterator[tuple[str, Any]]:
        task = None
        for program in programs:
            if task is None or task.name != program.task_id:
                row = rows[program.task_id]
                task = calibrate(evalplus_task(row), evalplus_solution(row), judge)
            yield program.text, task

    return list(judge.judge_all(pairs()))


def theirs(python: str, dataset: str, path: Path, programs: Sequence[Program]) -> list[Mapping[str, Any]]:
    """evalplus's verdicts."""
    lines = "".join(json.dumps({"task_id": one.task_id, "program": one.text}) + "\n" for one in programs)
    done = subprocess.run(
        [python, str(_THEIRS), dataset, str(path)], input=lines, stdout=subprocess.PIPE, text=True, check=True
    )
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"task_id"')]
    if len(said) != len(programs):
        raise SystemExit(f"error: evalplus gave {len(said)} verdicts on {len(programs)} programs")
    return said


def compared(options: argparse.Namespace, dataset: str, rows: Rows, programs: Sequence[Program]) -> list[Verdict]:
    """Both opinions on every program."""
    with Judge("local", workers=options.workers, level=options.level, cache=Cache(0)) as judge:
        found = ours(rows, programs, judge)
    said = theirs(options.evalplus_python, dataset, options.data / FILES[dataset], programs)
    return [
        Verdict(
            program.task_id,
            program.label,
            one.ruling.value,
            one.reason,
            one.test,
            both(it["base"], it["plus"]),
            it["failed"],
        )
        for program, one, it in zip(programs, found, said, strict=True)
    ]


def settled(options: argparse.Namespace, dataset: str, rows: Rows, programs: Sequence[Program]) -> list[Verdict]:
    """Both opinions, those that differ asked for once more."""
    verdicts = compared(options, dataset, rows, programs)
    doubtful = [index for index, verdict in enumerate(verdicts) if verdict.differs]
    if doubtful:
        again = compared(options, dataset, rows, [programs[index] for index in doubtful])
        for index, verdict in zip(doubtful, again, strict=True):
            if verdict != verdicts[index]:
                print(f"  {verdict.task_id}: first {verdicts[index].ours} and {verdicts[index].theirs}; again below")
            verdicts[index] = verdict
    return verdicts


def show(title: str, verdicts: Sequence[Verdict]) -> None:
    """Counts, then every difference."""
    kinds = {"right programs": [v for v in verdicts if v.label is None]}
    kinds["labelled programs"] = [v for v in verdicts if v.label is not None]
    for kind, those in kinds.items():
        pairs = Counter(
            ("pass" if v.ours == "pass" else v.ours, "pass" if v.theirs == "pass" else "fail") for v in those
        )
        counts = ", ".join(f"ours {a} theirs {b}: {count}" for (a, b), count in sorted(pairs.items()))
        print(f"{title}, {len(those)} {kind}: {counts}; {sum(v.differs for v in those)} differ")
    for verdict in verdicts:
        if verdict.differs or verdict.off_label:
            print(
                f"  {verdict.task_id:14} ours {verdict.ours} ({verdict.reason}) at {verdict.ours_test}; "
                f"evalplus {verdict.theirs} at {verdict.theirs_test}; label {verdict.label or 'right program'}"
                f"{'  <- DIFFERS' if verdict.differs else ''}"
            )


def main() -> int:
    """Exit status 1 when a verdict is void; differences are for the reader to judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evalplus-python", required=True, metavar="PATH", help="a Python that has evalplus 0.3.1")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the benchmark files")
    parser.add_argument("--only", nargs="*", default=(), metavar="TASK", help="these tasks alone")
    parser.add_argument("--workers", type=int, help="programs at the same time; one a free core when left out")
    parser.add_argument("--level", type=int, default=3, help="refuse less isolation than this (default 3)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every verdict as JSON lines")
    options = parser.parse_args()
    all_verdicts: list[Verdict] = []
    for dataset in FILES:
        started = time.monotonic()
        rows = read_rows(options.data, dataset)
        programs = programs_of(options.data, dataset, rows, options.only)
        if programs:
            verdicts = settled(options, dataset, rows, programs)
            show(f"{dataset}+ ({time.monotonic() - started:.0f} s)", verdicts)
            all_verdicts += verdicts
    if options.json:
        options.json.write_text("".join(json.dumps(asdict(verdict)) + "\n" for verdict in all_verdicts))
    return int(any(verdict.ours == Ruling.VOID.value for verdict in all_verdicts))


if __name__ == "__main__":
    sys.exit(main())
