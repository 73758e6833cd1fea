"""The `livecodebench` importer: `*_eval_all.json` of LiveCodeBench's own runner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlvr_exchange.deciding import SampleFormat, one_file, outcome_of, program_answer, same_length
from rlvr_exchange.documents import list_elements, top_keys
from rlvr_exchange.lines import Row, shown
from rlvr_harness import ForeignChoice, ForeignRow, ForeignSample, Outcome, TaskError

TASK = "livecodebench"


class LiveCodeBenchResults(SampleFormat):
    """Completions, programs and verdicts, one element a problem."""

    name = "livecodebench"
    description = "*_eval_all.json of LiveCodeBench's runner, or its folder"

    def recognises(self, path: Path) -> bool:
        """By the fields of the first element."""
        return any({"question_id", "graded_list"} <= set(top_keys(file)) for file in _files(path)[:1])

    def tasks(self, path: Path) -> Sequence[str]:
        """The one there is."""
        return [TASK] if self.recognises(path) else []

    def rows(self, path: Path, choice: ForeignChoice) -> Iterator[ForeignRow]:
        """One ForeignRow per problem."""
        files = _files(path)
        if not files:
            raise TaskError(f"{path}: no *_eval_all.json; run LiveCodeBench's runner with --evaluate")
        seen: Counter[str] = Counter()
        for where, element in list_elements(one_file({TASK: files}, TASK, path)):
            if not isinstance(element, dict):
                raise TaskError(f"{where}: {shown(element)}; expected an object with question_id and graded_list")
            yield _row(Row(where, element), choice, seen)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob("*_eval_all.json"))
    return [path] if path.suffix == ".json" and path.is_file() else []


def _row(row: Row, choice: ForeignChoice, seen: Counter[str]) -> ForeignRow:
    graded, texts, programs = (row.content.get(name) for name in ("graded_list", "output_list", "code_list"))
    if not isinstance(graded, list):
        raise TaskError(f"{row.where}: 'graded_list' is {shown(graded)}; expected a list of true and false")
    texts, programs = (value if isinstance(value, list) else None for value in (texts, programs))
    same_length(row.where, {"graded_list": graded, "output_list": texts, "code_list": programs})
    samples = []
    for place, grade in enumerate(graded):
        outcome = outcome_of(grade, choice.threshold, "'graded_list'", row.where)
        program = programs[place] if programs else None
        text = texts[place] if texts else program
        answer = program_answer(program if isinstance(program, str) else None)
        reason = "passed" if outcome is Outcome.RIGHT else "failed" if program else "no_program"
        samples.append(ForeignSample(text if isinstance(text, str) else None, outcome, answer, reason))
    return ForeignRow(
        row.where,
        _problem_id(row, seen),
        samples,
        prompt=_prompt(row.content),
        metadata={name: row.content[name] for name in METADATA if name in row.content},
        judge="graded_list",
    )


METADATA = ("question_title", "platform", "contest_id", "contest_date", "difficulty", "starter_code")


def _problem_id(row: Row, seen: Counter[str]) -> str:
    """The question's id; the scenarios beside code generation ask several times about one question."""
    question = str(row.need("question_id", str, int))
    if "test_id" in row.content:
        return f"{question}/{row.content['test_id']}"
    seen[question] += 1
    if seen[question] > 1:
        raise TaskError(f"{row.where}: question_id '{question}' stands in the file already")
    return question


def _prompt(content: Any) -> str | None:
    question = content.get("question_content")
    starter = content.get("starter_code")
    return None if not isinstance(question, str) else f"{question}\n\n{starter}" if starter else question
