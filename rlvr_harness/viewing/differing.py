"""Where two verifiers disagree on the samples of one model."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr_harness.viewing.index import Index, Snapshot

BOTH = (
    "SELECT problem, \"index\", coalesce(a.outcome, 'none') AS first, coalesce(b.outcome, 'none') AS second, "
    'a.answer, a.reason, b.answer, b.reason FROM {} a FULL JOIN {} b USING (problem, "index")'
)


@dataclass(frozen=True)
class Difference:
    """One sample that two verifiers judge differently; `none` where one has not judged it."""

    problem: int
    index: int
    first: str
    second: str
    first_answer: str | None
    first_reason: str | None
    second_answer: str | None
    second_reason: str | None


@dataclass(frozen=True)
class Verifiers:
    """Two verifiers of the samples of one model on one task."""

    task: str
    model: str
    first: str
    second: str

    def source(self, snapshot: Snapshot) -> str:
        """SQL of their verdicts side by side."""
        names = [snapshot.tables[self.task, self.model, verifier].name for verifier in (self.first, self.second)]
        return BOTH.format(*names)


def agreement(index: Index, snapshot: Snapshot, pair: Verifiers) -> dict[tuple[str, str], int]:
    """(outcome of the first, outcome of the second) -> number of samples."""
    rows = index.rows(f"SELECT first, second, count(*) FROM ({pair.source(snapshot)}) GROUP BY ALL")
    return {(first, second): count for first, second, count in rows}


def differences(
    index: Index, snapshot: Snapshot, pair: Verifiers, cell: tuple[str, str] | None, window: tuple[int, int]
) -> list[Difference]:
    """The samples of one cell of the agreement, or all on which the two differ; `window`: start and number."""
    start, size = window
    condition = "first <> second" if cell is None else "first = ? AND second = ?"
    rows = index.rows(
        f'SELECT * FROM ({pair.source(snapshot)}) WHERE {condition} ORDER BY problem, "index" LIMIT ? OFFSET ?',
        [*(cell or ()), size, start],
    )
    return [Difference(*row) for row in rows]
