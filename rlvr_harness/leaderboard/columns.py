"""The columns of a leaderboard's tables: each knows its heading, what it sorts by and what it shows of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlvr_harness.leaderboard.grouping import Ranked, short
from rlvr_harness.leaderboard.rows import Side
from rlvr_harness.leaderboard.wording import crossing, crossing_range, interval, leaning, plain
from rlvr_harness.records import Measurement
from rlvr_harness.report.reading import number, whole
from rlvr_harness.report.wording import NONE, count, percent, points

Sortable = float | str | None


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, in one line and a smaller one, and what it sorts by (None: last). `kind`: a CSS class."""

    shown: str
    value: Sortable
    small: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """`extra`: shown on demand; `words`: holds words, which stand on the left and sort upwards first."""

    key: str
    heading: str
    title: str
    cell: Callable[[Ranked], Cell]
    extra: bool = False
    words: bool = False


def columns(k: int | None) -> list[Column]:
    """All columns of a table, behind those of rank, model and paired difference; `k`: the largest of all its rows."""
    at_k = f"@{k:,}" if k else "@k"
    return [
        Column("difference_1", "Δ pass@1", "paired difference at k = 1, in points", _difference_at_1),
        Column("model_1", "pass@1", "RL model, percent", lambda one: _score(one.row.model, 1)),
        Column("base_1", "base pass@1", "base, percent", lambda one: _score(one.row.base, 1)),
        Column("model_k", f"pass{at_k}", "RL model, percent", lambda one: _score(one.row.model, one.row.conditions.k)),
        Column("base_k", f"base pass{at_k}", "base, percent", lambda one: _score(one.row.base, one.row.conditions.k)),
        Column("crossover", "base overtakes", "the k from which the base solves more", _crossover),
        Column("gained", "gained", "problems solved that the base did not solve", _coverage("model_only")),
        Column("lost", "lost", "problems the base solved and the model did not", _coverage("base_only")),
        Column("n", "n", "samples per problem", lambda one: Cell(count(one.row.n), one.row.n)),
        *_support_columns(),
        *_condition_columns(),
        *_origin_columns(),
    ]


def _support_columns() -> list[Column]:
    names = {
        "srr": ("SRR", "share of the base's solved problems that the model keeps"),
        "ndr": ("NDR", "share of the model's solved problems that are new"),
        "sds": ("SDS", "harmonic mean of SRR and NDR"),
        "nscr": ("NSCR", "net change of solved problems, by the union"),
    }
    support = [Column(key, name, title, _support(key), True) for key, (name, title) in names.items()]
    title = "sampling efficiency gap: the base's pass@256 (or largest k below) less the model's pass@1; lower is better"
    return [*support, Column("delta_se", "Δ_SE", title, _delta_se, True)]


def _condition_columns() -> list[Column]:
    def law(place: int) -> Callable[[Ranked], Cell]:
        def cell(one: Ranked) -> Cell:
            value = one.row.conditions.law[place] if one.row.conditions.law else None
            return Cell(NONE if value is None else f"{value:g}", value)

        return cell

    return [
        Column("prompt", "prompt", "prompt profile", lambda one: _word(one.row.run["prompt"]), True, True),
        Column(
            "prompt_hash",
            "prompt hash",
            "of all prompts",
            lambda one: _hash(one.row.conditions.prompt_hash),
            True,
            True,
        ),
        Column(
            "data_hash", "data hash", "of the problems", lambda one: _hash(one.row.conditions.data_hash), True, True
        ),
        Column("temperature", "T", "sampling temperature", law(0), True),
        Column("top_p", "top-p", "nucleus sampling", law(1), True),
        Column("max_tokens", "max tokens", "new tokens per sample", _max_tokens, True),
        Column(
            "truncated",
            "cut off",
            "percent of samples cut at max tokens: model / base",
            _shares("truncated_share"),
            True,
        ),
        Column(
            "void", "void", "percent of samples that the harness failed on: model / base", _shares("void_share"), True
        ),
        Column("verifier", "verifier", "name and version", _verifier, True, True),
    ]


