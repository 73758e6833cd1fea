"""A mark from a form, checked and stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args

from rlvr_harness.marks import Judgement, Mark, add_mark
from rlvr_harness.viewing.asked import BadRequest, NotThere, whole
from rlvr_harness.viewing.auditing import storable
from rlvr_harness.viewing.index import Index, Snapshot
from rlvr_harness.viewing.rendering import model_of, problem_of, task_of

LONGEST_NOTE, LONGEST_NAME = 4000, 100


def store_mark(index: Index, snapshot: Snapshot, form: Mapping[str, str]) -> Mark:
    """Stores the mark that a form holds and gives it back. Raises BadRequest, NotThere or RunFolderError."""
    task = task_of(snapshot, form)
    model = model_of(snapshot, task, form)
    number = problem_of(snapshot, task, form)
    sample = whole(form, "index", -1, 2**31 - 1)
    table = snapshot.tables.get((task, model, ""))
    query = 'SELECT 1 FROM {} WHERE problem = ? AND "index" = ?'
    if table is None or not index.rows(query.format(table.name), [number, sample]):
        raise NotThere(f"{model} has no sample {sample} of this problem of task {task}")
    judgement: Any = form.get("judgement", "")
    if judgement not in get_args(Judgement):
        raise BadRequest(f"a mark is {', '.join(get_args(Judgement))}, not {judgement[:40]!r}")
    by, note = (storable(form.get(name, "").strip()) for name in ("by", "note"))
    if not by or len(by) > LONGEST_NAME:
        raise BadRequest(f"a mark needs the name of its judge, of at most {LONGEST_NAME} characters")
    if len(note) > LONGEST_NOTE:
        raise BadRequest(f"the note has {len(note):,} characters; {LONGEST_NOTE:,} is the most")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    problem_id = snapshot.tasks[task].numbering.ids[number]
    mark = Mark(task, model, problem_id, sample, judgement, by, now, note)
    add_mark(index.root, mark)
    return mark
