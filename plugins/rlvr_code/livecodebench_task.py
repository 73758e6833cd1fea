"""LiveCodeBench: problems of a release or of a window of contest dates, with the private tests where there are any."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlvr_code.release_files import Line, hub_files, lines_of, local_files
from rlvr_code.stored_tests import StoredTests, default_folder
from rlvr_code.wording import PROGRAM, load_worded
from rlvr_harness import Documents, LoadedTask, PromptRequest, TaskError, UsageError, packaged_task
from rlvr_sandbox.datasets import livecodebench_task
from rlvr_sandbox.errors import TaskInvalid

_NAME = "livecodebench"
_VARIANT = re.compile(
    r"(?:release_v(?P<release>[1-6]))?(?:(?:^|(?<=\d)\+)(?P<start>\d{4}-\d\d(?:-\d\d)?)\.\.(?P<end>\d{4}-\d\d(?:-\d\d)?))?"
)  # release_v6+2025-01..2025-04
_USUAL_RELEASE = 5
_KEPT = ("question_id", "question_title", "platform", "difficulty", "contest_date")


@dataclass(frozen=True)
class Part:
    """Which problems: those of a release, within two dates; a date may be a month, which is meant whole."""

    release: int = _USUAL_RELEASE
    start: str = ""
    end: str = ""

    @classmethod
    def read(cls, text: str) -> Part:
        """`2024-08..2025-01`, `release_v6` or both with a + between. Raises UsageError for anything else."""
        match = _VARIANT.fullmatch(text)
        if not text or match is None or (match["start"] and match["start"] > match["end"] + "~"):
            raise UsageError(
                f"task '{_NAME}@{text}': after the @ comes a window of dates as 2024-08..2025-01, a release as "
                "release_v6, or both as release_v6+2025-01..2025-04"
            )
        return cls(int(match["release"] or _USUAL_RELEASE), match["start"] or "", match["end"] or "")

    def holds(self, date: str) -> bool:
        """Whether a contest of that date belongs to it: "2025-01-04T18:30:00" to ..2025-01 does."""
        return date[: len(self.start)] >= self.start and date[: len(self.end)] <= self.end


@dataclass(frozen=True)
class LiveCodeBenchTask:
    """All problems of release 5, or the part that was asked for as `livecodebench@PART`."""

    part: Part = Part()
    asked: str = ""
    tests: StoredTests = field(default_factory=lambda: StoredTests(default_folder()))
    words_by_profile: bool = True

    @property
    def name(self) -> str:
        """`livecodebench`, with what was asked for."""
        return f"{_NAME}@{self.asked}" if self.asked else _NAME

    @property
    def description(self) -> str:
        """One line for `ls tasks`."""
        return packaged_task(_NAME).description

    def variant(self, text: str) -> LiveCodeBenchTask:
        """The part of that description. Raises UsageError."""
        return replace(self, part=Part.read(text), asked=text)

    def load(self, request: PromptRequest) -> LoadedTask:
        """The problems, by date. Raises TaskError when the data is missing or malformed."""
        file = packaged_task(_NAME).file
        if request.data_dir is None:
            paths = hub_files(self.name, file.config, self.part.release)
            revision = f"{file.source}@{file.config['dataset_kwargs']['revision']} release_v{self.part.release}"
        else:
            paths = local_files(
                self.name, request.data_dir / file.config["metadata"]["local_folder"], self.part.release
            )
            revision = f"local files {', '.join(path.name for path in paths)} ({file.source})"
        chosen = self._chosen(paths)[: request.limit]
        documents = list(self._documents(paths, chosen))
        loaded = load_worded(_NAME, request, Documents(documents, revision), PROGRAM)
        problems = [replace(problem, task=self.name) for problem in loaded.problems]
        return replace(loaded, problems=problems, notes=self._notes(chosen))

    def _chosen(self, paths: Sequence[Path]) -> list[Line]:
        """One line for each problem of the part, the one with private tests where there are several, by date and id."""
        best: dict[str, Line] = {}
        dates: list[str] = []
        for line in lines_of(self.name, paths):
            dates.append(line.date[:10])
            known = best.get(line.problem_id)
            if self.part.holds(line.date) and (known is None or (line.private and not known.private)):
                best[line.problem_id] = line
        if not best:
            seen = f"{len(dates):,} problems of {min(dates)} to {max(dates)}" if dates else "no problem with tests"
            raise TaskError(
                f"task '{self.name}': no problem of it is in {', '.join(str(path) for path in paths)}, which hold "
                f"{seen}; put the hub's test.jsonl to test{self.part.release}.jsonl there, or ask for other dates"
            )
        return sorted(best.values(), key=lambda line: (line.date, line.problem_id))

    def _documents(self, paths: Sequence[Path], chosen: Sequence[Line]) -> Iterator[dict[str, Any]]:
        wanted = {line.place: number for number, line in enumerate(chosen)}
        documents: dict[int, dict[str, Any]] = {}
        for line in lines_of(self.name, paths, frozenset(wanted)):
            documents[wanted[line.place]] = self._document(line.row)
        yield from (documents[number] for number in range(len(chosen)))

    def _document(self, row: Mapping[str, Any]) -> dict[str, Any]:
        try:
            entry = livecodebench_task({**row, "private_test_cases": ""}).entry
        except TaskInvalid as error:
            raise TaskError(
                f"task '{self.name}': {error}; expected the layout of {_NAME}/code_generation_lite"
            ) from error
        return {
            **{key: str(row.get(key) or "") for key in _KEPT},
            "question_content": str(row.get("question_content") or ""),
            "starter_code": str(row.get("starter_code") or ""),
            "entry_point": entry or "",
            "tests": self.tests.put(row),
        }

    def _notes(self, chosen: Sequence[Line]) -> tuple[str, ...]:
        public = sum(not line.private for line in chosen)
        if not public:
            return ()
        return (
            f"task '{self.name}': PUBLIC TESTS ONLY for {public:,} of {len(chosen):,} problems: programs that fail the "
            "private tests count as right, so that these scores are upper bounds and no LiveCodeBench results",
        )
