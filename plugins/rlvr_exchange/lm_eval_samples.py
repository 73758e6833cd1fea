"""The `lm-eval` importer: `samples_<task>_<time>.jsonl`, as `--log_samples` writes them, or the output folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.deciding import SampleFormat, one_file, one_of, outcome_of, unjudged
from rlvr_exchange.lines import Row, first_row, is_jsonl, read_rows, shown
from rlvr_harness import ForeignChoice, ForeignRow, ForeignSample, Outcome, TaskError, UsageError

FILE_NAME = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT[\d.:-]+\.jsonl(\.gz|\.zst)?")
"""samples_gsm8k_cot_2026-11-21T14-19-05.564644.jsonl -> gsm8k_cot"""
OWN_KEYS = frozenset(
    {
        *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash"),
        *("prompt_hash", "target_hash", "problem_id", "sample_index", "finish_reason", "n_tokens"),
    }
)
NO_ANSWER = "[invalid]"
"""What lm-eval's filters give where they find no answer."""


class LmEvalSamples(SampleFormat):
    """Samples as lm-eval logs them: one row per document and filter, or per sample."""

    name = "lm-eval"
    description = "samples_<task>_<time>.jsonl of lm-eval's --log_samples, or its output folder"

    def recognises(self, path: Path) -> bool:
        """By the fields of the first row."""
        files = [file for of_task in _files(path).values() for file in of_task]
        return bool(files) and {"doc_id", "resps", "filtered_resps"} <= set(first_row(files[0]))

    def tasks(self, path: Path) -> Sequence[str]:
        """By the names of the files."""
        return [task for task in _files(path) if task]

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """One ForeignRow per row of the filter that judges: the one asked for, else the first."""
        found = _files(path)
        if not found:
            raise TaskError(f"{path} holds no samples_<task>_<time>.jsonl; run lm-eval with --log_samples")
        file = one_file(found, choice.task if choice.task in found else None, path)
        metric, wanted = _metric_and_filter(choice.metric)
        reader = _Reader(file, metric, wanted, choice.threshold)
        yield from reader.rows()


def _files(path: Path) -> dict[str, list[Path]]:
    """Task -> files; the task of a file that is named otherwise is ""."""
    if path.is_file():
        named = FILE_NAME.fullmatch(path.name)
        return {named[1] if named else "": [path]} if is_jsonl(path) else {}
    found: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("samples_*.jsonl*")) if path.is_dir() else ():
        if named := FILE_NAME.fullmatch(file.name):
            found.setdefault(named[1], []).append(file)
    return found


def _metric_and_filter(metric: str | None) -> tuple[str | None, str | None]:
    """ "exact_match,strict-match" -> both; "exact_match" -> no filter."""
    name, comma, wanted = (metric or "").partition(",")
    return name or None, wanted if comma else None


