"""The task `sql`: fifty questions, the same everywhere."""

from __future__ import annotations

import hashlib

from rlvr_harness import LoadedTask, Problem, PromptRequest, TaskError

from rlvr_sql.database import SCHEMA, tables
from rlvr_sql.questions import Question, make_questions

DATA_SEED, SIZE = 0, 50
SHOWN_SEED, SHOWN_ROWS = 1, 3
"""Of the database that prompts show a few rows of; no query is judged on it."""


class SqlTask:
    """One SQL query per question; prompts show the tables and a few rows of a database that is not judged on."""

    name = "sql"
    description = f"{SIZE} questions about two tables, answered by a SQL query that is judged by its rows"

    def load(self, request: PromptRequest) -> LoadedTask:
        """The first questions, all unless limited. Raises TaskError for what this task cannot take."""
        if request.num_fewshot > 0:
            raise TaskError(f"task '{self.name}' has no solved examples; leave out --num_fewshot")
        if request.profile is not None and request.profile.before is not None:
            profile = request.profile.name
            raise TaskError(f"task '{self.name}' asks for a bare query; it cannot take --prompt {profile}")
        made = make_questions(DATA_SEED, SIZE)[: request.limit]
        problems = [
            Problem(
                task=self.name,
                problem_id=f"{place:02d}-{question.family}",
                prompt=_prompt(question, request),
                reference=question.query,
                metadata={"seeds": seeds, "ordered": question.ordered, "near": list(question.near)},
            )
            for place, (question, seeds) in enumerate(made)
        ]
        return LoadedTask(
            problems=problems,
            verifier=self.name,
            data_revision=f"made with seed {DATA_SEED}, size {SIZE}",
            data_hash=hashlib.sha256(repr(made).encode()).hexdigest(),
            max_gen_toks=512,
        )


def _prompt(question: Question, request: PromptRequest) -> str:
    customers, orders = tables(SHOWN_SEED)
    rows = [
        f"-- {name}: {', '.join(map(str, some[:SHOWN_ROWS]))}, ..."
        for name, some in (("customers", customers), ("orders", orders))
    ]
    shown = SCHEMA + "\n".join(rows)
    text = f"{shown}\n\n-- One SQLite query, ended by a semicolon, that gives {question.text}:\n"
    system = request.system_instruction
    if request.chat_renderer is not None:
        messages = [{"role": "system", "content": system}] if system else []
        return request.chat_renderer([*messages, {"role": "user", "content": text}])
    return (f"{system}\n\n" if system else "") + text
