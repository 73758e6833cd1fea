"""How fast `rlvr-harness view` answers: `view_speed.py RUN_FOLDER [--rounds 20]`, over HTTP on this machine.

The folder is served in a process of its own. Each kind of request is sent for several problems, models and filters;
printed are the median and the worst time of each kind, the time until the server is ready, and its peak memory.
`million_samples.py` makes a folder of a million samples.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pyarrow.parquet as pq

from rlvr_harness.parts.naming import problems_file
from rlvr_harness.viewing.folder import RunFolder

FILTERS: tuple[dict[str, object], ...] = (
    {"outcome": "right", "sort": "long"},
    {"outcome": "wrong", "finish": "length"},
    {"sort": "wrong", "size": 50},
    {"answer": "7"},
)


def requests(folder: Path, draws: random.Random) -> dict[str, Callable[[], str]]:
    """Kind -> a maker of addresses of that kind."""
    run = RunFolder.open(folder)
    task = run.tasks()[0]
    models = run.models(task)
    ids = pq.read_table(problems_file(folder, task), columns=["problem_id"]).column(0).to_pylist()

    def address(path: str, **values: object) -> str:
        return f"{path}?{urlencode({'task': task, **values})}"

    def one() -> dict[str, object]:
        return {"id": draws.choice(ids)}

    def bounds() -> dict[str, object]:
        return {f"least.{draws.choice(models)}": draws.randrange(50), f"most.{models[0]}": draws.randrange(50, 1000)}

    quadrants = ("both", "base_only", "model_only", "neither", "undecided")
    return {
        "start page": lambda: "/",
        "problems by quadrant": lambda: address("/problems", quadrant=draws.choice(quadrants)),
        "problems by counts": lambda: address("/problems", **bounds(), sort=f"hard.{models[0]}"),
        "problems by text": lambda: address("/problems", q=draws.choice(("number", "triangle", "sqrt"))),
        "a problem": lambda: address("/problem", **one()),
        "a problem, filtered": lambda: address("/problem", **one(), **draws.choice(FILTERS)),
        "a problem, text of samples": lambda: address("/problem", **one(), q="boxed{1"),
        "a sample": lambda: address(
            "/sample", **one(), model=draws.choice(models), index=draws.randrange(16)
        ),  # of any plan
        "samples of a task, filtered": lambda: address(
            "/samples", model=draws.choice(models), **draws.choice(FILTERS[:2])
        ),
        "samples of a task, last page": lambda: address("/samples", model=models[0], sort="long", page=9_000),
        "two verifiers": lambda: address("/verifiers", model=draws.choice(models)),
        "text of all samples, rare": lambda: address("/samples", q="words that are nowhere"),
    }


def seconds(url: str) -> float:
    """Until the last byte is here."""
    started = time.monotonic()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    return time.monotonic() - started


def main() -> None:
    """Serves, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    program = "from rlvr_harness.cli import main; main()"
    command = [sys.executable, "-c", program, "view", str(options.folder), "--no-browser"]
    started = time.monotonic()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    base = server.stdout.readline().strip().rstrip("/")
    if not base:
        raise SystemExit(server.communicate()[1])
    print(f"{'ready after':30}{time.monotonic() - started:8.2f} s; load {os.getloadavg()[0]:.1f}")
    for kind, address in requests(options.folder, random.Random(0)).items():
        rounds = 2 if kind.startswith("text of all") else options.rounds
        times = [seconds(base + address()) for _ in range(rounds)]
        print(f"{kind:30}{statistics.median(times):8.3f} s median{max(times):8.3f} s worst", flush=True)
    server.terminate()
    _, _, used = os.wait4(server.pid, 0)
    print(f"{'peak memory':30}{used.ru_maxrss / 1024:8.0f} MB")


if __name__ == "__main__":
    main()
