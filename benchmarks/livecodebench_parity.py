"""Our verdicts beside those of LiveCodeBench's own checker, on the programs of tests/sandbox/lcb_programs.

    python benchmarks/livecodebench_parity.py CHECKOUT [--data DIR]

CHECKOUT is a copy of LiveCodeBench/LiveCodeBench; of it only lcb_runner/evaluation/testing_util.py is run, in a process
for each program, as its own runner does. Programs are harmless and written for this. Prints every program on which the
two differ, and ends with status 1 where one differs that is not marked `theirs: fails`, or the other way round.

The marked ones are right programs that its runner, as it was at 28fef95, refuses: its stand-in for `open` knows no
descriptors, that for `sys.stdin` gives no lines to a `for`, and it makes one function of the whole program, in which
`global` names are not found. Ours gives a program a real standard input and runs it as it stands.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_sandbox import Judge
from rlvr_sandbox.datasets import livecodebench_task
from rlvr_sandbox.records import Limits

_PROGRAMS = Path(__file__).parents[1] / "tests/sandbox/lcb_programs"
_SECONDS = 2
_RUN = """
import importlib.util, json, os, sys
spec = importlib.util.spec_from_file_location("testing_util", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
asked, out = json.load(sys.stdin), os.dup(1)
results, _ = module.run_test({"input_output": asked["tests"]}, test=asked["program"], timeout=int(sys.argv[2]))
os.write(out, json.dumps(all(result is True or result == 1 for result in results)).encode())
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One program of one problem; `marked` where their runner is known to refuse a right one."""

    problem: str
    why: str
    text: str
    marked: bool


def programs(folder: Path) -> Iterator[Program]:
    """All of them, problem by problem."""
    for path in sorted(folder.glob("*.txt")):
        for part in path.read_text().split("--- ")[1:]:
            head, _, text = part.partition("\n")
            yield Program(path.stem, head, text, "theirs: fails" in head)


def theirs(checker: Path, row: Mapping[str, Any], program: str) -> bool:
    """Whether their checker takes the program."""
    tests = json.loads(row["public_test_cases"])
    pairs = {"inputs": [test["input"] for test in tests], "outputs": [test["output"] for test in tests]}
    asked = {
        "program": program,
        "tests": json.dumps({**pairs, "fn_name": json.loads(row["metadata"]).get("func_name")}),
    }
    command = [sys.executable, "-c", _RUN, str(checker), str(_SECONDS)]
    limit_s = (_SECONDS + 1) * len(tests) + 5
    try:
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return False
    return done.stdout.endswith("true")


def main() -> int:
    """Exit status 1 where a difference is not the expected one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the benchmark files")
    options = parser.parse_args()
    lines = (options.data / "livecodebench/lcb_400_public_tests.jsonl").read_text().splitlines()
    rows = {row["question_id"]: row for row in map(json.loads, lines)}
    checker = options.checkout / "lcb_runner/evaluation/testing_util.py"
    cases = list(programs(_PROGRAMS))
    limits = Limits(cpu_s=_SECONDS)
    tasks = {case.problem: livecodebench_task(rows[case.problem], limits=limits) for case in cases}
    with Judge("local") as judge:
        ours = list(judge.judge_all((case.text, tasks[case.problem]) for case in cases))
    differ = unexpected = 0
    for case, judged in zip(cases, ours, strict=True):
        accepted = theirs(checker, rows[case.problem], case.text)
        differs = accepted != (judged.ruling.value == "pass")
        differ += differs
        unexpected += differs != case.marked
        if differs or case.marked:
            print(f"  {case.problem}: ours {judged.ruling.value} ({judged.reason}), theirs {accepted}: {case.why}")
    print(f"{len(cases)} programs of {len(tasks)} problems: {differ} differ, {unexpected} of them unexpectedly")
    return int(unexpected > 0)


if __name__ == "__main__":
    sys.exit(main())