def _origin_columns() -> list[Column]:
    def fact(key: str) -> Callable[[Ranked], Cell]:
        return lambda one: _word(one.row.run[key])

    return [
        Column("sampler", "sampler", "engine that sampled", fact("sampler"), True, True),
        Column("plan", "plan", "how n is spent", fact("plan"), True, True),
        Column("seed", "seed", "run seed", lambda one: _whole(one.row.run["seed"]), True),
        Column("harness", "harness", "version of rlvr-harness", fact("harness_version"), True, True),
        Column("date", "date", "begin of the run", _date, True, True),
        Column("warnings", "warnings", "of the fairness guard and the run", _warnings, True, True),
    ]


def gap_cell(ranked: Ranked) -> Cell:
    """The paired difference that rows are ranked by."""
    return _signed(ranked.row.gap)


def _difference_at_1(ranked: Ranked) -> Cell:
    return _signed(ranked.row.difference.get(1))


def _signed(point: Measurement | None) -> Cell:
    shown = NONE if point is None else points(point.value)
    return Cell(shown, point.value if point else None, interval(point, True), leaning(point))


def _score(side: Side | None, k: int | None) -> Cell:
    point = side.pass_at_k.get(k) if side is not None and k is not None else None
    return Cell(percent(point.value if point else None), point.value if point else None, interval(point))


def _crossover(ranked: Ranked) -> Cell:
    k, reach = number(ranked.row.comparison, "crossover", "k"), ranked.row.conditions.k or 0
    verdict = crossing(ranked.row)
    # Never, as far as was measured, sorts behind every k that was seen.
    value = float(reach + 1) if verdict == "none" else k
    return Cell(verdict, None if verdict == NONE else value, crossing_range(ranked.row))


def _coverage(quadrant: str) -> Callable[[Ranked], Cell]:
    def cell(ranked: Ranked) -> Cell:
        value = whole(ranked.row.comparison, "coverage", quadrant)
        return Cell(count(value), value)

    return cell


def _support(key: str) -> Callable[[Ranked], Cell]:
    def cell(ranked: Ranked) -> Cell:
        value = number(ranked.row.comparison, "support", key)
        return Cell(plain(value), value)

    return cell


def _delta_se(ranked: Ranked) -> Cell:
    value = number(ranked.row.comparison, "delta_se", "value")
    low, high = (number(ranked.row.comparison, "delta_se", side) for side in ("low", "high"))
    sides = "" if low is None or high is None else f"[{points(low)}, {points(high)}]"
    return Cell(points(value), value, sides)


def _shares(name: str) -> Callable[[Ranked], Cell]:
    def cell(ranked: Ranked) -> Cell:
        sides: Sequence[Side | None] = [ranked.row.model, ranked.row.base]
        values = [getattr(side, name) for side in sides if side is not None]
        known = [value for value in values if value is not None]
        return Cell(" / ".join(percent(value) for value in values) if known else NONE, max(known, default=None))

    return cell


def _max_tokens(ranked: Ranked) -> Cell:
    return Cell(count(ranked.row.conditions.max_gen_toks), ranked.row.conditions.max_gen_toks)


def _verifier(ranked: Ranked) -> Cell:
    conditions = ranked.row.conditions
    words = " ".join(word for word in (conditions.verifier, conditions.verifier_version) if word)
    return _word(words or None)


def _date(ranked: Ranked) -> Cell:
    created = ranked.row.run["created"]
    return Cell(created[:10], created) if created else Cell(NONE, None)


def _warnings(ranked: Ranked) -> Cell:
    found = [*([ranked.row.unfair] if ranked.row.unfair else []), *ranked.row.warnings]
    return Cell("; ".join(found) or "none", f"{len(found):05d}" if found else None, kind="long")


def _word(value: str | None) -> Cell:
    return Cell(value or NONE, value)


def _hash(value: str | None) -> Cell:
    return Cell(NONE if value is None else short(value), value, kind="code")


def _whole(value: int | None) -> Cell:
    return Cell(NONE if value is None else str(value), value)
