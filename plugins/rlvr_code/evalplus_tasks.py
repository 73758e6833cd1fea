"""HumanEval+ and MBPP+: evalplus's own files where they are, else the hub's."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr_code.hub_layout import hub_task, native_row
from rlvr_code.stored_tests import StoredTests, default_folder
from rlvr_code.wording import CONTINUATION, load_worded
from rlvr_harness import Documents, LoadedTask, PromptRequest, TaskError, first_line, packaged_task
from rlvr_sandbox.datasets import evalplus_task
from rlvr_sandbox.errors import TaskInvalid

_KEPT = ("task_id", "prompt", "entry_point", "canonical_solution")
_NATIVE = ("{}.jsonl.gz", "{}.jsonl", "{}-v*.jsonl.gz", "{}-v*.jsonl")
_HUB = ("{}-OriginFmt.jsonl.gz", "{}-OriginFmt.jsonl")


@dataclass(frozen=True)
class EvalPlusTask:
    """One of the two. By default the prompt is code to go on from; a prompt profile or a chat asks for a program."""

    name: str
    tests: StoredTests = field(default_factory=lambda: StoredTests(default_folder()))
    words_by_profile: bool = True

    @property
    def description(self) -> str:
        """One line for `ls tasks`."""
        return packaged_task(self.name).description

    def load(self, request: PromptRequest) -> LoadedTask:
        """The problems. Raises TaskError when the data is missing or malformed."""
        file = packaged_task(self.name).file
        if request.data_dir is None:
            rows = _hub_rows(self.name, file.config)
            revision = f"{file.source}@{file.config['dataset_kwargs']['revision']}"
        else:
            path = _local_file(self.name, request.data_dir, file.config["metadata"]["local_stem"])
            rows, revision = read_jsonl(path, self.name), f"local file {path.name} ({file.source})"
        documents = [self._document(row) for row in rows[: request.limit]]
        return load_worded(self.name, request, Documents(documents, revision), CONTINUATION)

    def _document(self, row: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if "base_input" not in row:
                kept = native_row(row)
                hub_task(kept)
            else:
                evalplus_task(row)
                kept = dict(row)
        except TaskInvalid as error:
            raise TaskError(f"task '{self.name}': {error}; expected evalplus's files or those of the hub") from error
        return {**{key: str(kept[key]) for key in _KEPT}, "tests": self.tests.put(kept)}


def _local_file(task: str, data_dir: Path, stem: str) -> Path:
    for pattern in (*_NATIVE, *_HUB):
        if found := sorted(data_dir.glob(pattern.format(stem))):
            return found[-1]
    raise TaskError(f"task '{task}': {data_dir / stem}.jsonl.gz does not exist; put it there or drop --data_dir")


def _hub_rows(task: str, config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    import datasets

    try:
        data = datasets.load_dataset(
            config["dataset_path"], split=config["test_split"], revision=config["dataset_kwargs"]["revision"]
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise TaskError(
            f"task '{task}': its data set cannot be fetched from the hub ({first_line(error)}); "
            "check the network, or give local copies with --data_dir DIR"
        ) from error
    return list(data)


def read_jsonl(path: Path, task: str) -> Sequence[Mapping[str, Any]]:
    """The rows of a small file. Raises TaskError naming the line of a fault."""
    rows = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    rows.append(json.loads(line))
                    if not isinstance(rows[-1], dict):
                        raise TaskError(f"task '{task}': {path} line {number} is not an object with fields")
    except json.JSONDecodeError as error:
        raise TaskError(f"task '{task}': {path} line {len(rows) + 1} is not JSON: {error.msg}") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TaskError(f"task '{task}': {path} cannot be read: {error}") from error
    if not rows:
        raise TaskError(f"task '{task}': {path} holds no rows")
    return rows
