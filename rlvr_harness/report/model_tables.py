"""Tables of what was measured on one model at a time: perplexity, entropy, marked reasoning, extrapolation, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rlvr_harness.report.reading import (
    Results,
    at,
    chosen_ks,
    curve,
    label,
    mapping,
    measurement,
    number,
    roles,
    text,
    whole,
)
from rlvr_harness.report.tables import Table
from rlvr_harness.report.wording import NONE, count, duration, percent, plural, with_interval

BEYOND_KS = 5


def model_tables(task: Results, timings: Results) -> Iterator[Table]:
    """Every table of this kind that has a row."""
    for table in (
        extrapolation_table(task),
        perplexity_table(task),
        entropy_table(task),
        reasoning_table(task),
        cost_table(task, timings),
    ):
        if table.rows:
            yield table


def task_timings(run: Results, name: str) -> Mapping[str, object]:
    """Role -> times of this task: run.json calls the entries 'task/role'."""
    every = mapping(run, "timings", "sampling")
    return {key.removeprefix(f"{name}/"): spent for key, spent in every.items() if key.startswith(f"{name}/")}


def extrapolation_table(task: Results) -> Table:
    """pass@k that a fitted law predicts past the samples drawn, with how far to trust it."""
    blocks = {role: mapping(task, "models", role, "extrapolated") for role in roles(task)}
    curves = {role: points for role, block in blocks.items() if (points := curve(block, "pass_at_k") or curve(block))}
    ks = chosen_ks(sorted({k for points in curves.values() for k in points}), BEYOND_KS)
    rows = []
    for role, points_of in curves.items():
        block, fit = blocks[role], number(blocks[role], "fit_p")
        zero, start = number(block, "zero_share"), whole(block, "from_n")
        rows.append(
            [
                label(task, role),
                NONE if start is None else f"{start:,}",
                *(with_interval(points_of.get(k)) for k in ks),
                NONE if zero is None else f"{percent(zero)} %",
                NONE if fit is None else f"{fit:.2g}",
            ]
        )
    header = ["model", "fitted up to k", *(f"extrapolated pass@{k:,}" for k in ks), "never solved", "fit p"]
    notes = [f"{label(task, role)}: {text(note)}" for role in curves if (note := at(blocks[role], "warning"))]
    return Table(
        " ".join(["Extrapolated, not measured: pass@k in percent beyond the samples drawn.", *notes]), header, rows
    )


def perplexity_table(task: Results) -> Table:
    """Perplexity of each author's texts under each model."""
    found = {role: mapping(task, "models", role, "perplexity", "of") for role in roles(task)}
    authors = list(dict.fromkeys(str(author) for block in found.values() for author in block))
    rows = [
        [f"under {label(task, role)}", *(_plain(block.get(author), "texts") for author in authors)]
        for role, block in found.items()
        if block
    ]
    header = ["perplexity", *(f"text of {label(task, author)}" for author in authors)]
    return Table("Perplexity per token with 95 % intervals: whose texts each model finds likely.", header, rows)


def entropy_table(task: Results) -> Table:
    """Entropy of answers and of tokens, in nats."""
    rows = []
    for role in roles(task):
        block = mapping(task, "models", role, "entropy")
        shown = [
            _plain(at(block, "answer")),
            _plain(at(block, "token", "at_1")),
            _plain(at(block, "token", "at_sampling")),
        ]
        if set(shown) != {NONE}:
            rows.append([label(task, role), *shown])
    header = ["entropy", "answers", "tokens at T = 1", "tokens at the sampling law"]
    return Table("Entropy in nats, with 95 % intervals where measured.", header, rows)


def reasoning_table(task: Results) -> Table:
    """How many right answers were reached by right reasoning, as marked, and pass@k on those terms."""
    blocks = {role: block for role in roles(task) if (block := mapping(task, "models", role, "cot"))}
    curves = {role: curve(block, "pass_at_k") for role, block in blocks.items()}
    ks = chosen_ks(sorted({k for points_of in curves.values() for k in points_of}), 4)
    rows = [
        [
            label(task, role),
            count(number(block, "marked")),
            f"{with_interval(rate)} %" if (rate := measurement(at(block, "rate"))) else NONE,
            *(with_interval(curves[role].get(k)) for k in ks),
        ]
        for role, block in blocks.items()
        if number(block, "marked") is not None
    ]
    header = ["chains of thought", "marked", "right reasoning", *(f"CoT-Pass@{k:,}" for k in ks)]
    return Table("Chains of thought of right answers, as marked.", header, rows)


def cost_table(task: Results, timings: Results) -> Table:
    """Samples, tokens and engine time, and what the sampling plan saved. `timings`: role -> recorded times."""
    rows = []
    for role in roles(task):
        model, spent = mapping(task, "models", role), mapping(timings, role)
        samples, full = number(model, "samples"), number(model, "plan", "expected_full")
        tokens, seconds = number(spent, "tokens"), number(spent, "engine_s")
        part = NONE if samples is None or not full else f"{percent(samples / full)} %"
        saved = number(model, "plan", "saved")
        if tokens is not None or seconds is not None or (full and full != samples):
            rows.append([label(task, role), count(samples), part, count(saved), count(tokens), duration(seconds)])
    header = ["cost", "samples", "of full plan", "saved", "tokens", "engine time"]
    return Table("What sampling cost.", header, rows)


def _plain(block: object, amount: str = "") -> str:
    """'1.23 [1.20, 1.26] (500 texts)' of a measured number that is no share."""
    point = measurement(block)
    if point is None:
        return NONE
    sides = "" if point.low is None or point.high is None else f" [{point.low:.3f}, {point.high:.3f}]"
    of = whole(block, amount) if amount else None
    return f"{point.value:.3f}{sides}" + ("" if of is None else f" ({plural(of, amount.removesuffix('s'))})")