class _Reader:
    """One file; knows which filter and metric decide once it has seen a row."""

    def __init__(self, file: Path, metric: str | None, wanted: str | None, threshold: float | None) -> None:
        self._file, self._metric, self._filter, self._threshold = file, metric, wanted, threshold
        self._decided: str | None = None
        self._filters: list[str] = []
        self._unfiltered: dict[Any, str] = {}

    def rows(self) -> Iterator[ForeignRow]:
        asked = self._filter is not None
        for row in read_rows(self._file):
            name = str(row.content.get("filter", "none"))
            self._filters += [] if name in self._filters else [name]
            if self._filter is None:
                self._filter = name
            if name == self._filter:
                yield self._row(row)
        if asked and self._filter not in self._filters:
            raise UsageError(f"{self._file}: no row has filter '{self._filter}'; there is {', '.join(self._filters)}")
        if not self._filters:
            raise TaskError(f"{self._file} holds no rows")

    def _row(self, row: Row) -> ForeignRow:
        doc_id = row.need("doc_id", int, str)
        if "filter" not in row.content:
            self._check_once(doc_id, row)
        if self._decided is None:
            self._decided = one_of(self._metric, _metrics(row.content), row.where, "metric")
        samples, right = self._samples(row, _texts(row))
        target = row.content.get("target")
        doc = row.content.get("doc")
        return ForeignRow(
            row.where,
            str(row.content.get("problem_id", doc_id)),
            samples,
            prompt=_prompt(row.content.get("arguments")),
            reference=target if target is None or isinstance(target, str) else json.dumps(target, ensure_ascii=False),
            metadata=doc if isinstance(doc, dict) else {},
            fingerprint=row.content.get("doc_hash"),
            judge=f"{self._decided},{self._filter}",
            right=right,
        )

    def _check_once(self, doc_id: Any, row: Row) -> None:
        """Old files name no filter: a second row may be another filter of the same samples, or further samples."""
        if doc_id in self._unfiltered:
            raise TaskError(
                f"{row.where}: doc_id {doc_id} stands at {self._unfiltered[doc_id]} already and the rows name no "
                "'filter', so they may be the same samples twice; keep one row a document"
            )
        self._unfiltered[doc_id] = row.where

    def _samples(self, row: Row, texts: Sequence[str]) -> tuple[list[ForeignSample], int | None]:
        """The samples of a row, and how many are right where the row says only that."""
        metric = str(self._decided)
        value = row.content.get(metric)
        if value is None:
            raise TaskError(f"{row.where}: no '{metric}'; expected the score of the row")
        answers = _answers(row.content.get("filtered_resps"), len(texts))
        values = value if isinstance(value, list) else [value]
        if len(values) == len(texts):
            what = f"'{metric}'"
            outcomes = [outcome_of(one, self._threshold, what, row.where) for one in values]
            return [_sample(row, *each) for each in zip(texts, outcomes, answers, strict=True)], None
        if metric == "pass@1" and isinstance(value, int | float) and float(value * len(texts)).is_integer():
            return [unjudged(text, "counted") for text in texts], int(value * len(texts))
        why = f"lm-eval gave one '{metric}' for {len(texts)} responses, which judges only one of them"
        return [unjudged(text, why) for text in texts], None


def _metrics(content: Mapping[str, Any]) -> list[str]:
    """The scores of a row: those that it lists, else every number that is no field of lm-eval's own."""
    listed = content.get("metrics")
    if isinstance(listed, list) and listed:
        return [str(name) for name in listed if name in content]
    kinds = (int, float, list)
    return [name for name, value in content.items() if name not in OWN_KEYS and isinstance(value, kinds)]


def _texts(row: Row) -> list[str]:
    responses: list[Any] = row.need("resps", list)
    if len(responses) == 1 and isinstance(responses[0], list):
        responses = responses[0]
    if not responses or not all(isinstance(text, str) for text in responses):
        raise TaskError(
            f"{row.where}: 'resps' is {shown(responses)}; expected generated texts, as generate_until tasks have them"
        )
    return responses


def _answers(filtered: Any, number: int) -> list[str | None]:
    found = filtered[0] if isinstance(filtered, list) and len(filtered) == 1 else filtered
    found = found if isinstance(found, list) else [found]
    if len(found) != number:
        return [None] * number
    return [answer if isinstance(answer, str) and answer != NO_ANSWER else None for answer in found]


def _sample(row: Row, text: str, outcome: Outcome, answer: str | None) -> ForeignSample:
    return ForeignSample(text, outcome, answer, "match" if outcome is Outcome.RIGHT else "no_match")


def _prompt(arguments: Any) -> str | None:
    """{"gen_args_0": {"arg_0": PROMPT, ...}} or [[PROMPT, {...}]] -> PROMPT"""
    found = arguments
    for _ in range(2):
        if isinstance(found, dict):
            found = next(iter(found.values()), None)
        elif isinstance(found, list) and found:
            found = found[0]
    return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)
