"""Pictures of a task's problems: found beside a local copy of the data, or decoded in the rows of a data set."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_harness.errors import TaskError
from rlvr_harness.records import Problem
from rlvr_harness.requests import ChatMessage, PromptRequest

DECODED = "decoded_image"
"""Field of MathVista's and MathVision's data sets that holds the picture, where the image field holds its path."""


def marked(task: str, request: PromptRequest) -> PromptRequest:
    """The request with the mark of a picture before the question, where a chat template is to put its own words.

    A plain prompt has no mark: the sampler shows the picture before it. Raises TaskError for worked examples.
    """
    if request.num_fewshot:
        raise TaskError(f"task '{task}' shows pictures, and worked examples of it have none; drop --num_fewshot")
    render = request.chat_renderer
    if render is None:
        return request

    def render_marked(messages: Sequence[ChatMessage], add_generation_prompt: bool = True) -> str:
        *before, question = messages
        shown = {**question, "content": f"{Problem.IMAGE_MARK}\n{question['content']}"}
        return render([*before, shown], add_generation_prompt)

    return dataclasses.replace(request, chat_renderer=render_marked)


def with_pictures(
    problems: Sequence[Problem], documents: Sequence[Mapping[str, Any]], field: str, folder: Path | None
) -> list[Problem]:
    """The problems with the pictures of their documents; paths are relative to `folder`.

    A problem has none where a file is missing: its answers can be judged all the same, and `check_shown` refuses it.
    """
    return [
        dataclasses.replace(problem, images=_pictures(problem, document, field, folder))
        for problem, document in zip(problems, documents, strict=True)
    ]


def _pictures(problem: Problem, document: Mapping[str, Any], field: str, folder: Path | None) -> tuple[bytes, ...]:
    value = document.get(field)
    if isinstance(value, str) and document.get(DECODED) is not None:
        value = document[DECODED]
    values = value if isinstance(value, list | tuple) else [value]
    found = [_bytes(one, folder) for one in values]
    return tuple(image for image in found if image is not None) if None not in found else ()


def check_shown(problems: Sequence[Problem], field: str) -> None:
    """Raises TaskError for the first problem without its picture."""
    for problem in problems:
        if not problem.images:
            raise TaskError(
                f"task '{problem.task}', problem '{problem.problem_id}': its picture ({problem.metadata.get(field)}) "
                "is not there; put the data set's pictures beside its rows under --data_dir"
            )


def _bytes(value: Any, folder: Path | None) -> bytes | None:
    """The picture's file: of a path, of bytes as `datasets` stores them, or of a decoded picture as PNG; None: none."""
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and folder is not None and (folder / value).is_file():
        return (folder / value).read_bytes()
    if hasattr(value, "save"):
        stored = io.BytesIO()
        value.save(stored, format="PNG")
        return stored.getvalue()
    return None
