"""What a run folder holds: its JSON files, and its Parquet parts row by row or counted column by column."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rlvr_harness.errors import RunFolderError
from rlvr_harness.planning import SampleKey
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Verdict, VerdictCount
from rlvr_harness.run_store import PROBLEM_SCHEMA, SAMPLE_SCHEMA, VERDICT_SCHEMA, escape, problems_file

TEXT_COLUMNS = ("problem_id", "index", "text", "finish_reason", "n_tokens")
COUNTED_COLUMNS = ("problem_id", "index", "outcome", "answer")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run folder; raises RunFolderError when it is missing or damaged."""
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"{folder} holds no {name}; is it a run folder, and has the run got that far?") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is damaged: not a JSON object")
    return content


def read_problems(folder: Path, task: str, role: str | None = None) -> list[Problem]:
    """The problems of a task as they were sampled, by this model where it had prompts of its own; no stop strings."""
    own = problems_file(folder, task, role)
    path = own if own.is_file() else problems_file(folder, task)
    return [
        Problem(task, row["problem_id"], row["prompt"], row["reference"], metadata=json.loads(row["metadata"]))
        for row in _rows(path.parent, list(PROBLEM_SCHEMA), path.name)
    ]


def read_samples(folder: Path, task: str, model: str) -> Iterator[Sample]:
    """Every stored sample, part by part, the first of each (problem_id, index)."""
    seen: set[SampleKey] = set()
    for row in _rows(folder / "samples" / escape(task) / escape(model), SAMPLE_SCHEMA):
        key = (row["problem_id"], row["index"])
        if key in seen:
            continue
        seen.add(key)
        yield Sample(
            task,
            model,
            row["problem_id"],
            row["index"],
            row["seed"],
            row["text"],
            FinishReason(row["finish_reason"]),
            row["n_tokens"],
            row["logprob_sum"],
        )


def sample_keys(folder: Path, task: str, model: str) -> set[SampleKey]:
    """(problem_id, index) of every stored sample."""
    rows = _rows(folder / "samples" / escape(task) / escape(model), ("problem_id", "index"))
    return {(row["problem_id"], row["index"]) for row in rows}


def read_verdicts(folder: Path, task: str, model: str, verifier: str) -> Iterator[Verdict]:
    """The settled verdict of each stored (problem_id, index): the last one that is not void, else the void one."""
    settled: dict[SampleKey, Verdict] = {}
    for row in _rows(folder / "verdicts" / escape(task) / escape(model) / escape(verifier), VERDICT_SCHEMA):
        verdict = Verdict(
            row["problem_id"],
            row["index"],
            Outcome(row["outcome"]),
            row["answer"],
            row["reason"],
            row["seconds"],
        )
        key = (verdict.problem_id, verdict.index)
        if key not in settled or verdict.outcome is not Outcome.VOID:
            settled[key] = verdict
    yield from settled.values()


def read_texts(folder: Path, task: str, model: str) -> Iterator[tuple[str, str, str, int]]:
    """(problem_id, text, finish reason, number of tokens) of every stored sample, the first of each index."""
    seen: dict[str, set[int]] = defaultdict(set)
    for batch in _batches(folder / "samples" / escape(task) / escape(model), TEXT_COLUMNS):
        for problem_id, index, *rest in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if index not in seen[problem_id]:
                seen[problem_id].add(index)
                yield (problem_id, *rest)


def count_verdicts(folder: Path, task: str, model: str, verifier: str) -> list[VerdictCount]:
    """The settled verdicts, as `read_verdicts` gives them, counted by problem, outcome and answer."""
    parts = list(_batches(folder / "verdicts" / escape(task) / escape(model) / escape(verifier), COUNTED_COLUMNS))
    if not parts:
        return []
    table = pa.Table.from_batches(parts)
    void = pc.equal(table["outcome"], pa.scalar(Outcome.VOID.value))
    order = pa.array(np.arange(len(table)) - len(table) * np.asarray(void))
    last = table.append_column("order", order).group_by(["problem_id", "index"]).aggregate([("order", "max")])
    rows = np.sort(np.asarray(last["order_max"]) % len(table))
    counted = table.take(pa.array(rows)).group_by(["problem_id", "outcome", "answer"], use_threads=False)
    return [
        VerdictCount(row["problem_id"], Outcome(row["outcome"]), row["answer"], row["count_all"])
        for row in counted.aggregate([([], "count_all")]).to_pylist()
    ]


def _rows(folder: Path, columns: Collection[str], pattern: str = "part-*.parquet") -> Iterator[dict[str, Any]]:
    for batch in _batches(folder, columns, pattern):
        yield from batch.to_pylist()


def _batches(folder: Path, columns: Collection[str], pattern: str = "part-*.parquet") -> Iterator[pa.RecordBatch]:
    for path in sorted(folder.glob(pattern)):
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as part:
                if missing := set(columns) - set(part.schema_arrow.names):
                    raise pa.ArrowInvalid(f"it lacks {', '.join(sorted(missing))}")
                for batch in part.iter_batches(batch_size=4096, columns=list(columns)):
                    yield batch.select(list(columns))
        except (pa.ArrowInvalid, OSError) as error:
            raise RunFolderError(f"{path} is damaged ({error}); delete it and run `rlvr-harness resume`") from error
