"""The tables of a report as plain text cells, for HTML and Markdown alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rlvr_harness.report.reading import (
    Curve,
    Results,
    at,
    chosen_ks,
    compared_roles,
    comparisons,
    curve,
    label,
    listed,
    mapping,
    measurement,
    number,
    roles,
    text,
    whole,
)
from rlvr_harness.report.wording import MINUS, NONE, bracket, count, p_value, percent, with_interval

BINS = ("0", *(f"{10 * low}\N{EN DASH}{10 * low + 10}" for low in range(10)))
"""Bins of per-problem accuracy in percent: exactly 0, then (0, 10] ... (90, 100]."""

PLOTTED = ("pass_at_k", "accuracy_histogram", "guess_floor", "counts", "verifier_disagreement")
METRICS = {
    "pass_hat_k": "pass^",
    "maj_at_k": "maj@",
    "maj_at_k_draws": "maj@k draws",
    "g_pass_at_k": "G-Pass@τ=",
    "cover_at_tau": "Cover@τ=",
    "auc_at_k": "AUC@K",
    "distinct_answers": "distinct answers",
}
"""How the metrics of results.json are written in a report; a key below a name ending in @, ^ or = is appended to it."""
TABLED = ("extrapolated", "perplexity", "entropy", "cot")
RECORDED = ("name", "plan", "samples", "right", "wrong", "void")
SHARES = ("truncated", "truncated_share", "mean_tokens", "duplicates")


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as plain text. The first column names the row; `caption` says what the numbers are."""

    caption: str
    header: list[str]
    rows: list[list[str]]


def model_curves(task: Results, metric: str = "pass_at_k") -> dict[str, Curve]:
    """Role -> curve of `metric`, for the models that have one."""
    found = {role: curve(task, "models", role, metric) for role in roles(task)}
    return {role: points_of for role, points_of in found.items() if points_of}


def guess_curve(task: Results, kind: str) -> dict[str, Curve]:
    """Role -> guess floor of that kind (`uniform` or `empirical`), where measured."""
    found = {role: curve(task, "models", role, "guess_floor", kind) for role in roles(task)}
    return {role: points_of for role, points_of in found.items() if points_of}


def pass_at_k_table(task: Results, most: int) -> Table:
    """pass@k of every model with both intervals, and the guess floor where there is one."""
    curves = model_curves(task)
    floor = next(iter(guess_curve(task, "uniform").values()), {})
    header = ["k"]
    for role in curves:
        header += [label(task, role), "sampling only"]
    rows = []
    for k in chosen_ks(sorted({k for points_of in curves.values() for k in points_of}), most):
        row = [f"{k:,}"]
        for points_of in curves.values():
            point = points_of.get(k)
            noise = bracket(point.sampling_low, point.sampling_high) if point else ""
            row += [with_interval(point), noise or NONE]
        rows.append(row + ([with_interval(floor.get(k))] if floor else []))
    caption = (
        "pass@k in percent. First interval: 95 %, problems resampled, so it speaks of new problems of this kind; "
        "“sampling only”: 95 %, these problems held fixed."
    )
    return Table(caption, header + (["guess floor"] if floor else []), rows if curves else [])


def difference_table(task: Results, most: int) -> Table:
    """Paired difference of pass@k for each comparison."""
    differences = [(entry, curve(entry, "difference")) for entry in comparisons(task)]
    header = ["k"]
    for entry, _ in differences:
        base, model = compared_roles(entry)
        header += [f"{label(task, model)} {MINUS} {label(task, base)}", "sampling only"]
    rows = []
    for k in chosen_ks(sorted({k for _, points_of in differences for k in points_of}), most):
        row = [f"{k:,}"]
        for _, points_of in differences:
            point = points_of.get(k)
            noise = bracket(point.sampling_low, point.sampling_high, signed=True) if point else ""
            row += [with_interval(point, signed=True), noise or NONE]
        rows.append(row)
    return Table("Difference of pass@k in percentage points, paired by problem, with 95 % intervals.", header, rows)


def histogram(task: Results, role: str) -> list[int]:
    """The 11 counts of per-problem accuracy, or [] where they are missing or malformed."""
    bins = listed(task, "models", role, "accuracy_histogram")
    counts = [int(entry) for entry in bins if number({"": entry}, "") is not None and entry >= 0]
    return counts if len(counts) == len(bins) == len(BINS) else []


def histogram_table(task: Results) -> Table:
    """Problems per accuracy bin and model."""
    bars = {role: bins for role in roles(task) if (bins := histogram(task, role))}
    header = ["accuracy, %", *(label(task, role) for role in bars)]
    rows = [[name, *(f"{bins[place]:,}" for bins in bars.values())] for place, name in enumerate(BINS)]
    return Table("Number of problems by share of right samples.", header, rows if bars else [])


def coverage_table(task: Results) -> Table:
    """Quadrants of solved problems, one row a comparison."""
    header = ["comparison", "both", "base only", "model only", "neither", "undecided", "n", "exact McNemar"]
    rows = []
    for entry in comparisons(task):
        base, model = compared_roles(entry)
        cells = [count(number(entry, "coverage", key)) for key in ("both", "base_only", "model_only", "neither")]
        undecided = listed(entry, "coverage", "undecided_ids")
        n, test = number(entry, "coverage", "k"), p_value(number(entry, "coverage", "mcnemar_p"))
        if mapping(entry, "coverage"):
            name = f"{label(task, model)} against {label(task, base)}"
            rows.append([name, *cells, f"{len(undecided):,}", count(n), test or NONE])
    return Table("Problems solved at least once in n samples.", header, rows)


