"""LiveCodeBench's files: which there are, and their rows one at a time, since some take hundreds of megabytes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rlvr_harness import TaskError, first_line

Place = tuple[str, int]
"""File and line number."""


@dataclass(frozen=True, slots=True)
class Line:
    """One problem as a file holds it; `row` is empty where only the rest was asked for."""

    place: Place
    problem_id: str
    date: str
    private: bool
    row: Mapping[str, Any]


def release_names(release: int) -> list[str]:
    """The hub's files of a release: each holds what is new in it. 2 -> test.jsonl, test2.jsonl."""
    return ["test.jsonl", *(f"test{number}.jsonl" for number in range(2, release + 1))]


def local_files(task: str, folder: Path, release: int) -> list[Path]:
    """The release's files in a folder, and any file of public tests. Raises TaskError where there is none."""
    wanted = [folder / f"{name}{suffix}" for name in release_names(release) for suffix in ("", ".gz")]
    found = [path for path in wanted if path.is_file()]
    found += sorted(path for path in folder.glob("*public_tests.jsonl*") if path.suffix in (".jsonl", ".gz"))
    if not found:
        raise TaskError(
            f"task '{task}': {folder} holds none of {', '.join(release_names(release))}; put them there or drop "
            "--data_dir"
        )
    return found


def hub_files(task: str, config: Mapping[str, Any], release: int) -> list[Path]:
    """The release's files, fetched from the hub or taken from its cache. Raises TaskError."""
    import huggingface_hub

    try:
        return [
            Path(
                huggingface_hub.hf_hub_download(
                    config["dataset_path"],
                    name,
                    repo_type="dataset",
                    revision=config["dataset_kwargs"]["revision"],
                )
            )
            for name in release_names(release)
        ]
    except (OSError, ValueError, RuntimeError) as error:
        raise TaskError(
            f"task '{task}': its data set cannot be fetched from the hub ({first_line(error)}); "
            "check the network, or give local copies with --data_dir DIR"
        ) from error


def lines_of(task: str, paths: Sequence[Path], wanted: frozenset[Place] | None = None) -> Iterator[Line]:
    """Every problem that has tests, without its row; with `wanted` those alone, with their rows. Raises TaskError."""
    for path in paths:
        number = 0
        try:
            with _opened(path) as file:
                for number, text in enumerate(file, start=1):
                    place = (str(path), number)
                    if text.strip() and (wanted is None or place in wanted):
                        line = _line(place, json.loads(text), wanted is not None)
                        if line is not None:
                            yield line
        except json.JSONDecodeError as error:
            raise TaskError(f"task '{task}': {path} line {number} is not JSON: {error.msg}") from error
        except (OSError, EOFError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise TaskError(f"task '{task}': {path} line {number} cannot be read: {error!r}") from error


def _line(place: Place, row: Mapping[str, Any], whole: bool) -> Line | None:
    if not row.get("public_test_cases"):
        return None
    private = bool(row.get("private_test_cases"))
    return Line(place, str(row["question_id"]), str(row["contest_date"]), private, row if whole else {})


def _opened(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
