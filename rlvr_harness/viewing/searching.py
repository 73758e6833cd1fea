"""Full-text search over every sample of a task, part by part, so that it can be shown as it goes and be stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb

from rlvr_harness.parts.naming import Part
from rlvr_harness.viewing.asked import SampleFilter
from rlvr_harness.viewing.index import Index, Snapshot
from rlvr_harness.viewing.queries import NOTHING, conditions_of

MOST_HITS = 300
"""Samples listed by one search; more are not read by anyone, and each costs the page."""
BEFORE, LENGTH = 90, 240
"""Characters of a hit shown before the words, and in all."""


@dataclass(frozen=True)
class Hit:
    """A sample whose text holds the words; `before`, `found` and `after` are an excerpt around the first place."""

    model: str
    problem: int
    index: int
    outcome: str | None
    before: str
    found: str
    after: str


@dataclass(frozen=True)
class Progress:
    """What one step of a search found: `done` of `total` parts are searched."""

    hits: list[Hit]
    done: int
    total: int
    fault: str = ""


@dataclass
class Search:
    """One search; `stop` ends it from another thread, in the middle of a part too."""

    index: Index
    snapshot: Snapshot
    task: str
    models: list[str]
    wanted: SampleFilter
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Takes a connection of its own, which can be interrupted alone."""
        self._cursor = self.index.cursor()

    def stop(self) -> None:
        """Ends the search."""
        self._stopped.set()
        self._cursor.interrupt()

    def steps(self) -> Iterator[Progress]:
        """Searches part after part until MOST_HITS are found."""
        work = [
            (model, part)
            for model in self.models
            if (self.task, model, "") in self.snapshot.tables
            for part in self.snapshot.tables[self.task, model, ""].parts.values()
        ]
        left = MOST_HITS
        for done, (model, part) in enumerate(work, start=1):
            if self._stopped.is_set() or left <= 0:
                return
            try:
                hits = self._hits(model, part, left)
            except duckdb.InterruptException:
                return
            except duckdb.Error as error:
                reason = str(error).strip().splitlines()[0][:300]
                yield Progress([], done, len(work), f"{part.path.name} of {model} was not searched: {reason}")
                continue
            left -= len(hits)
            yield Progress(hits, done, len(work))

    def _hits(self, model: str, part: Part, most: int) -> list[Hit]:
        verifiers = self.snapshot.verifiers(self.task, model)
        verifier = self.wanted.verifier if self.wanted.verifier in verifiers else next(iter(verifiers), "")
        judged = self.snapshot.tables[self.task, model, verifier].name if verifier else NOTHING
        samples = self.snapshot.tables[self.task, model, ""].name
        conditions, values = conditions_of(self.wanted)
        words = self.wanted.words.lower()
        query = f"""
            SELECT problem, "index", outcome, text, found_at FROM (
                SELECT s.problem, s."index", s.finish_reason, v.outcome, v.answer, v.reason, f.text,
                       instr(lower(f.text), ?) AS found_at
                FROM read_parquet(?, file_row_number = true) f
                JOIN (SELECT * FROM {samples} WHERE part = ?) s ON s.row = f.file_row_number
                LEFT JOIN {judged} v ON v.problem = s.problem AND v."index" = s."index"
                WHERE contains(lower(f.text), ?)
            ) WHERE {" AND ".join(["found_at > 0", *conditions])} LIMIT ?"""
        found = self._cursor.execute(query, [words, str(part.path), part.last, words, *values, most]).fetchall()
        return [
            Hit(model, problem, index, outcome, *_excerpt(text, at - 1, len(words)))
            for problem, index, outcome, text, at in sorted(found, key=lambda row: row[:2])
        ]


def _excerpt(text: str, at: int, length: int) -> tuple[str, str, str]:
    start = max(0, at - BEFORE)
    before = ("…" if start else "") + text[start:at]
    end = at + length
    after = text[end : end + LENGTH - BEFORE]
    return before, text[at:end], after + ("…" if end + len(after) < len(text) else "")
