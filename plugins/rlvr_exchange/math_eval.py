"""The `math-eval` importer: the outputs of Qwen2.5-Math's evaluation code and its descendants, as SimpleRL's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.deciding import SampleFormat, outcome_of, same_length
from rlvr_exchange.lines import Row, first_row, is_jsonl, read_rows, shown
from rlvr_harness import FinishReason, ForeignChoice, ForeignRow, ForeignSample, Outcome, TaskError, UsageError

FILE_NAME = re.compile(r"(\w+_.+_-?\d+)_seed(\d+)_(t[\d.]+)_s(-?\d+)_e(-?\d+)\.jsonl")
"""test_qwen-boxed_-1_seed1_t0.6_s0_e-1.jsonl -> prompt and split, seed, temperature, first and last problem"""
ENDS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}


class MathEvalOutputs(SampleFormat):
    """One row a problem with its `code` (the texts), `pred` (the answers) and `score` (the verdicts)."""

    name = "math-eval"
    description = "outputs of Qwen2.5-Math's or SimpleRL's evaluation (idx, code, pred, score), or their folder"

    def recognises(self, path: Path) -> bool:
        """By the fields of the first row."""
        files = [file for of_task in _files(path).values() for file in of_task]
        return bool(files) and {"code", "pred"} <= set(first_row(files[0]))

    def tasks(self, path: Path) -> Sequence[str]:
        """By the folders that the files lie in."""
        return [task for task in _files(path) if task]

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """One ForeignRow per row; files that differ only in their seed are further samples of the same problems."""
        found = _files(path)
        if not found:
            raise TaskError(f"{path} holds no .jsonl outputs with idx, code, pred and score")
        if choice.task not in found and len(found) > 1:
            raise UsageError(f"{path} holds {len(found)} tasks ({', '.join(found)}); name one with --task")
        files = found[choice.task if choice.task in found else next(iter(found))]
        _check_alike(files, path)
        seen: dict[tuple[str, str], str] = {}
        for file in files:
            for number, row in enumerate(read_rows(file)):
                yield _row(row, number, choice, (seen, _seed(file)))


def _files(path: Path) -> dict[str, list[Path]]:
    """Task -> files. A file that the evaluation named lies in a folder named after its task."""
    if path.is_file():
        return {path.parent.name if FILE_NAME.fullmatch(path.name) else "": [path]} if is_jsonl(path) else {}
    found: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else ():
        if FILE_NAME.fullmatch(file.name):
            found.setdefault(file.parent.name, []).append(file)
    return found


def _seed(file: Path) -> str:
    named = FILE_NAME.fullmatch(file.name)
    return named[2] if named else ""


def _check_alike(files: Sequence[Path], path: Path) -> None:
    """Raises UsageError where files differ in more than the seed and the range of problems."""
    kinds = {f"{named[1]}, {named[3]}" for file in files if (named := FILE_NAME.fullmatch(file.name))}
    if len(kinds) > 1:
        raise UsageError(
            f"{path} holds outputs of different settings ({'; '.join(sorted(kinds))}); name one file or folder"
        )


def _row(row: Row, number: int, choice: ForeignChoice, place: tuple[dict[tuple[str, str], str], str]) -> ForeignRow:
    seen, seed = place
    problem_id = str(row.content.get("idx", number))
    if (seed, problem_id) in seen:
        raise TaskError(
            f"{row.where}: problem '{problem_id}' of seed {seed or '?'} stands at {seen[seed, problem_id]} already"
        )
    seen[seed, problem_id] = row.where
    texts = _listed(row, "code")
    scores, answers, ends = (row.content.get(name) for name in ("score", "pred", "finish_reason"))
    scores, answers, ends = (_as_list(value) for value in (scores, answers, ends))
    same_length(row.where, {"code": texts, "score": scores, "pred": answers, "finish_reason": ends})
    samples = [
        _sample(
            row.where, choice, text, scores[at] if scores else None, answers[at] if answers else None, _end(ends, at)
        )
        for at, text in enumerate(texts)
    ]
    gold = row.content.get("gt", row.content.get("answer"))
    question = row.content.get("question")
    hidden = {"code", "pred", "score", "report", "finish_reason"}
    return ForeignRow(
        row.where,
        problem_id,
        samples,
        prompt=question if isinstance(question, str) else None,
        reference=None if gold is None else str(gold),
        metadata={name: value for name, value in row.content.items() if name not in hidden},
        judge="score",
    )


def _listed(row: Row, name: str) -> list[Any]:
    found = _as_list(row.content.get(name))
    if found is None:
        raise TaskError(f"{row.where}: '{name}' is missing; expected the texts of the samples")
    return found


def _as_list(value: Any) -> list[Any] | None:
    return None if value is None else value if isinstance(value, list) else [value]


def _end(ends: list[Any] | None, at: int) -> FinishReason | None:
    return ENDS.get(str(ends[at])) if ends else None


def _sample(
    where: str, choice: ForeignChoice, text: Any, score: Any, answer: Any, end: FinishReason | None
) -> ForeignSample:
    if not isinstance(text, str):
        raise TaskError(f"{where}: 'code' holds {shown(text)}; expected texts")
    if score is None:
        return ForeignSample(text, None, reason="there is no 'score'", finish_reason=end)
    outcome = outcome_of(score, choice.threshold, "'score'", where)
    given = str(answer) if answer not in (None, "") else None
    reason = "match" if outcome is Outcome.RIGHT else "no_match" if given else "no_answer"
    return ForeignSample(text, outcome, given, reason, end)
