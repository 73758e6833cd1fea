"""Our task definitions on disk: lm-eval YAML whose `metadata` block tells the harness what lm-eval does not know.

Keys of `metadata`: version, verifier, description, problem_id (field, or null for the row number), local_file (under
--data_dir), local_each (instead of it a folder per problem: folder, file, fields as jinja templates), required_fields,
question (jinja of the bare problem, for prompt profiles), answer_policies (those the verifier reads; default: all),
answer_space (number of equally likely guesses) or chance (field holding the chance of a random solver), chance_label,
and for data that ships beside the YAML, revision.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness.errors import TaskError, first_line
from rlvr_harness.local_rows import read_each, read_file
from rlvr_harness.profiles import PromptProfile
from rlvr_harness.records import Problem

PACKAGE_FOLDER = Path(__file__).parent


def packaged_task_folder(name: str) -> Path:
    """The folder of a task that ships with the harness, in an installed copy or in the checkout."""
    for root in (PACKAGE_FOLDER / "tasks", PACKAGE_FOLDER.parent / "tasks"):
        if (root / name / f"{name}.yaml").is_file():
            return root / name
    raise TaskError(f"task '{name}': no {name}/{name}.yaml among the packaged tasks; reinstall rlvr-harness")


@dataclass(frozen=True)
class Selection:
    """Which rows of a data set belong to a task: those with these field values, then a part of a hashed order.

    `keep`: field -> value, or list of values; null stands for an empty field (null, "", []). `field`, `seed`, `start`
    and `stop` cut rows `start:stop` from the order of sha256("seed:" + text of the field), equal texts in file order:
    a split that anyone can make again from the data alone.
    """

    keep: Mapping[str, Any]
    field: str | None = None
    seed: int = 0
    start: int = 0
    stop: int | None = None

    @property
    def fields(self) -> list[str]:
        """The fields that the selection reads."""
        return [*self.keep, *([self.field] if self.field else [])]

    def rows(self, columns: Mapping[str, Sequence[Any]]) -> list[int]:
        """Numbers of the selected rows, in file order; `columns` holds every field of `fields`, one value a row."""
        count = len(next(iter(columns.values())))
        chosen = [row for row in range(count) if all(_fits(columns[f][row], v) for f, v in self.keep.items())]
        if self.field is None:
            return chosen
        texts = columns[self.field]
        ordered = sorted(chosen, key=lambda row: hashlib.sha256(f"{self.seed}:{texts[row]}".encode()).hexdigest())
        return sorted(ordered[self.start : self.stop])


def _fits(value: object, wanted: object) -> bool:
    options = wanted if isinstance(wanted, list) and wanted else [wanted]
    empty = value is None or value == "" or value == []
    return any(empty if option in (None, "", []) else value == option for option in options)


@dataclass(frozen=True)
class TaskFile:
    """One parsed task YAML."""

    path: Path
    config: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> TaskFile:
        """Parses the YAML; raises TaskError when it is not a task of ours."""
        import yaml

        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise TaskError(f"task file {path} does not exist") from error
        except yaml.YAMLError as error:
            raise TaskError(f"task file {path} is not plain YAML: {str(error).splitlines()[0]}") from error
        for key in ("task", "test_split", "metadata"):
            if not isinstance(config, dict) or key not in config:
                raise TaskError(f"task file {path} lacks '{key}'")
        for key in ("verifier", "description"):
            if key not in config["metadata"]:
                raise TaskError(f"task file {path} lacks metadata.{key}")
        return cls(path, config)

    @property
    def _metadata(self) -> Mapping[str, Any]:
        metadata: Mapping[str, Any] = self.config["metadata"]
        return metadata

    @property
    def name(self) -> str:
        """The task's name."""
        return str(self.config["task"])

    @property
    def description(self) -> str:
        """One line for `ls tasks`."""
        return str(self._metadata["description"])

    @property
    def verifier(self) -> str:
        """Name of the task's default verifier."""
        return str(self._metadata["verifier"])

    @property
    def problem_id_field(self) -> str | None:
        """The field that identifies a problem; None for the row number."""
        return self._metadata.get("problem_id")

    @property
    def required_fields(self) -> Sequence[str]:
        """Fields without which a row is refused."""
        return tuple(self._metadata.get("required_fields", ()))

    @property
    def chance_label(self) -> str:
        """How the random solver behind `chances` draws its answers."""
        return str(self._metadata.get("chance_label", ""))

    @property
    def source(self) -> str:
        """Where the data comes from when no local copy is given."""
        return str(self._metadata.get("source") or self.config.get("dataset_path"))

    @property
    def packaged_data(self) -> Path | None:
        """The data file that ships beside the YAML, for `dataset_path: json`; None for hub data."""
        files = (self.config.get("dataset_kwargs") or {}).get("data_files") or {}
        relative = files.get(self.config["test_split"]) if isinstance(files, dict) else None
        return self.path.parent / relative if relative else None

    def config_for(self, data_dir: Path | None) -> tuple[dict[str, Any], str]:
        """The lm-eval configuration and the revision of the data it reads."""
        local = self.local_file(data_dir)
        if local is not None:
            return dict(self.config), f"local file {local.name} ({self.source})"
        if self.packaged_data is not None:
            return dict(self.config), str(self._metadata.get("revision", "packaged"))
        kwargs = self.config.get("dataset_kwargs") or {}
        return dict(self.config), f"{self.source}@{kwargs.get('revision', 'main')}"

    def local_file(self, data_dir: Path | None) -> Path | None:
        """The local copy under `data_dir`, a file or, of tasks that know the layout, a folder with one per problem.

        Raises TaskError when the task has one by name but it is missing.
        """
        relative = self._metadata.get("local_file")
        if data_dir is None or relative is None:
            return None
        path = data_dir / str(relative)
        if not path.is_file() and self._each and (data_dir / self._each["folder"]).is_dir():
            return data_dir / str(self._each["folder"])
        if not path.is_file():
            raise TaskError(f"task '{self.name}': {path} does not exist; put {relative} there or drop --data_dir")
        return path

    @property
    def _each(self) -> dict[str, Any]:
        return self._metadata.get("local_each") or {}

    def rows_at(self, path: Path) -> list[dict[str, Any]]:
        """The rows of a local copy."""
        if path.is_dir():
            return read_each(path, self._each["file"], self._each["fields"], self.name)
        return read_file(path, self.name)

    @property
    def question(self) -> str | None:
        """Jinja template of the bare problem, which prompt profiles put their own words around; None: none."""
        return self._metadata.get("question")

    def worded(self, config: Mapping[str, Any], profile: PromptProfile | None) -> dict[str, Any]:
        """The configuration with the profile's prompt and stop strings; raises TaskError where it cannot be applied."""
        if profile is None or profile.before is None:
            return dict(config)
        if self.question is None:
            raise TaskError(f"task '{self.name}' has a prompt of its own kind; it cannot take --prompt {profile.name}")
        policies = self._metadata.get("answer_policies") or [profile.answer_policy]
        if profile.answer_policy not in policies:
            raise TaskError(
                f"task '{self.name}': its verifier looks for answers as {', '.join(policies)}, and "
                f"--prompt {profile.name} asks for them as {profile.answer_policy}; see `ls prompts` for another"
            )
        kwargs = {**(config.get("generation_kwargs") or {}), "until": list(profile.stop)}
        return {**config, "doc_to_text": profile.template(self.question), "generation_kwargs": kwargs}

    @property
    def image_field(self) -> str | None:
        """The field that holds a problem's picture; None for tasks in text alone."""
        return self._metadata.get("image_field")

    def picture_folder(self, data_dir: Path | None) -> Path | None:
        """Where the pictures lie that the rows name by path; None for data that holds its pictures."""
        path = self.local_file(data_dir) or self.packaged_data
        return path if path is None or path.is_dir() else path.parent

    @property
    def selection(self) -> Selection:
        """Which rows of the data belong to the task."""
        split = self._metadata.get("hash_split") or {}
        return Selection(dict(self._metadata.get("keep") or {}), **split)

    def chances(self, docs: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
        """problem_id -> chance that one random guess is right; empty when the task does not know."""
        if "answer_space" in self._metadata:
            return {problem_id: 1.0 / float(self._metadata["answer_space"]) for problem_id in docs}
        if "chance" in self._metadata:
            return {problem_id: float(doc[self._metadata["chance"]]) for problem_id, doc in docs.items()}
        return {}


def read_rows(config: Mapping[str, Any], file: TaskFile, data_dir: Path | None) -> list[dict[str, Any]] | None:
    """The task's documents in a local or packaged file (.jsonl; .json list or object of rows; or gzipped).

    None for hub data.
    """
    path = file.local_file(data_dir) or file.packaged_data
    if path is None:
        return None
    rows = file.rows_at(path)
    fields = file.selection.fields
    if rows and fields:
        columns = {field: [row.get(field) for row in rows] for field in fields}
        rows = [rows[number] for number in file.selection.rows(columns)]
    if not rows:
        raise TaskError(f"task '{file.name}': {path} holds no rows of this task")
    return rows


def check_fields(docs: Sequence[Mapping[str, Any]], file: TaskFile) -> None:
    """Raises TaskError for the first row that lacks a required field."""
    for row, doc in enumerate(docs):
        missing = [field for field in file.required_fields if doc.get(field) is None]
        if missing:
            raise TaskError(
                f"task '{file.name}': row {row} of its data lacks {', '.join(repr(m) for m in missing)} "
                f"(has {', '.join(sorted(doc))}); expected the layout of {file.source}"
            )


def hash_documents(docs: Sequence[Mapping[str, Any]]) -> str:
    """sha256 over the documents, in order."""
    digest = hashlib.sha256()
    for doc in docs:
        digest.update(json.dumps(doc, sort_keys=True, ensure_ascii=False, default=str).encode())
    return digest.hexdigest()


def as_dataset(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    """The rows as a `datasets.Dataset`; raises TaskError when a field changes its type between rows."""
    import datasets
    import pyarrow

    try:
        return datasets.Dataset.from_list([dict(row) for row in rows])
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise TaskError(f"task '{name}': rows of its data file differ in type: {first_line(error)}") from error


def check_unique(name: str, problem_ids: Sequence[str]) -> None:
    """Raises TaskError for a problem id that occurs twice."""
    seen: set[str] = set()
    for problem_id in problem_ids:
        if problem_id in seen:
            raise TaskError(f"task '{name}': problem id '{problem_id}' occurs twice in its data")
        seen.add(problem_id)


def stop_strings(until: object) -> tuple[str, ...]:
    """lm-eval's `until`, one string or a list of them, without empty ones. "END" -> ("END",)."""
    listed = [until] if isinstance(until, str) else until if isinstance(until, list | tuple) else []
    return tuple(str(stop) for stop in listed if stop)


def with_policy(problem: Problem, profile: PromptProfile | None) -> Problem:
    """The problem with the profile's answer policy in its metadata, where the verifier looks for it."""
    if profile is None or profile.before is None:
        return problem
    return dataclasses.replace(problem, metadata={**problem.metadata, "answer_policy": profile.answer_policy})
