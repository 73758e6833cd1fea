"""Verdicts of `reward serve` a second against the same verifier in process, for maths and code; faults and overload.

    python benchmarks/reward_throughput.py --data_dir DATA

Maths: completions as `verify_math.py` makes them, for the problems of math500. Code: the solutions of humanevalplus
and copies of them that return nothing, each with a comment of its own, so that no verdict is known before. Every client
asks for batches of `--batch` completions, one request at a time; no completion is asked about twice in a measurement.
Every verdict that the server gave is compared with the one in process.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from verify_math import completions

from rlvr_harness.preparing import find_task
from rlvr_harness.records import Problem
from rlvr_harness.registry import load_plugins
from rlvr_harness.requests import PromptRequest
from rlvr_harness.rewarding import choose_reward
from rlvr_harness.rewards.labels import label_of
from rlvr_harness.rewards.opening import open_rewards

Batch = tuple[list[str], list[str]]
"""Texts and labels of one request."""


@dataclass
class Asked:
    """What clients saw. `seconds`: of each answered request, without those that were refused before it."""

    answers: dict[int, list[str | None]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    wall: float = 0.0

    def quantile(self, share: float) -> float:
        """Of the seconds."""
        known = sorted(self.seconds)
        return known[min(len(known) - 1, int(share * len(known)))]


def math_batches(problems: Sequence[Problem], count: int, size: int) -> list[Batch]:
    """Completions of all problems in turn, none twice."""
    golds = [problem.reference for problem in problems]
    labels = [label_of(problem) for problem in problems]
    rounds = -(-count * size // len(problems))
    made = [completions(golds, number, rounds) for number in range(len(problems))]
    rows = [(made[number][at].text, labels[number]) for at in range(rounds) for number in range(len(problems))]
    return _cut(rows, count, size)


def code_batches(problems: Sequence[Problem], solutions: Sequence[str], count: int, size: int) -> list[Batch]:
    """Right and wrong programs by turns, each with a number of its own."""
    labels = [label_of(problem) for problem in problems]
    rows = []
    for number, (at, wrong) in zip(
        range(count * size), itertools.cycle(itertools.product(range(len(problems)), (False, True))), strict=False
    ):
        entry = problems[at].metadata["entry_point"]
        body = f"{solutions[at]}\n\ndef {entry}(*inputs):\n    return None\n" if wrong else solutions[at]
        rows.append((f"```python\n{body}\n# {number}\n```", labels[at]))
    return _cut(rows, count, size)


def _cut(rows: Sequence[tuple[str, str]], count: int, size: int) -> list[Batch]:
    groups = [rows[at * size : (at + 1) * size] for at in range(count)]
    return [([text for text, _ in group], [label for _, label in group]) for group in groups]


def in_process(spec: Any, batches: Sequence[Batch]) -> tuple[list[list[str | None]], float]:
    """Outcomes by batch, and seconds; the workers are warm."""
    rewards = open_rewards(spec)
    try:
        rewards.judge(*batches[0])
        started = time.perf_counter()
        found = [rewards.judge(*batch) for batch in batches[1:]]
        wall = time.perf_counter() - started
        return [[one and one.outcome.value for one in verdicts] for verdicts in found], wall
    finally:
        rewards.close()


@contextmanager
def server(task: str, data: Path, *more: str) -> Iterator[tuple[str, psutil.Process]]:
    """Its address and process; it is ended behind the block."""
    command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", "reward", "serve", "--tasks", task]
    command += ["--data_dir", str(data), "--port", "0", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"http://[\d.]+:(\d+)", line):
                    yield f"http://127.0.0.1:{found[1]}", psutil.Process(process.pid)
                    return
            raise SystemExit("the server did not start:\n" + "".join(said))
        finally:
            process.terminate()


async def ask(address: str, batches: Sequence[Batch], clients: int, kill: psutil.Process | None = None) -> Asked:
    """All batches but the first, which warms the workers, by so many clients; `kill`: end a worker of it on the way."""
    asked = Asked()
    todo = iter(list(enumerate(batches[1:])))
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(batch: Batch) -> list[str | None]:
            while True:
                started = time.perf_counter()
                body = {"texts": batch[0], "labels": batch[1]}
                async with session.post(f"{address}/v1/verdicts", json=body) as answer:
                    if answer.status == 429:
                        asked.refused += 1
                        await asyncio.sleep(0.05)
                        continue
                    answer.raise_for_status()
                    told = await answer.json()
                    asked.seconds.append(time.perf_counter() - started)
                    return [one and one["outcome"] for one in told["verdicts"]]

        async def client() -> None:
            for place, batch in todo:
                asked.answers[place] = await post(batch)
                if kill is not None and place in (len(batches) // 3, len(batches) // 2):
                    # Not what runs below them: a program that is killed is a program that died.
                    starters = [one for one in kill.children() if "forkserver" in _line(one)]
                    starters[0].children()[-1].kill()

        await post(batches[0])
        asked.seconds.clear()
        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        asked.wall = time.perf_counter() - started
    return asked


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def compared(asked: Asked, wanted: Sequence[Sequence[str | None]]) -> str:
    """How the server's verdicts differ from those in process."""
    pairs = [pair for place, own in enumerate(wanted) for pair in zip(asked.answers[place], own, strict=True)]
    void = sum(one != other and one in ("void", None) for one, other in pairs)
    other = sum(one != other and one not in ("void", None) for one, other in pairs)
    return f"{len(pairs):,} verdicts, {other} differ, {void} void"


