"""`python -m rlvr_sandbox check|corpus`: one program's verdict, or a whole folder of attacks put to a sandbox."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rlvr_sandbox.corpus import Corpus, Result, summary
from rlvr_sandbox.errors import SandboxError, TaskInvalid
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.records import Ruling
from rlvr_sandbox.task_files import read_program, read_tasks, task_of


class _Parser(argparse.ArgumentParser):
    """Tells a usage error in one line."""

    def error(self, message: str) -> NoReturn:
        """Exits with status 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m rlvr_sandbox", description="Judge programs in a sandbox.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|corpus")
    check = commands.add_parser("check", help="judge one program; prints one line of JSON")
    check.add_argument("file", type=Path, help="the program")
    check.add_argument("--task", required=True, help="name of its task")
    check.add_argument("--tasks", required=True, type=Path, help="tasks.json that holds the task")
    corpus = commands.add_parser("corpus", help="judge a folder of attacks; exit 1 when one succeeds")
    corpus.add_argument("folder", type=Path, help="holds manifest.json, tasks.json and the programs")
    corpus.add_argument("--json", type=Path, metavar="OUT", help="also write the results as JSON")
    for command in (check, corpus):
        command.add_argument(
            "--backend", default="local", help="local (default), bwrap, docker, docker-strict or unsafe"
        )
        command.add_argument("--level", type=int, default=3, help="refuse less isolation than this (default 3)")
    return parser


def _check(options: argparse.Namespace) -> int:
    tasks = read_tasks(options.tasks)
    if options.task not in tasks:
        raise TaskInvalid(f"{options.tasks} has no task {options.task!r}; it has {', '.join(tasks)}")
    program, task = read_program(options.file), task_of(options.task, tasks[options.task])
    with Judge(options.backend, workers=1, level=options.level) as judge:
        judgement = judge.judge(program, task)
    line = {
        "verdict": judgement.ruling.value,
        "reason": judgement.reason,
        "level": judgement.level,
        "seconds": round(judgement.seconds, 3),
    }
    print(json.dumps(line))
    return 1 if judgement.ruling is Ruling.VOID else 0


def _corpus(options: argparse.Namespace) -> int:
    corpus = Corpus(options.folder)
    for check in sorted(corpus.unknown_checks()):
        print(f"warning: manifest.json names the check {check!r}, which is not known here", file=sys.stderr)
    width = max(len(program.file) for program in corpus.programs)
    results: list[Result] = []
    print(f"{'program':{width}}  {'expect':6}  {'verdict':7}  seconds  reason")
    for result in corpus.run(options.backend, options.level):
        results.append(result)
        judged = result.judgement
        mark = f"  <- {result.problem}" if result.problem else ""
        print(
            f"{result.program.file:{width}}  {result.program.expect:6}  {judged.ruling.value:7}  "
            f"{judged.seconds:7.2f}  {judged.reason}{mark}",
            flush=True,
        )
    counts = summary(results)
    level = min(result.judgement.level for result in results)
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts["programs"].items())
    print(
        f"{options.backend}, level {level}: {len(results)} programs ({kinds}): {counts['accepted']} accepted that are "
        f"wrong, {counts['refused']} refused that are right, {counts['void']} void, "
        f"{counts['not_contained']} not contained"
    )
    if options.json:
        rows = [result.row() for result in results]
        content = {"backend": options.backend, "level": level, "summary": counts, "programs": rows}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if counts["unsound"] else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 it failed or something was unsound, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return _check(options) if options.command == "check" else _corpus(options)
    except TaskInvalid as invalid:
        print(f"error: {invalid}", file=sys.stderr)
        return 2
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
