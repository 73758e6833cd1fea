"""The verifier `sql`: runs a query, read-only and under hard limits, and compares its rows with the right ones."""

from __future__ import annotations

import re
import sqlite3

from rlvr_harness import FinishReason, Problem, Sample, Verdict, WorkLimits

from rlvr_sql.database import LONGEST_QUERY, QueryFault
from rlvr_sql.questions import same_rows

_FENCED = re.compile(r"```(?:sql)?\s*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_BEGINS = re.compile(r"\s*(?:--[^\n]*\n\s*)*(?:SELECT|WITH)\b", re.IGNORECASE)


_READ = LONGEST_QUERY + 1
"""Characters that are read: a query that has not ended by then is too long."""


class SqlVerifier:
    """RIGHT when the query gives the right rows on every hidden database; order counts where it is asked for.

    Reasons of WRONG: no_answer (no query; truncated where the token limit was hit), other_rows, and the faults of
    `database.run_query`: invalid_query, refused (it would write, or read what is not a table), too_long, too_large,
    too_slow, too_many_rows, no_rows.
    """

    name = "sql"
    version = "1"
    description = "runs the query in SQLite on hidden rows, read-only and under hard limits"
    limits: WorkLimits | None = WorkLimits(wall_s=10.0, memory_mb=512)
    """SQLite counts steps by itself; these end the worker process where that does not help."""

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The query; where there is none, whether the completion was cut."""
        query = read_query(sample.text)
        return f"none:{sample.finish_reason.value}" if query is None else f"query:{query}"

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """WRONG where there is no query; all else is left to the worker process."""
        if read_query(sample.text) is not None:
            return None
        return Verdict.wrong(sample, None, "truncated" if sample.finish_reason is FinishReason.LENGTH else "no_answer")

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """The verdict; no text makes it raise."""
        query = read_query(sample.text)
        if query is None:
            return self.quick(problem, sample) or Verdict.wrong(sample, None, "no_answer")
        ordered = bool(problem.metadata["ordered"])
        try:
            for seed in problem.metadata["seeds"]:
                if not same_rows(query, problem.reference, seed, ordered):
                    return Verdict.wrong(sample, query, "other_rows")
        except QueryFault as fault:
            return Verdict.wrong(sample, query, str(fault))
        return Verdict.right(sample, query)

    def gold_texts(self, problem: Problem) -> list[str]:
        """The right query, bare and in a code block."""
        return [problem.reference, f"```sql\n{problem.reference};\n```"]

    def near_misses(self, problem: Problem) -> list[str]:
        """Queries that answer another question, the right one behind one that writes, and the right one in words."""
        return [*problem.metadata["near"], f"DELETE FROM orders; {problem.reference}", f"It is: {problem.reference}"]


def read_query(text: str) -> str | None:
    """The first statement of a completion's last code block, or of the whole text where there is none; None: no query.

    "```sql\\nSELECT 1;\\n```" -> "SELECT 1"
    """
    blocks = _FENCED.findall(text)
    query: str = (blocks[-1] if blocks else text).strip()[:_READ]
    if not _BEGINS.match(query):
        return None
    plain = query.encode("utf-8", "replace").decode().replace("\0", " ")  # as long; lone surrogates would raise
    for end in (match.end() for match in re.finditer(";", plain)):
        if sqlite3.complete_statement(plain[:end]):  # a semicolon in a string ends nothing
            return query[: end - 1].strip()
    return query
