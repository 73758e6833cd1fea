"""SQL as a task: a question about small tables, answered by a query that is judged by the rows it gives."""

from __future__ import annotations

from rlvr_harness import Task, Verifier, hookimpl

from rlvr_sql.task import SqlTask
from rlvr_sql.verifier import SqlVerifier


@hookimpl
def provide_tasks() -> list[Task]:
    """The task `sql`."""
    return [SqlTask()]


@hookimpl
def provide_verifiers() -> list[Verifier]:
    """The verifier of its queries."""
    return [SqlVerifier()]
