"""The pages on which samples are read: a problem, one sample, the audit queue."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rlvr_harness.errors import HarnessError
from rlvr_harness.marks import Mark
from rlvr_harness.records import Problem
from rlvr_harness.viewing.asked import FINISHES, OUTCOMES, SIZES, SORTS, NotThere, page_size, sample_filter, whole
from rlvr_harness.viewing.auditing import Queued, read_queue, unmarked_first
from rlvr_harness.viewing.index import Snapshot
from rlvr_harness.viewing.pictures import NO_PICTURES, Picture, Strip
from rlvr_harness.viewing.queries import Found, Row, Window
from rlvr_harness.viewing.rendering import Pager, Renderer, Request, model_of, problem_of, task_of
from rlvr_harness.viewing.shown import CUT_AT, preview

QUEUE_A_PAGE = 10


@dataclass(frozen=True)
class Card:
    """One sample as it is shown: its key, what is known of it, its text, its marks. `row` None where it is missing."""

    task: str
    model: str
    problem_id: str
    index: int
    row: Row | None
    text: str
    marks: list[Mark] = field(default_factory=list)
    why: str = ""
    problem: Problem | None = None
    pictures: Strip = NO_PICTURES

    @property
    def anchor(self) -> str:
        """Its place in a page."""
        return f"s-{self.model.encode().hex()}-{self.index}"


def problem(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """A problem with the samples of all models side by side."""
    asked = request.asked
    task = task_of(snapshot, asked)
    number = problem_of(snapshot, task, asked)
    wanted, size = sample_filter(asked), page_size(asked)
    ids = snapshot.tasks[task].numbering.ids
    columns = []
    for model in snapshot.models(task):
        page = whole(asked, f"page.{model}", 1)
        found = renderer.queries.samples(snapshot, task, model, wanted, Window(number, size * max(0, page - 1), size))
        pager = Pager.of(found.total, size, page)
        if found.total and not found.rows:
            found = renderer.queries.samples(snapshot, task, model, wanted, Window(number, pager.start, size))
        columns.append(_column(renderer, snapshot, (task, model, number), (found, pager), wanted.verifier))
    return renderer.page(
        "problem.html",
        request,
        snapshot,
        task=task,
        number=number,
        problem_id=ids[number],
        problem=snapshot.tasks[task].problems.get(ids[number]),
        pictures=renderer.pictures.strip(snapshot, task, ids[number]),
        metadata=_metadata(snapshot, task, ids[number]),
        before=ids[number - 1] if number else None,
        after=ids[number + 1] if number + 1 < len(ids) else None,
        columns=columns,
        wanted=wanted,
        size=size,
        sizes={str(each): str(each) for each in SIZES},
        outcomes=OUTCOMES,
        finishes=FINISHES,
        sorts=SORTS,
        verifiers=sorted({name for model in snapshot.models(task) for name in snapshot.verifiers(task, model)}),
    )


def _column(
    renderer: Renderer,
    snapshot: Snapshot,
    place: tuple[str, str, int],
    found: tuple[Found, Pager],
    verifier: str,
) -> dict[str, Any]:
    task, model, number = place
    held = snapshot.tasks[task]
    problem_id = held.numbering.ids[number]
    judges = snapshot.verifiers(task, model)
    judge = verifier if verifier in judges else "" if verifier else next(iter(judges), "")
    own = held.own.get(model, {}).get(problem_id)
    shared = held.problems.get(problem_id)
    tally = renderer.queries.tallies(snapshot, task, model).get(problem_id)
    return {
        "model": model,
        "path": snapshot.folder.name_of(model),
        "tally": tally,
        "judge": judge,
        "answers": renderer.queries.answers(snapshot, task, model, judge, number),
        "own_prompt": own.prompt if own and shared and own.prompt != shared.prompt else None,
        "pager": found[1],
        "cards": [
            Card(task, model, problem_id, row.index, row, text, renderer.marks_of((task, model, problem_id, row.index)))
            for row, text in zip(found[0].rows, found[0].texts, strict=True)
        ],
    }


def _metadata(snapshot: Snapshot, task: str, problem_id: str) -> str:
    found = snapshot.tasks[task].problems.get(problem_id)
    if found is None or not found.metadata:
        return ""
    return preview(json.dumps(dict(found.metadata), ensure_ascii=False, indent=2), 20_000)


def card_of(renderer: Renderer, snapshot: Snapshot, queued: Queued) -> Card:
    """A sample by its key, `row` None where the folder does not hold it."""
    task, model, problem_id, index = queued.sample
    held = snapshot.tasks.get(task)
    number = held.numbering.get(problem_id) if held else None
    asked_problem = held.problems.get(problem_id) if held else None
    row, text = None, ""
    if number is not None:
        try:
            found = renderer.queries.sample(snapshot, task, model, number, index)
            row, text = found.rows[0], found.texts[0]
        except NotThere:
            row = None
    marks = renderer.marks_of(queued.sample)
    shown = renderer.pictures.strip(snapshot, task, problem_id) if row and asked_problem else NO_PICTURES
    return Card(task, model, problem_id, index, row, text, marks, queued.why, asked_problem, shown)


def sample(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """One sample in full, what every verifier says of it, and its marks."""
    asked = request.asked
    task = task_of(snapshot, asked)
    model = model_of(snapshot, task, asked)
    number = problem_of(snapshot, task, asked)
    index = whole(asked, "index", 0)
    found = renderer.queries.sample(snapshot, task, model, number, index)
    problem_id = snapshot.tasks[task].numbering.ids[number]
    before, after = renderer.queries.neighbours(snapshot, task, model, number, index)
    own = snapshot.tasks[task].own.get(model, {}).get(problem_id)
    asked_problem = own or snapshot.tasks[task].problems.get(problem_id)
    marks = renderer.marks_of((task, model, problem_id, index))
    text = found.texts[0]
    return renderer.page(
        "sample.html",
        request,
        snapshot,
        task=task,
        problem=asked_problem,
        pictures=renderer.pictures.strip(snapshot, task, problem_id),
        card=Card(task, model, problem_id, index, found.rows[0], text, marks),
        shown=preview(text, CUT_AT),
        verdicts=renderer.queries.verdicts(snapshot, task, model, number, index),
        before=before,
        after=after,
        others=[other for other in snapshot.models(task) if other != model],
    )


def raw(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """The whole text of a sample as it is stored."""
    task = task_of(snapshot, request.asked)
    model = model_of(snapshot, task, request.asked)
    number = problem_of(snapshot, task, request.asked)
    index = whole(request.asked, "index", 0)
    return renderer.queries.sample(snapshot, task, model, number, index).texts[0]


def picture(renderer: Renderer, snapshot: Snapshot, request: Request) -> Picture:
    """A picture of a problem, by its number from 1 on."""
    task = task_of(snapshot, request.asked)
    problem_id = snapshot.tasks[task].numbering.ids[problem_of(snapshot, task, request.asked)]
    return renderer.pictures.one(snapshot, task, problem_id, whole(request.asked, "number", 1))


def audit(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """The audit queue, unmarked samples first, ten a page."""
    queue = read_queue(renderer.queries.index.root)
    marks = renderer.marks.by_sample()
    entries = unmarked_first(queue.entries, marks)
    pager = Pager.of(len(entries), QUEUE_A_PAGE, whole(request.asked, "page", 1))
    cards = [card_of(renderer, snapshot, each) for each in entries[pager.start : pager.start + pager.size]]
    unmarked = sum(entry.sample not in marks for entry in entries)
    others = [] if queue.there else [key for key in marks][:500]
    return renderer.page(
        "audit.html",
        request,
        snapshot,
        queue=queue,
        pager=pager,
        cards=cards,
        unmarked=unmarked,
        marked_keys=others,
        marks=marks,
    )


def error(renderer: Renderer, snapshot: Snapshot, request: Request, fault: HarnessError) -> str:
    """What went wrong, in words."""
    return renderer.page("error.html", request, snapshot, message=str(fault), needs_maths=False)
