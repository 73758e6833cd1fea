"""Writes generated samples for `--sampler replay` as Parquet: `write_population.py FILE --problems 500 --n 1024`.

Each problem gets a chance of its own to be right, drawn from Beta(alpha, beta). A right sample ends with the problem's
reference in a box, a wrong one with another problem's or a number: of `WRONG` wrong answers a problem has, the r-th
likely is drawn with a weight of 1/r, as models repeat their mistakes. The text before is filled up to `--bytes`.
Problem ids and references are those of a run folder's `problems/<task>.parquet` (`--run`), else p0, p1, ... with the
reference 7.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("index", pa.int32()),
        ("text", pa.string()),
        ("finish_reason", pa.string()),
        ("n_tokens", pa.int32()),
    ]
)
WRONG = 100
WORDS = ("so", "the", "sum", "of", "both", "sides", "is", "then", "even", "and", "we", "may", "divide", "by", "two")


def problems_of(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """(problem id, reference) of each problem."""
    if arguments.run is None:
        return [(f"p{number}", "7") for number in range(arguments.problems)]
    table = pq.read_table(arguments.run / "problems" / f"{arguments.task}.parquet", columns=["problem_id", "reference"])
    rows = list(zip(*(table.column(name).to_pylist() for name in ("problem_id", "reference")), strict=True))
    return rows[: arguments.problems]


def wrong_answers(problem_id: str, known: list[tuple[str, str]], draws: np.random.Generator) -> list[str]:
    """Other problems' references and numbers, half and half, the likeliest first."""
    others = [reference for other, reference in known if other != problem_id] or ["0"]
    picked = draws.integers(0, len(others), WRONG)
    return [others[at] if rank % 2 else str(draws.integers(0, 1000)) for rank, at in enumerate(picked)]


def samples_of(
    problem_id: str, known: list[tuple[str, str]], arguments: argparse.Namespace, draws: np.random.Generator
) -> pa.Table:
    """The samples of one problem of those known, by id and reference."""
    reference = dict(known)[problem_id]
    wrong = wrong_answers(problem_id, known, draws)
    weights = 1 / np.arange(1, WRONG + 1)
    mistakes = draws.choice(WRONG, arguments.n, p=weights / weights.sum())
    right = draws.random(arguments.n) < draws.beta(arguments.alpha, arguments.beta)
    lengths = np.maximum(16, draws.normal(arguments.bytes, arguments.bytes / 4, arguments.n)).astype(int)
    filler = " ".join(draws.choice(WORDS, 2 * arguments.bytes // 3))
    texts = []
    for index, (good, length) in enumerate(zip(right, lengths, strict=True)):
        start = int(draws.integers(0, max(1, len(filler) - length)))
        answer = reference if good else wrong[mistakes[index]]
        texts.append(f"{filler[start : start + length]} \\boxed{{{answer}}}")
    columns: list[Any] = [
        [problem_id] * len(texts),
        range(len(texts)),
        texts,
        ["stop"] * len(texts),
        [n // 4 for n in lengths],
    ]
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def main() -> None:
    """Writes the file, one problem at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--run", type=Path, help="run folder whose problems are taken")
    parser.add_argument("--task", default="math500", help="task of that run folder")
    for name, size in (("problems", 500), ("n", 1024), ("bytes", 2500), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=size)
    for name, default in (("alpha", 0.5), ("beta", 1.5)):
        parser.add_argument(f"--{name}", type=float, default=default)
    arguments = parser.parse_args()
    draws = np.random.default_rng(arguments.seed)
    with pq.ParquetWriter(arguments.file, SCHEMA, compression="zstd") as writer:
        known = problems_of(arguments)
        for problem_id, _ in known:
            writer.write_table(samples_of(problem_id, known, arguments, draws))


if __name__ == "__main__":
    main()
