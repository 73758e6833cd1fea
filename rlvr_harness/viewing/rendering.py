"""Templates, addresses and what every page has in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2

from rlvr_harness.marks import Mark
from rlvr_harness.report.templating import escaping_templates
from rlvr_harness.viewing.asked import Asked, NotThere
from rlvr_harness.viewing.auditing import Marks, SampleKey, storable
from rlvr_harness.viewing.guard import Guard
from rlvr_harness.viewing.index import Snapshot
from rlvr_harness.viewing.pictures import Pictures
from rlvr_harness.viewing.queries import Queries
from rlvr_harness.viewing.shown import PREVIEW, one_line, plain_line, preview, visible

STATIC = Path(__file__).parent / "static"
OUTCOME_SIGNS = {"right": "✓", "wrong": "✗", "void": "∅", "none": "·"}
OUTCOME_WORDS = {"right": "right", "wrong": "wrong", "void": "void", "none": "not judged"}
JUDGEMENT_SIGNS = {"right": "✓", "wrong": "✗", "unsure": "?"}
SPLIT = "<!--split-->"
"""Stands in a page where a streamed list begins."""


@dataclass(frozen=True)
class Request:
    """What a page is made for: its path, the address's values, and the judge's name as last given."""

    path: str
    asked: Asked
    judge: str = ""


@dataclass(frozen=True)
class Pager:
    """Which of how many pages."""

    number: int
    pages: int
    total: int
    start: int
    size: int

    @classmethod
    def of(cls, total: int, size: int, number: int) -> Pager:
        """Page `number` from 1 on, or the last one where there are fewer."""
        pages = max(1, math.ceil(total / size))
        number = min(max(1, number), pages)
        return cls(number, pages, total, (number - 1) * size, size)


def url(path: str, **values: object) -> str:
    """An address of ours; empty values are left out. Ids stand in the query, where any text can."""
    given = {key.rstrip("_"): storable(str(value)) for key, value in values.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def again(request: Request, **changes: object) -> str:
    """The address of the request with some values changed; `page_base` writes `page.base`."""
    return url_of(request.path, {**request.asked, **changes})


def url_of(path: str, values: Mapping[str, object]) -> str:
    """As `url`, for names that are no identifiers."""
    given = {key: storable(str(value)) for key, value in values.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def problem_url(task: str, problem_id: str) -> str:
    """The page of a problem."""
    return url_of("/problem", {"task": task, "id": problem_id})


def sample_url(task: str, model: str, problem_id: str, index: int) -> str:
    """The page of a sample."""
    return url_of("/sample", {"task": task, "model": model, "id": problem_id, "index": index})


def picture_url(task: str, problem_id: str, number: int) -> str:
    """Where the server gives a picture of a problem."""
    return url_of("/picture", {"task": task, "id": problem_id, "number": number})


def environment() -> jinja2.Environment:
    """The templates, escaping whatever they are given."""
    made = escaping_templates(Path(__file__).parent / "templates")
    made.filters.update(visible=lambda text: visible(str(text)), count=lambda number: f"{number:,}")
    made.filters.update(line=lambda text, longest=160: one_line(str(text), longest), preview=_preview)
    made.filters["plain"] = lambda text, longest=160: plain_line(str(text), longest)  # in attributes
    made.globals.update(
        url=url,
        url_of=url_of,
        again=again,
        problem_url=problem_url,
        sample_url=sample_url,
        picture_url=picture_url,
        signs=OUTCOME_SIGNS,
        words=OUTCOME_WORDS,
        judgement_signs=JUDGEMENT_SIGNS,
        preview_length=PREVIEW,
        split=SPLIT,
    )
    return made


def _preview(text: str) -> str:
    return preview(text, PREVIEW)


class Renderer:
    """Makes pages of one run folder from templates."""

    def __init__(self, queries: Queries, guard: Guard, pictures: Pictures) -> None:
        """No page yet."""
        self.queries = queries
        self.pictures = pictures
        self.marks = Marks(queries.index.root)
        self.guard = guard
        self._templates = environment()

    def page(self, template: str, request: Request, snapshot: Snapshot, **values: Any) -> str:
        """A whole page."""
        return self._templates.get_template(template).render(
            request=request,
            snapshot=snapshot,
            folder=snapshot.folder,
            form_secret=self.guard.form_secret,
            **{"task": None, "needs_maths": True, **values},
        )

    def fragment(self, template: str, **values: Any) -> str:
        """A piece of a page."""
        return self._templates.get_template(template).render(form_secret=self.guard.form_secret, **values)

    def marks_of(self, sample: SampleKey) -> list[Mark]:
        """The marks on a sample."""
        return self.marks.of(sample)


def task_of(snapshot: Snapshot, asked: Asked) -> str:
    """The task that the address names, or the only one. Raises NotThere."""
    tasks = list(snapshot.tasks)
    task = asked.get("task", "")
    if not task and tasks:
        return tasks[0]
    if task not in snapshot.tasks:
        raise NotThere(f"this run has no task {task[:80]!r}; it has {', '.join(tasks) or 'none'}")
    return task


def model_of(snapshot: Snapshot, task: str, asked: Asked) -> str:
    """The model that the address names, or the first. Raises NotThere."""
    models = snapshot.models(task)
    model = asked.get("model", "") or next(iter(models), "")
    if model not in models:
        raise NotThere(f"task {task} has no model {model[:80]!r}; it has {', '.join(models) or 'none'}")
    return model


def problem_of(snapshot: Snapshot, task: str, asked: Asked) -> int:
    """The number of the problem that the address names. Raises NotThere."""
    problem_id = asked.get("id", "")
    number = snapshot.tasks[task].numbering.get(problem_id)
    if number is None:
        raise NotThere(f"task {task} has no problem {problem_id[:80]!r}")
    return number
