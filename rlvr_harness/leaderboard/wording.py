"""Numbers, conditions and findings of a leaderboard in words."""

from __future__ import annotations

from rlvr_harness.leaderboard.grouping import LAW_NAMES, Group, short
from rlvr_harness.leaderboard.rows import Row
from rlvr_harness.records import Measurement
from rlvr_harness.report.reading import mapping, number, whole
from rlvr_harness.report.wording import MINUS, NONE, bracket, count, plural

ROUNDING = 1e-9
"""Below this a bound is zero: sums of differences end in dust."""


def plain(value: float | None, digits: int = 2) -> str:
    """0.7931 -> '0.79', -0.1667 -> '-0.17' with a true minus."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def interval(point: Measurement | None, with_sign: bool = False) -> str:
    """'[8.9, 14.6]' in percent, '' where a side is missing."""
    return "" if point is None else bracket(point.low, point.high, with_sign)


def crossing(row: Row) -> str:
    """'k = 7', 'none', 'undecided', 'from the start', or a dash."""
    found = mapping(row.comparison, "crossover")
    k = whole(found, "k")
    if found.get("verdict") == "crossed":
        return "yes" if k is None else "from k = 1" if k <= 1 else f"k = {k:,}"
    return {"not_crossed": "none", "undecided": "undecided"}.get(str(found.get("verdict")), NONE)


def crossing_range(row: Row) -> str:
    """'[3, 17]', 'at least 3', 'at most 17' or ''."""
    low, high = (number(row.comparison, "crossover", side) for side in ("low", "high"))
    if low is not None and high is not None:
        return f"[{count(low)}, {count(high)}]"
    if low is not None:
        return f"at least {count(low)}"
    return "" if high is None else f"at most {count(high)}"


def leaning(point: Measurement | None) -> str:
    """'up' or 'down' where the interval excludes zero, else 'open': what the data settle at 95 %."""
    if point is None or point.low is None or point.high is None:
        return "open"
    return "up" if point.low > ROUNDING else "down" if point.high < -ROUNDING else "open"


def heading(group: Group) -> str:
    """What tells the rows of a group from those of the task's first: "k = 64: T = 1, not 0.6"."""
    if group.kind == "published":
        return "As published, conditions unknown"
    if group.kind == "single":
        return "Without a base: nothing to compare with"
    k = f"k = {count(group.conditions.k)}"
    others = [words for words in group.differs if not words.startswith("k = ")]
    if len(others) < len(group.differs):
        k = group.differs[-1]
    return f"{k}: {'; '.join(others)}" if others else k


def conditions(group: Group) -> list[str]:
    """The conditions of a ranked group, in words; none for other groups, whose rows differ."""
    if group.kind != "ranked":
        return []
    ours, first = group.conditions, group.rows[0].row
    law = ours.law or ()
    shown = [
        f"{name} = {value:g}"
        for name, value, off in zip(LAW_NAMES, law, (None, None, 0.0, 0.0, 1.0), strict=True)
        if value != off
    ]
    return [
        plural(first.problems, "problem") if first.problems is not None else "",
        f"prompt {first.run['prompt'] or 'unnamed'} ({short(ours.prompt_hash)})",
        ", ".join(shown),
        f"up to {count(ours.max_gen_toks)} tokens",
        f"verifier {ours.verifier} {ours.verifier_version}",
        f"data {short(ours.data_hash)}",
    ]


def explanation(group: Group) -> str:
    """Why the rows of a group have no ranks, or how to read those that they have."""
    if group.kind == "published":
        return (
            "Counts from elsewhere: prompt, sampling law, token limit or verifier is not recorded, so these rows may "
            "not be comparable with one another and have no rank."
        )
    if group.kind == "single":
        return "Runs of one model alone; no paired difference, so no rank."
    return ""
