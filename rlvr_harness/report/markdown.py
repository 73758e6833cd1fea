"""report.md: the findings and the main tables of one run as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rlvr_harness.report.headline import headline_table
from rlvr_harness.report.model_tables import model_tables, task_timings
from rlvr_harness.report.overview import study_heading, study_notes, study_sentences
from rlvr_harness.report.reading import Results, at, chosen_ks, mapping, tasks, text, title, whole
from rlvr_harness.report.study import incomparable, studies
from rlvr_harness.report.study_charts import study_table
from rlvr_harness.report.study_steps import trace_table, traces
from rlvr_harness.report.tables import (
    Table,
    coverage_table,
    difference_table,
    disagreement_table,
    model_curves,
    pass_at_k_table,
    samples_table,
    support_table,
)
from rlvr_harness.report.wording import (
    caveat,
    fairness_notes,
    fairness_warnings,
    plural,
    sampling_law,
    saving_sentence,
    verdict_sentences,
)

TABLE_KS = 11
HEADLINE_KS = 4


def render_markdown(results: Results) -> str:
    """The report of one run; all text from the run is escaped, so none of it acts as markup."""
    blocks = [f"# {escaped(title(results))}"]
    for name, task in tasks(results).items():
        blocks += _task(results, name, task)
    command = at(results, "run", "command")
    blocks += ["## Provenance", f"To repeat: {code(command)}" if command else ""]
    blocks += [folded("Everything recorded about this run", _provenance(mapping(results, "run")))]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(words: object) -> str:
    r"""`words` on one line with Markdown and HTML defused: 'a|b<i>' -> 'a\|b&lt;i&gt;'."""
    line = text(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|~]|(?<=\])\()", r"\\\1", line)


def code(words: object) -> str:
    """`words` as a code span, or escaped where they hold what some readers of Markdown take for markup even there."""
    line = text(words)
    return escaped(line) if set("`<>[]|&") & set(line) else f"`{line}`"


def markdown_table(table: Table) -> str:
    """A pipe table with numbers aligned right, '' for a table without rows."""
    if not table.rows:
        return ""
    rule = ["---", *("--:" for _ in table.header[1:])]
    lines = [[escaped(cell) for cell in table.header], rule]
    lines += [[escaped(cell) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def render_markdown_overview(reports: Sequence[Results]) -> str:
    """What stands above the reports of several runs: what must not be compared, then what may; '' for one run."""
    if len(reports) < 2:
        return ""
    blocks = [alert(incomparable(reports))]
    for study in studies(reports):
        blocks += [f"## {escaped(study_heading(study))}"]
        blocks += [f"**{escaped(sentence)}**" for sentence in study_sentences(study)]
        blocks += [markdown_table(study_table(study)), *map(escaped, study_notes(study))]
        for trace in traces(study):
            blocks += [f"{escaped(trace.title)}. {escaped(trace.caption)}", markdown_table(trace_table(trace))]
    shown = [block for block in blocks if block]
    return "\n\n".join([f"# {len(reports)} runs compared", *shown]) + "\n" if shown else ""


def alert(warnings: Iterable[str]) -> str:
    """The warnings as a block that GitHub sets in colour and others show as a quotation; '' without any."""
    lines = [f"> {escaped(warning)}" for warning in warnings]
    return "\n>\n".join(["> [!WARNING]\n" + lines[0], *lines[1:]]) if lines else ""


def folded(summary: str, blocks: Iterable[str]) -> str:
    """The blocks under a line that opens them."""
    inside = "\n\n".join(block for block in blocks if block)
    return f"<details>\n<summary>{escaped(summary)}</summary>\n\n{inside}\n\n</details>" if inside else ""


def _task(results: Results, name: str, task: Results) -> Iterator[str]:
    yield f"## {escaped(name)}"
    run = mapping(results, "run")
    problems, law = whole(task, "problems"), sampling_law(run)
    facts = [plural(problems, "problem") if problems is not None else "", law and f"sampled at {law}"]
    yield escaped(", ".join(fact for fact in facts if fact))
    yield from (f"**{escaped(sentence)}**" for sentence in verdict_sentences(task))
    yield escaped(caveat(task))
    yield alert(fairness_warnings(task))
    curves = model_curves(task)
    yield markdown_table(
        headline_table(task, chosen_ks(sorted({k for one in curves.values() for k in one}), HEADLINE_KS))
    )
    yield escaped(saving_sentence(task))
    yield folded(
        "pass@k at every k, and the paired difference",
        _tables(pass_at_k_table(task, TABLE_KS), difference_table(task, TABLE_KS)),
    )
    yield folded(
        "Solved sets, samples and further measurements",
        _tables(
            coverage_table(task),
            support_table(task),
            samples_table(task),
            disagreement_table(task),
            *model_tables(task, task_timings(run, name)),
        ),
    )
    good = [note for note in fairness_notes(task) if note not in fairness_warnings(task)]
    yield "\n".join(f"- {escaped(note)}" for note in good)


def _tables(*tables: Table) -> Iterator[str]:
    for table in tables:
        if table.rows:
            yield escaped(table.caption)
            yield markdown_table(table)


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
