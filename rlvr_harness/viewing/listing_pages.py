"""The pages that list: the run, its problems, its samples, and where two verifiers differ."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rlvr_harness.report import reading
from rlvr_harness.viewing.asked import (
    FINISHES,
    OUTCOMES,
    QUADRANTS,
    SORTS,
    NotThere,
    choice,
    problem_filter,
    sample_filter,
    whole,
)
from rlvr_harness.viewing.auditing import read_queue
from rlvr_harness.viewing.differing import Verifiers, agreement, differences
from rlvr_harness.viewing.folder import Pair
from rlvr_harness.viewing.index import Snapshot
from rlvr_harness.viewing.queries import Window
from rlvr_harness.viewing.rendering import Pager, Renderer, Request, model_of, task_of
from rlvr_harness.viewing.searching import Search

PROBLEMS_A_PAGE = 50
ROWS_A_PAGE = 50
CELLS = ("right", "wrong", "void", "none")


def home(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """What the run holds, a card a task."""
    tasks = [_task_card(renderer, snapshot, task) for task in snapshot.tasks]
    queue = read_queue(renderer.queries.index.root)
    marks = renderer.marks.by_sample()
    unmarked = sum(entry.sample not in marks for entry in queue.entries)
    return renderer.page(
        "home.html",
        request,
        snapshot,
        tasks=tasks,
        queue=queue,
        unmarked=unmarked,
        marked=len(marks),
        needs_maths=False,
    )


def _task_card(renderer: Renderer, snapshot: Snapshot, task: str) -> dict[str, Any]:
    models = []
    for model in snapshot.models(task):
        table = snapshot.tables.get((task, model, ""))
        counted = renderer.queries.outcomes(snapshot, task, model)
        block = reading.mapping(snapshot.folder.results, "tasks", task, "models", model)
        values = reading.curve(block, "pass_at_k")
        models.append(
            {
                "name": model,
                "path": snapshot.folder.name_of(model),
                "samples": table.rows if table else 0,
                "outcomes": counted,
                "pass_at_k": [(k, values[k].value) for k in sorted({min(values), max(values)})] if values else [],
                "verifiers": snapshot.verifiers(task, model),
            }
        )
    pairs = snapshot.folder.pairs(task)
    quadrants: Counter[str] = Counter()
    if pairs:
        for row in renderer.queries.problems(snapshot, task, pairs[0], problem_filter({}, [], {"": ""})):
            quadrants.update([row.quadrant] if row.quadrant else [])
            quadrants.update(["undecided"] if row.undecided else [])
    problems = len(snapshot.tasks[task].numbering.ids)
    return {"name": task, "problems": problems, "models": models, "pairs": pairs, "quadrants": quadrants}


def problems(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """The problems of a task, filtered."""
    asked = request.asked
    task = task_of(snapshot, asked)
    models = snapshot.models(task)
    pair = _pair(snapshot.folder.pairs(task), whole(asked, "pair", 0))
    sorts = {"": "order of the task", **{f"hard.{model}": f"hardest for {model}" for model in models}}
    sorts |= {f"easy.{model}": f"easiest for {model}" for model in models}
    wanted = problem_filter(asked, models, sorts)
    found = renderer.queries.problems(snapshot, task, pair, wanted)
    pager = Pager.of(len(found), PROBLEMS_A_PAGE, whole(asked, "page", 1))
    marked = Counter((sample[0], sample[2]) for sample in renderer.marks.by_sample())
    return renderer.page(
        "problems.html",
        request,
        snapshot,
        task=task,
        models=models,
        pair=pair,
        pairs=snapshot.folder.pairs(task),
        wanted=wanted,
        sorts=sorts,
        quadrants=QUADRANTS,
        pager=pager,
        rows=found[pager.start : pager.start + pager.size],
        all_problems=len(snapshot.tasks[task].numbering.ids),
        marked=marked,
    )


def _pair(pairs: list[Pair], number: int) -> Pair | None:
    return pairs[min(number, len(pairs) - 1)] if pairs else None


def samples(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """All samples of a task by what is known of them, or with words the frame of a search that streams."""
    asked = request.asked
    task = task_of(snapshot, asked)
    wanted = sample_filter(asked)
    values: dict[str, Any] = {
        "task": task,
        "models": snapshot.models(task),
        "model": asked.get("model", ""),
        "wanted": wanted,
        "outcomes": OUTCOMES,
        "finishes": FINISHES,
        "sorts": SORTS,
        "ids": snapshot.tasks[task].numbering.ids,
    }
    if wanted.words:
        return renderer.page("samples.html", request, snapshot, **values)
    model = model_of(snapshot, task, asked)
    start = ROWS_A_PAGE * max(0, whole(asked, "page", 1) - 1)
    found = renderer.queries.samples(snapshot, task, model, wanted, Window(None, start, ROWS_A_PAGE))
    pager = Pager.of(found.total, ROWS_A_PAGE, whole(asked, "page", 1))
    values |= {"model": model, "found": found, "pager": pager}
    return renderer.page("samples.html", request, snapshot, **values)


def search(renderer: Renderer, snapshot: Snapshot, request: Request) -> Search:
    """The search that a request with words asks for."""
    task = task_of(snapshot, request.asked)
    models = [model_of(snapshot, task, request.asked)] if request.asked.get("model") else snapshot.models(task)
    return Search(renderer.queries.index, snapshot, task, models, sample_filter(request.asked))


def verifiers(renderer: Renderer, snapshot: Snapshot, request: Request) -> str:
    """Two verifiers of one model side by side, and the samples on which they differ."""
    asked = request.asked
    task = task_of(snapshot, asked)
    model = model_of(snapshot, task, asked)
    known = snapshot.verifiers(task, model)
    values: dict[str, Any] = {"task": task, "model": model, "models": snapshot.models(task), "known": known}
    if len(known) < 2:
        return renderer.page("verifiers.html", request, snapshot, **values, needs_more=True)
    pair = Verifiers(task, model, asked.get("first") or known[0], asked.get("second") or known[1])
    if missing := {pair.first, pair.second} - set(known):
        raise NotThere(f"{model} has no verdicts of {', '.join(sorted(missing))[:80]!r}; it has {', '.join(known)}")
    index = renderer.queries.index
    counts = agreement(index, snapshot, pair)
    cells = {f"{first}.{second}": "" for first in CELLS for second in CELLS}
    chosen = choice(asked, "cell", {"": "", **cells})
    cell = (chosen.partition(".")[0], chosen.partition(".")[2]) if chosen else None
    total = counts.get(cell, 0) if cell else sum(n for (first, second), n in counts.items() if first != second)
    pager = Pager.of(total, ROWS_A_PAGE, whole(asked, "page", 1))
    rows = differences(index, snapshot, pair, cell, (pager.start, pager.size))
    values |= {"pair": pair, "counts": counts, "outcomes": CELLS, "cell": cell, "pager": pager, "rows": rows}
    values |= {"ids": snapshot.tasks[task].numbering.ids, "judged": sum(counts.values())}
    return renderer.page("verifiers.html", request, snapshot, **values, needs_more=False)
