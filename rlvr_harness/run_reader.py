"""What a run folder holds: its JSON files, and its Parquet parts row by row or counted column by column."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rlvr_harness.errors import RunFolderError
from rlvr_harness.parts.columns import (
    PROBLEM_SCHEMA,
    PROBLEMS,
    SAMPLE_SCHEMA,
    SAMPLES,
    VERDICT_SCHEMA,
    VERDICTS,
    PartKind,
)
from rlvr_harness.parts.keys import KeySet
from rlvr_harness.parts.naming import live_parts, problems_file, samples_folder, scores_folder, verdicts_folder
from rlvr_harness.parts.reading import (
    KEY,
    PartVanished,
    Settling,
    again_when_compacted,
    check_progress,
    damage_named,
    first_rows,
    folder_batches,
    part_batches,
    to_rows,
)
from rlvr_harness.parts.versions import check_schema
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Verdict, VerdictCount

TEXT_COLUMNS = ("problem_id", "index", "text", "finish_reason", "n_tokens")
COUNTED_COLUMNS = ("problem_id", "index", "outcome", "answer")
_OBJECTS = ("spec", "tasks", "models", "status")
"""What run.json holds as objects, if at all: the least that every reader builds on."""
_FOLDED_AT = 1 << 18
"""Counts of batches are added up when there are this many rows of them, which take some 20 MB."""


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run folder; raises RunFolderError when it is missing, damaged or of a newer version.

    What results.json holds is checked by `schemas.checking.read_results`.
    """
    path = folder / name
    if folder.is_file():
        raise RunFolderError(f"{folder} is a file; give the folder that `rlvr-harness run -o` wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"{folder} holds no {name}; is it a run folder, and has the run got that far?") from error
    except (OSError, ValueError, RecursionError) as error:
        # ValueError: no UTF-8, no JSON, or an integer of thousands of digits.
        raise RunFolderError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path} is damaged: not a JSON object")
    if name == "run.json":
        check_schema(folder, content)
        for part in _OBJECTS:
            if not isinstance(content.get(part, {}), dict):
                raise RunFolderError(f"{path} is damaged: its '{part}' is not a JSON object; restore it from a copy")
    return content


def read_problems(folder: Path, task: str, role: str | None = None) -> list[Problem]:
    """The problems of a task as they were sampled, by this model where it had prompts of its own; no stop strings."""
    own = problems_file(folder, task, role)
    path = own if own.is_file() else problems_file(folder, task)
    if not path.is_file():
        return []
    try:
        with damage_named(folder, path, PROBLEMS):
            return [
                Problem(task, problem_id, prompt, reference, metadata=json.loads(metadata))
                for batch in part_batches(folder, path, PROBLEMS, tuple(PROBLEM_SCHEMA))
                for problem_id, prompt, reference, metadata in cast(Iterator[tuple[str, str, str, str]], to_rows(batch))
            ]
    except PartVanished as error:
        raise RunFolderError(f"{path} went away while it was read; `rlvr-harness resume {_quoted(folder)}`") from error


def read_samples(folder: Path, task: str, model: str, skip: KeySet | None = None) -> Iterator[Sample]:
    """Every stored sample, part by part, the first of each (problem_id, index), without those in `skip`."""
    for batch in first_rows(folder, samples_folder(folder, task, model), tuple(SAMPLE_SCHEMA), skip):
        for row in cast(Iterator[tuple[Any, ...]], to_rows(batch)):
            problem_id, index, seed, text, finish_reason, n_tokens, logprob_sum = row
            reason = FinishReason(finish_reason)
            yield Sample(task, model, problem_id, index, seed, text, reason, n_tokens, logprob_sum)