def measure(task: str, spec: Any, batches: Sequence[Batch], options: argparse.Namespace) -> None:
    """Prints the rows of one task."""
    size = options.batch
    wanted, wall = in_process(spec, batches)
    own = len(wanted) * size / wall
    print(f"{task}: {len(wanted)} requests of {size} completions")
    print(f"  in process          {own:9,.0f} verdicts/s", flush=True)
    for clients in options.clients:
        with server(task, options.data_dir) as (address, _):
            asked = asyncio.run(ask(address, batches, clients))
        rate = len(wanted) * size / asked.wall
        latency = f"p50 {asked.quantile(0.5):.3f} s, p99 {asked.quantile(0.99):.3f} s"
        told = f"{rate:9,.0f} verdicts/s ({rate / own:.2f} of in process), {latency}; {compared(asked, wanted)}"
        print(f"  {clients:2} client(s)        {told}", flush=True)
    with server(task, options.data_dir) as (address, process):
        asked = asyncio.run(ask(address, batches, 8, process))
    print(f"  2 workers killed    {compared(asked, wanted)}", flush=True)
    with server(task, options.data_dir, "--queue", str(4 * size)) as (address, _):
        asked = asyncio.run(ask(address, batches, 64))
    print(
        f"  overloaded          {asked.refused:,} requests got 429 and came again; {compared(asked, wanted)}",
        flush=True,
    )


def main() -> None:
    """Measures maths, then code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--math_requests", type=int, default=400)
    parser.add_argument("--code_requests", type=int, default=65)
    options = parser.parse_args()
    registry = load_plugins()
    for task, count in (("math500", options.math_requests), ("humanevalplus", options.code_requests)):
        loaded = find_task(registry, task, None).load(PromptRequest(data_dir=options.data_dir))
        judging = {"sandbox": "local", "sandbox_level": 3, "workers": None}
        places = {"include_path": None, "data_dir": options.data_dir}
        spec = choose_reward(registry, [task], None, {**judging, **places})
        if task == "math500":
            batches = math_batches(loaded.problems, count + 1, options.batch)
        else:
            golds = [str(one.metadata["prompt"]) + one.reference for one in loaded.problems]
            batches = code_batches(loaded.problems, golds, count + 1, options.batch)
        measure(task, spec, batches, options)


if __name__ == "__main__":
    main()
