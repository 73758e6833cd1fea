"""Questions to the index, each answered from one snapshot."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr_harness.records import Problem, Tally
from rlvr_harness.viewing.asked import NotThere, ProblemFilter, SampleFilter
from rlvr_harness.viewing.folder import Pair
from rlvr_harness.viewing.index import Index, Snapshot
from rlvr_harness.viewing.tables import Table
from rlvr_harness.viewing.texts import Texts

NOTHING = '(SELECT NULL::INTEGER problem, NULL::INTEGER "index", NULL outcome, NULL answer, NULL reason WHERE false)'
ORDERS = {
    "index": '"index"',
    "right": "outcome IS NOT DISTINCT FROM 'right' DESC, \"index\"",
    "wrong": "outcome IS NOT DISTINCT FROM 'wrong' DESC, \"index\"",
    "long": 'n_tokens DESC, "index"',
}
ANSWERS = 12
"""Answers listed of a problem, the most frequent first."""


@dataclass(frozen=True)
class Row:
    """A sample without its text; `outcome` None where it was not judged."""

    problem: int
    index: int
    finish_reason: str
    n_tokens: int
    outcome: str | None
    answer: str | None
    reason: str | None
    part: int
    row: int

    @property
    def place(self) -> tuple[int, int]:
        """Where its text lies."""
        return self.part, self.row


@dataclass(frozen=True)
class Found:
    """One page of rows, of `total` that the filter lets through."""

    rows: list[Row]
    total: int
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """How often an answer with this outcome was given to a problem."""

    answer: str | None
    outcome: str
    count: int


@dataclass(frozen=True)
class ProblemRow:
    """A problem in a list; counts by model."""

    number: int
    problem_id: str
    prompt: str
    counts: dict[str, Tally]
    quadrant: str
    undecided: bool


class Queries:
    """Answers from one index; safe for many threads."""

    def __init__(self, index: Index) -> None:
        """Nothing is counted yet."""
        self.index = index
        self.texts = Texts(index.root)
        self._counted: dict[str, dict[str, Tally]] = {}
        self._lock = threading.Lock()

    def tallies(self, snapshot: Snapshot, task: str, model: str) -> dict[str, Tally]:
        """problem_id -> its counts by the first verifier; those of results.json where there are no verdicts."""
        verifier = next(iter(snapshot.verifiers(task, model)), "")
        table = snapshot.tables.get((task, model, verifier)) if verifier else None
        if table is None:
            measured = snapshot.folder.measured_counts(task, model)
            return {problem_id: Tally(problem_id, n, c) for problem_id, (n, c) in measured.items()}
        with self._lock:
            if table.name not in self._counted:
                live = {each.name for each in snapshot.tables.values()}
                self._counted = {name: kept for name, kept in self._counted.items() if name in live}
                self._counted[table.name] = self._count(table, snapshot.tasks[task].numbering.ids)
            return self._counted[table.name]

    def _count(self, table: Table, ids: Sequence[str]) -> dict[str, Tally]:
        rows = self.index.rows(
            "SELECT problem, count(*) FILTER (outcome <> 'void'), count(*) FILTER (outcome = 'right'), "
            f"count(*) FILTER (outcome = 'void') FROM {table.name} GROUP BY problem"
        )
        return {ids[problem]: Tally(ids[problem], n, c, void) for problem, n, c, void in rows}

    def problems(self, snapshot: Snapshot, task: str, pair: Pair | None, wanted: ProblemFilter) -> list[ProblemRow]:
        """The problems that the filter lets through, in its order."""
        held = snapshot.tasks[task]
        counts = {model: self.tallies(snapshot, task, model) for model in snapshot.models(task)}
        rows = []
        for number, problem_id in enumerate(held.numbering.ids):
            problem = held.problems.get(problem_id)
            of = {model: counted.get(problem_id, Tally(problem_id, 0, 0)) for model, counted in counts.items()}
            quadrant = _quadrant(pair, of)
            undecided = pair is not None and problem_id in pair.undecided
            row = ProblemRow(number, problem_id, problem.prompt if problem else "", of, quadrant, undecided)
            if _wanted(row, problem, wanted):
                rows.append(row)
        return _sorted(rows, wanted.sort)

    def samples(self, snapshot: Snapshot, task: str, model: str, wanted: SampleFilter, window: Window) -> Found:
        """A page of samples with their texts; of one problem, or without `words` of a whole task."""
        table = snapshot.tables.get((task, model, ""))
        if table is None or not table.rows:
            return Found([], 0)
        if window.problem is None:
            return self._of_task(snapshot, task, model, wanted, window)
        source, values = self._source(snapshot, task, model, wanted, window.problem)
        order = ORDERS[wanted.sort]
        if wanted.words:
            rows = self._rows(f"SELECT * FROM {source} ORDER BY {order}", values)
            hits = self.texts.containing(table.parts, [row.place for row in rows], wanted.words)
            rows = [row for row, hit in zip(rows, hits, strict=True) if hit]
            total, rows = len(rows), rows[window.start : window.start + window.size]
        else:
            total = self.index.rows(f"SELECT count(*) FROM {source}", values)[0][0]
            limits = [*values, window.size, window.start]
            rows = self._rows(f"SELECT * FROM {source} ORDER BY {order} LIMIT ? OFFSET ?", limits)
        return Found(rows, total, self.texts.get(table.parts, [row.place for row in rows]))

    def _of_task(self, snapshot: Snapshot, task: str, model: str, wanted: SampleFilter, window: Window) -> Found:
        """A page of the samples of all problems. Only the problems that the page shows are sorted: a late page of
        half a million rows would else take seconds.
        """
        table = snapshot.tables[task, model, ""]
        source, values = self._source(snapshot, task, model, wanted, None)
        counted = source if wanted.active else table.name
        sizes = self.index.rows(f"SELECT problem, count(*) FROM {counted} GROUP BY ALL ORDER BY ALL", values)
        rows: list[Row] = []
        at = 0
        for problem, size in sizes:
            start = max(0, window.start - at)
            if start < size and len(rows) < window.size:
                one, given = self._source(snapshot, task, model, wanted, problem)
                limits = [*given, window.size - len(rows), start]
                rows += self._rows(f"SELECT * FROM {one} ORDER BY {ORDERS[wanted.sort]} LIMIT ? OFFSET ?", limits)
            at += size
        return Found(rows, at, self.texts.get(table.parts, [row.place for row in rows]))

    def _source(
        self, snapshot: Snapshot, task: str, model: str, wanted: SampleFilter, problem: int | None
    ) -> tuple[str, list[Any]]:
        """SQL of the filtered rows, and its values."""
        verifiers = snapshot.verifiers(task, model)
        if wanted.verifier and wanted.verifier not in verifiers:
            verifier = ""
        else:
            verifier = wanted.verifier or next(iter(verifiers), "")
        judged = snapshot.tables[task, model, verifier].name if verifier else NOTHING
        samples = snapshot.tables[task, model, ""].name
        only = "WHERE problem = ?" if problem is not None else ""
        joined = (
            'SELECT problem, "index", finish_reason, n_tokens, outcome, answer, reason, s.part, s.row '
            f"FROM (SELECT * FROM {samples} {only}) s LEFT JOIN (SELECT * FROM {judged} {only}) v "
            'USING (problem, "index")'
        )
        conditions, values = conditions_of(wanted)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        chosen = [problem, problem] if problem is not None else []
        return f"(SELECT * FROM ({joined}) {where})", [*chosen, *values]

    def _rows(self, query: str, values: Sequence[Any]) -> list[Row]:
        return [Row(*fields) for fields in self.index.rows(query, values)]

    def answers(self, snapshot: Snapshot, task: str, model: str, verifier: str, problem: int) -> list[Answer]:
        """The most frequent answers to a problem."""
        table = snapshot.tables.get((task, model, verifier))
        if table is None or not verifier:
            return []
        rows = self.index.rows(
            f"SELECT answer, outcome, count(*) AS n FROM {table.name} WHERE problem = ? GROUP BY ALL "
            f"ORDER BY n DESC, answer, outcome LIMIT {ANSWERS}",
            [problem],
        )
        return [Answer(*row) for row in rows]

    def verdicts(self, snapshot: Snapshot, task: str, model: str, problem: int, index: int) -> dict[str, Row]:
        """Verifier -> its verdict on one sample."""
        found = {}
        for verifier in snapshot.verifiers(task, model):
            wanted = SampleFilter(verifier=verifier)
            source, values = self._source(snapshot, task, model, wanted, problem)
            for row in self._rows(f'SELECT * FROM {source} WHERE "index" = ?', [*values, index]):
                found[verifier] = row
        return found

    def sample(self, snapshot: Snapshot, task: str, model: str, problem: int, index: int) -> Found:
        """One sample with its text, judged by the first verifier. Raises NotThere."""
        table = snapshot.tables.get((task, model, ""))
        if table is not None:
            source, values = self._source(snapshot, task, model, SampleFilter(), problem)
            rows = self._rows(f'SELECT * FROM {source} WHERE "index" = ?', [*values, index])
            if rows:
                return Found(rows, 1, self.texts.get(table.parts, [rows[0].place]))
        raise NotThere(f"{model} has no sample {index} of this problem of task {task}")

    def neighbours(self, snapshot: Snapshot, task: str, model: str, problem: int, index: int) -> tuple[Any, Any]:
        """Index of the sample before and after, None where there is none."""
        table = snapshot.tables[task, model, ""].name
        return self.index.rows(
            f'SELECT max("index") FILTER ("index" < ?), min("index") FILTER ("index" > ?) FROM {table} '
            "WHERE problem = ?",
            [index, index, problem],
        )[0][:2]

    def outcomes(self, snapshot: Snapshot, task: str, model: str) -> Counter[str]:
        """How many samples of a model are right, wrong and void, by the first verifier."""
        counted: Counter[str] = Counter()
        for tally in self.tallies(snapshot, task, model).values():
            counted.update({"right": tally.c, "wrong": tally.n - tally.c, "void": tally.void})
        return counted


@dataclass(frozen=True)
class Window:
    """Which rows of how many; `problem` None for all problems of a task."""

    problem: int | None
    start: int
    size: int


def conditions_of(wanted: SampleFilter) -> tuple[list[str], list[Any]]:
    """SQL conditions of a filter, all but its words, and their values."""
    conditions, values = [], []
    for column, value in (("outcome", wanted.outcome), ("finish_reason", wanted.finish), ("reason", wanted.reason)):
        if column == "outcome" and value == "none":
            conditions.append("outcome IS NULL")
        elif value:
            conditions.append(f"{column} = ?")
            values.append(value)
    if wanted.no_answer:
        conditions.append("answer IS NULL AND outcome IS NOT NULL")
    elif wanted.answer:
        conditions.append("answer = ?")
        values.append(wanted.answer)
    return conditions, values


def _quadrant(pair: Pair | None, counts: dict[str, Tally]) -> str:
    if pair is None or not all(role in counts and counts[role].n for role in (pair.base, pair.model)):
        return ""
    solved = counts[pair.base].c > 0, counts[pair.model].c > 0
    return {(True, True): "both", (True, False): "base_only", (False, True): "model_only"}.get(solved, "neither")


def _wanted(row: ProblemRow, problem: Problem | None, wanted: ProblemFilter) -> bool:
    if wanted.quadrant == "undecided" and not row.undecided:
        return False
    if wanted.quadrant not in ("", "undecided", row.quadrant):
        return False
    if any(row.counts[model].c < least for model, least in wanted.least.items()):
        return False
    if any(row.counts[model].c > most for model, most in wanted.most.items()):
        return False
    sought = wanted.words.lower()
    shown = (row.problem_id, row.prompt, problem.reference if problem else "")
    return not sought or any(sought in text.lower() for text in shown)


def _sorted(rows: list[ProblemRow], sort: str) -> list[ProblemRow]:
    kind, _, model = sort.partition(".")
    if kind not in ("hard", "easy"):
        return rows

    def share(row: ProblemRow) -> float:
        tally = row.counts[model]
        return tally.c / tally.n if tally.n else 0.0

    return sorted(rows, key=share, reverse=kind == "easy")