def sample_batches(folder: Path, task: str, model: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The samples of `read_samples`, in these of their columns, which begin with problem_id and index."""
    yield from first_rows(folder, samples_folder(folder, task, model), columns)


def verdict_batches(
    folder: Path, of: tuple[str, str], verifier: str, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """The verdicts of `read_verdicts` on task and model `of`, in these columns, which begin with KEY."""
    yield from _settled_batches(folder, verdicts_folder(folder, *of, verifier), columns)


def sample_keys(folder: Path, task: str, model: str) -> KeySet:
    """(problem_id, index) of every stored sample."""
    place = samples_folder(folder, task, model)

    def read() -> KeySet:
        keys = KeySet()
        for batch in folder_batches(folder, place, SAMPLES, KEY):
            keys.add_columns(batch.column(0), batch.column(1))
        return keys

    return again_when_compacted(place, read)


def settled_keys(folder: Path, task: str, model: str, verifier: str) -> KeySet:
    """(problem_id, index) of every stored sample that has a verdict other than void."""
    place = verdicts_folder(folder, task, model, verifier)

    def read() -> KeySet:
        keys = KeySet()
        for batch in folder_batches(folder, place, VERDICTS, (*KEY, "outcome")):
            settled = batch.filter(pc.not_equal(batch.column(2), pa.scalar(Outcome.VOID.value)))
            keys.add_columns(settled.column(0), settled.column(1))
        return keys

    return again_when_compacted(place, read)


def read_verdicts(folder: Path, task: str, model: str, verifier: str) -> Iterator[Verdict]:
    """The settled verdict of each stored (problem_id, index): the last one that is not void, else the void one."""
    place = verdicts_folder(folder, task, model, verifier)
    for batch in _settled_batches(folder, place, tuple(VERDICT_SCHEMA)):
        for row in cast(Iterator[tuple[Any, ...]], to_rows(batch)):
            problem_id, index, outcome, answer, reason, seconds = row
            yield Verdict(problem_id, index, Outcome(outcome), answer, reason, seconds)


def token_sums(folder: Path, task: str, model: str) -> dict[str, tuple[int, int]]:
    """problem_id -> number of its stored samples, and of their tokens."""
    sums: dict[str, tuple[int, int]] = {}
    for batch in first_rows(folder, samples_folder(folder, task, model), (*KEY, "n_tokens")):
        table = pa.table([batch.column(0), batch.column(2)], names=["problem_id", "n_tokens"])
        counted = table.group_by("problem_id").aggregate([("n_tokens", "count"), ("n_tokens", "sum")])
        for row in counted.to_pylist():
            samples, tokens = sums.get(row["problem_id"], (0, 0))
            sums[row["problem_id"]] = (samples + row["n_tokens_count"], tokens + row["n_tokens_sum"])
    return sums


def read_texts(folder: Path, task: str, model: str) -> Iterator[tuple[str, int, str, str, int]]:
    """(problem_id, index, text, finish reason, number of tokens) of every stored sample, the first of each index."""
    for batch in first_rows(folder, samples_folder(folder, task, model), TEXT_COLUMNS):
        yield from cast(Iterator[tuple[str, int, str, str, int]], to_rows(batch))


def read_scores(folder: Path, kind: PartKind, task: str, scorer: str, author: str) -> Iterator[tuple[Any, ...]]:
    """What a model says of an author's texts: rows in the order of the kind's columns, the first of each sample."""
    place = scores_folder(folder, kind.top, task, scorer, author)
    for batch in first_rows(folder, place, tuple(kind.columns), kind=kind):
        yield from to_rows(batch)


def count_verdicts(
    folder: Path, task: str, model: str, verifier: str, stages: Sequence[int] = ()
) -> list[VerdictCount]:
    """The settled verdicts, as `read_verdicts` gives them, sorted and counted by problem, stage, outcome, answer.

    `stages`: numbers of samples at which the stages end, rising; samples past the last belong to one stage more.
    """
    place = verdicts_folder(folder, task, model, verifier)
    ends = np.array(stages, dtype=np.int64)
    counted: list[pa.Table] = []
    for batch in _settled_batches(folder, place, COUNTED_COLUMNS):
        stage = pa.array(np.searchsorted(ends, np.asarray(batch.column(1)), side="right"))
        columns = [batch.column(0), stage, batch.column(2), batch.column(3), pa.repeat(1, len(batch))]
        counted.append(_fold([pa.table(columns, names=[*_COUNTED_BY, "count"])]))
        if sum(map(len, counted)) > _FOLDED_AT + 2 * len(counted[0]):
            counted = [_fold(counted)]
    if not counted:
        return []
    rows = _fold(counted).sort_by([(name, "ascending") for name in _COUNTED_BY])
    return [
        VerdictCount(row["problem_id"], Outcome(row["outcome"]), row["answer"], row["count"], row["stage"])
        for batch in rows.to_batches()
        for row in batch.to_pylist()
    ]


_COUNTED_BY = ("problem_id", "stage", "outcome", "answer")


def _fold(tables: Sequence[pa.Table]) -> pa.Table:
    folded = pa.concat_tables(tables).group_by(list(_COUNTED_BY), use_threads=False).aggregate([("count", "sum")])
    return folded.rename_columns([name.removesuffix("_sum") for name in folded.column_names])


def _settled_batches(root: Path, folder: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of `read_verdicts`; `columns` begin with KEY. Reads twice: to see what settles, and to give it."""
    given = KeySet()
    before: object = None
    while True:
        parts = live_parts(folder)
        try:
            settling = Settling()
            for part in parts:
                for batch in part_batches(root, part.path, VERDICTS, (*KEY, "outcome")):
                    settling.add(batch, np.asarray(pc.equal(batch.column(2), pa.scalar(Outcome.VOID.value))))
            wins = settling.decide()
            start = 0
            for part in parts:
                for batch in part_batches(root, part.path, VERDICTS, columns):
                    chosen = batch.filter(pa.array(wins[start : start + len(batch)]))
                    start += len(batch)
                    yield chosen.filter(pa.array(given.add_columns(chosen.column(0), chosen.column(1))))
            return
        except PartVanished as error:
            check_progress(folder, before, error)
            before = parts


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder))
