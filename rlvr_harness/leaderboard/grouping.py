"""Which rows may be ranked together: only those that are alike in all that a score hangs on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rlvr_harness.leaderboard.folders import digest_of
from rlvr_harness.leaderboard.rows import Conditions, Row

Kind = Literal["ranked", "published", "single"]
KINDS: tuple[Kind, ...] = ("ranked", "published", "single")
LAW_NAMES = ("T", "top-p", "top-k", "min-p", "repetition penalty")


@dataclass(frozen=True)
class Ranked:
    """A row with its place: competition ranks from 1, or None with the reason why it has none."""

    row: Row
    rank: int | None
    reason: str = ""


@dataclass(frozen=True)
class Group:
    """Rows that stand in one table. `conditions`: of all of them where `kind` is "ranked", else of the first.

    `differs`: what is not as in the first group of the task, in words.
    """

    group_id: str
    kind: Kind
    conditions: Conditions
    rows: tuple[Ranked, ...]
    differs: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """The task of all rows."""
        return self.conditions.task

    def only(self, row_ids: set[str]) -> Group:
        """The same group with some of its rows, each with its rank among all."""
        kept = tuple(ranked for ranked in self.rows if ranked.row.row_id in row_ids)
        return Group(self.group_id, self.kind, self.conditions, kept, self.differs)


def grouped(rows: Iterable[Row]) -> list[Group]:
    """All rows in groups: tasks by name; within a task ranked groups first, those with most rows before others."""
    members: dict[tuple[str, Kind, Conditions | None], list[Row]] = {}
    for row in rows:
        kind = _kind(row)
        key = (row.conditions.task, kind, row.conditions if kind == "ranked" else None)
        members.setdefault(key, []).append(row)
    groups = [_group(kind, found) for (_, kind, _), found in members.items()]
    groups.sort(key=_order)
    firsts: dict[str, Group] = {}
    for group in groups:
        firsts.setdefault(group.task, group)
    return [_with_difference(group, firsts[group.task]) for group in groups]


def _kind(row: Row) -> Kind:
    if row.base is None:
        return "single"
    return "ranked" if row.conditions.known else "published"


def _order(group: Group) -> tuple[object, ...]:
    return (group.task, KINDS.index(group.kind), -len(group.rows), -(group.conditions.k or 0), group.group_id)


def _group(kind: Kind, rows: Sequence[Row]) -> Group:
    ranked = tuple(_ranks(kind, rows))
    conditions = ranked[0].row.conditions
    known: object = asdict(conditions) if kind == "ranked" else [kind, conditions.task]
    return Group(digest_of(known), kind, conditions, ranked)


def _ranks(kind: Kind, rows: Sequence[Row]) -> list[Ranked]:
    """Ranked rows by falling difference, then the others in the same order."""
    ordered = sorted(rows, key=lambda row: (row.gap is None, -(row.gap.value if row.gap else 0.0), row.row_id))
    reasons = {row.row_id: _reason(kind, row) for row in ordered}
    fair = [row.gap.value for row in ordered if row.gap is not None and not reasons[row.row_id]]
    ranked = []
    for row in ordered:
        reason = reasons[row.row_id]
        place = None if reason or row.gap is None else 1 + sum(value > row.gap.value for value in fair)
        ranked.append(Ranked(row, place, reason))
    return sorted(ranked, key=lambda one: one.rank is None)


def _reason(kind: Kind, row: Row) -> str:
    if row.unfair:
        return f"not a fair comparison: {row.unfair}"
    if kind == "single":
        return "no base to compare with"
    if kind == "published":
        return "conditions unknown"
    return "" if row.gap is not None else "nothing measured"


def _with_difference(group: Group, first: Group) -> Group:
    if group is first or group.kind != "ranked":
        return group
    differs = tuple(differences(group.conditions, first.conditions))
    return Group(group.group_id, group.kind, group.conditions, group.rows, differs)


def differences(ours: Conditions, theirs: Conditions) -> list[str]:
    """What of `ours` is not as in `theirs`, both known, each in words: "k = 64, not 256"."""
    found = []
    for name, what in (("data_hash", "data"), ("problem_set", "problems"), ("prompt_hash", "prompt")):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            found.append(f"other {what} ({short(mine)}, not {short(other)})")
    for what, value, usual in zip(LAW_NAMES, ours.law or (), theirs.law or (), strict=True):
        if value != usual:
            found.append(f"{what} = {value:g}, not {usual:g}")
    if ours.max_gen_toks != theirs.max_gen_toks:
        found.append(f"up to {_number(ours.max_gen_toks)} tokens, not {_number(theirs.max_gen_toks)}")
    if (ours.verifier, ours.verifier_version) != (theirs.verifier, theirs.verifier_version):
        mine, other = (f"{each.verifier} {each.verifier_version}" for each in (ours, theirs))
        found.append(f"verifier {mine}, not {other}")
    if ours.k != theirs.k:
        found.append(f"k = {_number(ours.k)}, not {_number(theirs.k)}")
    return found


def short(digest: str | None) -> str:
    """The first characters of a hash, enough to tell two apart by eye."""
    return "unknown" if digest is None else digest[:10]


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
