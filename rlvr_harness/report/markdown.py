"""report.md: the findings and the main tables of one run as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rlvr_harness.report.reading import Results, mapping, tasks, text, title, whole
from rlvr_harness.report.tables import (
    Table,
    coverage_table,
    difference_table,
    disagreement_table,
    pass_at_k_table,
    samples_table,
    support_table,
)
from rlvr_harness.report.wording import caveat, fairness_notes, plural, sampling_law, saving_sentence, verdict_sentences

TABLE_KS = 11


def render_markdown(results: Results) -> str:
    """The report of one run; all text from the run is escaped, so none of it acts as markup."""
    blocks = [f"# {escaped(title(results))}"]
    for name, task in tasks(results).items():
        blocks += _task(results, name, task)
    blocks += ["## Provenance", *_provenance(mapping(results, "run"))]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(words: object) -> str:
    r"""`words` on one line with Markdown and HTML defused: 'a|b<i>' -> 'a\|b&lt;i&gt;'."""
    line = text(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|~]|(?<=\])\()", r"\\\1", line)


def markdown_table(table: Table) -> str:
    """A pipe table with numbers aligned right, '' for a table without rows."""
    if not table.rows:
        return ""
    rule = ["---", *("--:" for _ in table.header[1:])]
    lines = [[escaped(cell) for cell in table.header], rule]
    lines += [[escaped(cell) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _task(results: Results, name: str, task: Results) -> Iterator[str]:
    yield f"## {escaped(name)}"
    problems, law = whole(task, "problems"), sampling_law(mapping(results, "run"))
    facts = [plural(problems, "problem") if problems is not None else "", law and f"sampled at {law}"]
    yield ", ".join(fact for fact in facts if fact)
    yield from (f"**{escaped(sentence)}**" for sentence in verdict_sentences(task))
    yield escaped(caveat(task))
    yield escaped(saving_sentence(task))
    for table in (
        pass_at_k_table(task, TABLE_KS),
        difference_table(task, TABLE_KS),
        coverage_table(task),
        support_table(task),
        samples_table(task),
        disagreement_table(task),
    ):
        if table.rows:
            yield escaped(table.caption)
            yield markdown_table(table)
    yield "\n".join(f"- {escaped(note)}" for note in fairness_notes(task))


def _provenance(run: Mapping[str, object]) -> Iterator[str]:
    facts = [(str(key), value) for key, value in _leaves("", run) if key not in ("title",)]
    yield "\n".join(f"- {escaped(key)}: {escaped(value)}" for key, value in facts) or "Nothing was recorded."


def _leaves(prefix: str, block: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in block.items():
        name = f"{prefix} {key}".strip()
        if isinstance(value, Mapping):
            yield from _leaves(name, value)
        elif value is not None:
            yield name, value
