"""What a run folder costs at a million samples: time to write, reopen, count and read, size on disk, peak memory.

python benchmarks/store_scale.py [--problems 500] [--n 1000] [--folder DIR]

Texts are worked solutions of linear equations and sums, 2 to 3 kB long, no two alike; verdicts follow each commit as in
a run. Every commit holds 500 samples, so that 2 models x 500 problems x 1,000 samples make 2,000 commits, which are
compacted on the way.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness.records import FinishReason, Outcome, Sample, Verdict
from rlvr_harness.run_reader import count_verdicts, read_samples, read_texts, sample_keys, settled_keys
from rlvr_harness.run_store import RunStore

COMMIT_ROWS = 500
MODELS = ("base", "model")
PHRASES = (
    "First, we isolate the variable on one side of the equation.",
    "Let us check this by substituting the value back into the original expression.",
    "Since both sides must be equal, we can divide through by the common factor.",
    "Wait, I should double-check the sign of the second term.",
    "Recall that the sum of the first n integers is given by \\frac{n(n+1)}{2}.",
    "Therefore, the remaining term has to vanish, which leaves a single solution.",
    "We now expand the product and collect like terms.",
    "Alternatively, we could use the quadratic formula, but factoring is quicker here.",
)


def solution(rng: random.Random, answer: int) -> str:
    """A worked solution of 2 to 3 kB that ends in a boxed answer."""
    length = rng.randrange(2000, 3000)
    lines = [f"To solve the problem, we set up the equation ${rng.randrange(2, 99)}x + {rng.randrange(999)} = y$."]
    size = len(lines[0])
    while size < length:
        bits = rng.getrandbits(40)  # one draw a line: drawing each number apart would take longer than storing it
        a, b, c = bits & 1023, bits >> 10 & 8191, bits >> 23 & 127
        lines.append(f"{PHRASES[bits >> 37]} We get ${a} \\cdot {b} - {c} = {a * b - c}$.")
        size += len(lines[-1]) + 1
    return "\n".join([*lines, f"So the final answer is $\\boxed{{{answer}}}$."])


def samples(model: str, problems: int, n: int, seed: int) -> Iterator[Sample]:
    """The samples of one model, problem by problem."""
    rng = random.Random(seed)
    for problem in range(problems):
        for index in range(n):
            text = solution(rng, problem if rng.random() < 0.5 else rng.randrange(40))
            yield Sample(
                "math", model, f"problem-{problem:04d}", index, rng.getrandbits(63), text, FinishReason.STOP, 700, -90.5
            )


def verdict(sample: Sample) -> Verdict:
    """Right where the boxed answer is the number of the problem."""
    answer = sample.text.rpartition("{")[2].partition("}")[0]
    right = int(answer) == int(sample.problem_id[-4:])
    outcome = Outcome.RIGHT if right else Outcome.WRONG
    return Verdict(sample.problem_id, sample.index, outcome, answer, "match" if right else "mismatch", 0.001)


@dataclass
class Written:
    """What filling a folder took within the store, and the bytes of the same rows as jsonl."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    jsonl: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts the time of the block."""
        started, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - started
        self.cpu_s += time.process_time() - cpu


def write(folder: Path, problems: int, n: int) -> Written:
    """Fills the folder."""
    written = Written()
    with ExitStack() as closing:
        store = closing.enter_context(RunStore(folder))
        store.write_run({"spec": {}})
        for seed, model in enumerate(MODELS):
            batch: list[Sample] = []
            for sample in samples(model, problems, n, seed):
                batch.append(sample)
                if len(batch) == COMMIT_ROWS:
                    commit(store, model, batch, written)
                    batch = []
            commit(store, model, batch, written)
        with written.counted():
            closing.close()
    return written


def commit(store: RunStore, model: str, batch: list[Sample], written: Written) -> None:
    """One commit of samples with their verdicts."""
    verdicts = [verdict(sample) for sample in batch]
    with written.counted():
        store.append_samples(batch)
        store.append_verdicts("math", model, "math", verdicts)
        store.commit()
    written.jsonl += jsonl_bytes(batch)


def jsonl_bytes(batch: list[Sample]) -> int:
    """Size of samples and verdicts as JSON lines."""
    rows: list[dict[str, Any]] = []
    for sample in batch:
        names = ("problem_id", "index", "seed", "text", "finish_reason", "n_tokens", "logprob_sum")
        rows.append({name: getattr(sample, name) for name in names})
        found = verdict(sample)
        said = ("problem_id", "index", "outcome", "answer", "reason", "seconds")
        rows.append({name: getattr(found, name) for name in said})
    return sum(len(json.dumps(row, ensure_ascii=False).encode()) + 1 for row in rows)


def timed(label: str, what: Callable[[], object]) -> None:
    """Runs it and prints how long it took, and the most memory the process has used so far."""
    started = time.perf_counter()
    found = what()
    print(f"{label:<44}{time.perf_counter() - started:8.1f} s   {found}   (peak so far {peak_mb():,} MB)", flush=True)


def peak_mb() -> int:
    """The most memory this process has held at once, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def reopen(folder: Path) -> str:
    """Opens for writing, which reads every byte to find damage, and closes."""
    with RunStore(folder):
        pass
    return "checked"


def measure(folder: Path, problems: int, n: int) -> None:
    """Fills the folder and prints the table."""
    total = len(MODELS) * problems * n
    written = write(folder, problems, n)
    stored = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    parts = len(list(folder.rglob("*.parquet")))
    rate = f"{total / written.seconds:,.0f} samples/s, {total / written.cpu_s:,.0f} per CPU second"
    print(f"written: {total:,} samples and verdicts in {written.seconds:.1f} s of the store: {rate}")
    share = written.jsonl / stored
    print(f"size: {stored / 1e6:,.0f} MB in {parts} parts; as jsonl {share:.1f} times that", flush=True)
    timed("reopen for writing, every byte checked", lambda: reopen(folder))
    timed("sample_keys", lambda: sum(len(sample_keys(folder, "math", m)) for m in MODELS))
    timed("settled_keys", lambda: sum(len(settled_keys(folder, "math", m, "math")) for m in MODELS))
    timed("count_verdicts", lambda: sum(v.count for m in MODELS for v in count_verdicts(folder, "math", m, "math")))
    timed(
        "read_texts, all characters once", lambda: sum(len(t[2]) for m in MODELS for t in read_texts(folder, "math", m))
    )
    settled = {m: settled_keys(folder, "math", m, "math") for m in MODELS}
    timed(
        "read_samples, all skipped as judged",
        lambda: sum(1 for m in MODELS for _ in read_samples(folder, "math", m, skip=settled[m])),
    )
    print(f"peak memory: {peak_mb():,} MB")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="an empty folder to fill and keep; default: a temporary one")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="store_scale-"))
    try:
        measure(folder, options.problems, options.n)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
