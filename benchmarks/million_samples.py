"""A whole run over a million stored samples: `million_samples.py FOLDER --data_dir DATA [--problems 500 --n 1000]`.

Two generated populations of the task's problems are written as Parquet (the chances to be right of each problem are
drawn from a beta distribution of its own for base and model; texts of `--bytes`), and `rlvr-harness run --sampler
replay --plan fixed` samples, verifies, stores and reports them, in a process of its own. Then the folder is opened
again (`resume`, which finds nothing to do), judged again (`verify`), and its report rebuilt (`report`). Printed: wall
time and peak memory of each, samples per second, and the size of the store against the same rows
as jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from write_population import SCHEMA, samples_of

from rlvr_harness.registry import load_plugins
from rlvr_harness.requests import PromptRequest

BASE, MODEL = (0.5, 0.8), (0.45, 0.35)
"""Parameters of the beta distributions: pass@1 of 0.38 and 0.56; the model is more often all right or all wrong."""


@dataclass(frozen=True)
class Used:
    """What a command took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def timed(*words: object) -> Used:
    """Runs a command of the harness to its end. Raises SystemExit with its words when it fails."""
    command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", *map(str, words)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(map(str, words))}: {errors[-2000:]}")
    return Used(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def references(task: str, data_dir: Path, limit: int) -> list[tuple[str, str]]:
    """(problem id, reference) of the task's first problems."""
    loaded = load_plugins().get("task", task).load(PromptRequest(data_dir=data_dir, limit=limit))
    return [(problem.problem_id, problem.reference) for problem in loaded.problems]


def write(options: argparse.Namespace, name: str, beta: tuple[float, float], known: list[tuple[str, str]]) -> Path:
    """One population, of the task's problems and references."""
    target: Path = options.folder / f"{name}.parquet"
    draws = np.random.default_rng(len(name))
    shape = argparse.Namespace(n=options.n, bytes=options.bytes, alpha=beta[0], beta=beta[1])
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for problem_id, _ in known:
            writer.write_table(samples_of(problem_id, known, shape, draws))
    return target


def jsonl_bytes(file: Path) -> int:
    """Size of the population as lines of JSON."""
    size = 0
    for batch in pq.ParquetFile(file).iter_batches(batch_size=1000, columns=SCHEMA.names):
        size += sum(len(json.dumps(row, ensure_ascii=False).encode()) + 1 for row in batch.to_pylist())
    return size


def main() -> None:
    """Writes, runs, opens again, verifies again, reports again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--task", default="math500")
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--bytes", type=int, default=2400)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    task = ["--tasks", options.task, "--data_dir", options.data_dir, "--limit", options.problems, "--quiet"]

    known = references(options.task, options.data_dir, options.problems)
    files = {name: write(options, name, beta, known) for name, beta in (("base", BASE), ("model", MODEL))}

    folder, samples = options.folder / "run", 2 * options.problems * options.n
    law = ["--k", options.n, "--plan", "fixed", "--sampler", "replay", "--gen_kwargs", "max_gen_toks=4096"]
    steps = {
        "run": timed("run", "--model", files["model"], "--base", files["base"], *task, *law, "-o", folder),
        "resume, nothing to do": timed("resume", folder, "--quiet"),
        "verify": timed("verify", folder, "--quiet"),
        "report": timed("report", folder),
    }
    print(f"{samples:,} samples of {options.task}, {options.bytes} bytes each; load {os.getloadavg()[0]:.1f}")
    for name, used in steps.items():
        print(f"{name:24}{used.wall_s:8.1f} s{used.cpu_s:8.1f} s of CPU{used.peak_mb:8.0f} MB", flush=True)
    print(f"{'samples/s of run':24}{samples / steps['run'].wall_s:8.0f}")
    stored = sum(path.stat().st_size for path in (folder / "samples").rglob("part-*"))
    plain = sum(jsonl_bytes(file) for file in files.values())
    print(f"{'store':24}{stored / 1e6:8.0f} MB; as jsonl {plain / 1e6:.0f} MB, {plain / stored:.1f} times as much")


if __name__ == "__main__":
    main()