def support_table(task: Results) -> Table:
    """Support metrics and the sampling efficiency gap, one row a comparison."""
    rows = []
    for entry in comparisons(task):
        base, model = compared_roles(entry)
        shown = [_support_cell(entry, key) for key in ("srr", "ndr", "sds", "nscr")]
        gap, k = measurement(at(entry, "delta_se")), whole(entry, "delta_se", "k")
        if gap is not None or set(shown) != {NONE}:
            at_k = "" if k is None or gap is None else f" (K = {k:,})"
            name = f"{label(task, model)} against {label(task, base)}"
            rows.append([name, *shown, f"{with_interval(gap, signed=True)}{at_k}"])
    header = ["comparison", "SRR", "NDR", "SDS", "NSCR", "ΔSE"]
    caption = "How the set of solvable problems changed, with 95 % intervals, problems resampled in pairs."
    return Table(caption, header, rows)


def _support_cell(entry: Results, key: str) -> str:
    value = number(entry, "support", key)
    low, high = (number(entry, "support", "intervals", key, side) for side in ("low", "high"))
    sides = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return NONE if value is None else f"{value:.3f}{sides}".replace("-", MINUS)


def samples_table(task: Results) -> Table:
    """What was sampled and verified, one row a model."""
    header = ["model", "checkpoint", "samples", "right", "wrong", "void", "truncated", "duplicates", "mean tokens"]
    rows = []
    for role in roles(task):
        model = mapping(task, "models", role)
        samples = number(model, "samples")
        cells = [count(number(model, key)) for key in ("samples", "right", "wrong", "void")]
        truncated, duplicates = number(model, "truncated"), number(model, "duplicates")
        share = number(model, "truncated_share")
        if share is None and truncated is not None and samples:
            share = truncated / samples
        cut = f" ({percent(share)} %)" if truncated and share is not None else ""
        cells += [f"{count(truncated)}{cut}", NONE if duplicates is None else f"{percent(duplicates)} %"]
        mean = number(model, "mean_tokens")
        name = text(at(model, "name") or NONE, 120)
        rows.append([label(task, role), name, *cells, NONE if mean is None else f"{mean:,.1f}"])
    return Table("Samples and verdicts.", header, rows)


def disagreement_table(task: Results) -> Table:
    """What a second verifier says of the same samples, and the pass@k between which the truth then lies."""
    rows = []
    for role in roles(task):
        for name, found in mapping(task, "models", role, "verifier_disagreement").items():
            entry = mapping({"": found}, "")
            band = mapping(entry, "pass_at_k_band")
            k = max((int(key) for key in band if key.isdigit()), default=None)
            ends = [number(band, str(k), end) for end in ("low", "high")]
            floor = number(entry, "pass_at_k_floor", str(k))
            rows.append(
                [
                    label(task, role),
                    f"{text(at(entry, 'first') or NONE, 60)} / {text(name, 60)}",
                    f"{percent(number(entry, 'rate'), 2)} %",
                    *(count(number(entry, key)) for key in ("first_only", "second_only", "void")),
                    NONE if k is None else f"{k:,}",
                    f"{percent(ends[0])}\N{EN DASH}{percent(ends[1])} %",
                    NONE if floor is None else f"{percent(floor)} %",
                ]
            )
    header = [
        "model",
        "verifiers",
        "differ",
        "right by 1st only",
        "by 2nd only",
        "void",
        "k",
        "pass@k between",
        "floor",
    ]
    caption = "Two verifiers on the same samples."
    return Table(caption, header, rows)


def further_table(task: Results, most: int) -> Table:
    """Every other number of the models (pass^k, maj@k, entropy, third-party metrics), thinned over k."""
    columns = {role: dict(_numbers(mapping(task, "models", role), most)) for role in roles(task)}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [[name, *(column.get(name, NONE) for column in columns.values())] for name in names]
    header = ["metric", *(label(task, role) for role in columns)]
    return Table("Further measurements.", header, [row for row in rows if set(row[1:]) != {NONE}])


def _numbers(model: Results, most: int) -> Iterator[tuple[str, str]]:
    for name, block in model.items():
        if name not in PLOTTED + TABLED + RECORDED + SHARES:
            yield from _flat(METRICS.get(name, text(name, 60)), block, most)


def _flat(name: str, block: object, most: int) -> Iterator[tuple[str, str]]:
    point = measurement(block)
    if point is not None:
        sides = "" if point.low is None or point.high is None else f" [{point.low:.3f}, {point.high:.3f}]"
        yield name, f"{point.value:.4g}{sides}"
        return
    ks = curve(block)
    thinned = set(chosen_ks(list(ks), most)) if len(ks) > most else None
    for key, entry in mapping({"": block}, "").items():
        if thinned is None or (key.isdigit() and int(key) in thinned):
            yield from _flat(_longer(name, text(key, 40)), entry, most)


def _longer(name: str, key: str) -> str:
    """'maj@' and '4' -> 'maj@4'; 'G-Pass@τ=' and '0.5' -> 'G-Pass@τ=0.5, k='; 'foo' and 'bar' -> 'foo bar'."""
    if name.endswith("τ="):
        return f"{name}{key}" + (", k=" if name.startswith("G-") else "")
    return f"{name}{key}" if name[-1:] in "@^=" else f"{name} {key}"
