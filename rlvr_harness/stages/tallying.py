"""Tallying: verdicts and samples of one model on one task, folded into counts. Texts are seen once and not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rlvr_harness.metrics.curve import StagePath
from rlvr_harness.records import FinishReason, Outcome, Tally, VerdictCount

AnswerCounts = Mapping[str | None, tuple[int, int]]
"""answer -> (samples that gave it, how many of them were right); None stands for no answer."""

StoredText = tuple[str, int, str, str, int]
"""(problem_id, index, text, finish reason, number of tokens) of one sample."""


@dataclass(frozen=True)
class TextCounts:
    """What can be counted of samples without judging them; all per model and task."""

    samples: int
    truncated: int
    tokens: int
    distinct: Mapping[str, int]
    """problem_id -> number of distinct texts."""
    counted: Mapping[str, int]
    """problem_id -> number of samples."""
    truncated_share: float | None
    mean_tokens: float | None
    """Of the samples that every problem has: a sequential plan draws more of hard problems, whose texts are longer."""


def tally_verdicts(problem_ids: Sequence[str], counts: Iterable[VerdictCount]) -> list[Tally]:
    """One Tally per problem, in the given order; void verdicts are counted apart."""
    found: Counter[tuple[str, Outcome]] = Counter()
    for each in counts:
        found[each.problem_id, each.outcome] += each.count
    return [
        Tally(p, found[p, Outcome.RIGHT] + found[p, Outcome.WRONG], found[p, Outcome.RIGHT], found[p, Outcome.VOID])
        for p in problem_ids
    ]


def stage_paths(
    problem_ids: Sequence[str], counts: Sequence[VerdictCount], stages: Sequence[int], stop_after: int
) -> dict[str, StagePath]:
    """How each problem went through the stages of a sequential plan, told from its settled verdicts alone.

    A problem stops at the first stage whose end finds `stop_after` right ones among its samples so far. Verdicts that
    were void when the run decided, and were settled since, can move that stage forward; what was drawn later is then
    left out, so that stopping hangs on nothing but outcomes.
    """
    drawn: Counter[tuple[str, int]] = Counter()
    right: Counter[tuple[str, int]] = Counter()
    last: dict[str, int] = {}
    for each in counts:
        if each.stage >= len(stages):
            continue
        last[each.problem_id] = max(each.stage, last.get(each.problem_id, 0))
        drawn[each.problem_id, each.stage] += each.count * (each.outcome is not Outcome.VOID)
        right[each.problem_id, each.stage] += each.count * (each.outcome is Outcome.RIGHT)
    paths = {}
    for problem_id in problem_ids:
        ends: list[int] = []
        found = 0
        for stage in range(last.get(problem_id, -1) + 1):
            ends.append((ends[-1] if ends else 0) + drawn[problem_id, stage])
            found += right[problem_id, stage]
            if found >= stop_after:
                break
        paths[problem_id] = StagePath(tuple(ends), found)
    return paths


def first_stage(counts: Iterable[VerdictCount]) -> list[VerdictCount]:
    """The verdicts of each problem's first stage that has a verified sample, which no outcome decided to draw."""
    verified = [each for each in counts if each.outcome is not Outcome.VOID]
    first: dict[str, int] = {}
    for each in verified:
        first[each.problem_id] = min(each.stage, first.get(each.problem_id, each.stage))
    return [each for each in verified if each.stage == first[each.problem_id]]


def count_answers(counts: Iterable[VerdictCount]) -> dict[str, dict[str | None, tuple[int, int]]]:
    """problem_id -> answer -> (count, right)."""
    answers: dict[str, dict[str | None, tuple[int, int]]] = {}
    for each in counts:
        if each.outcome is Outcome.VOID:
            continue
        of_problem = answers.setdefault(each.problem_id, {})
        count, right = of_problem.get(each.answer, (0, 0))
        of_problem[each.answer] = (count + each.count, right + each.count * (each.outcome is Outcome.RIGHT))
    return answers


def count_texts(texts: Iterable[StoredText], first: int | None = None) -> TextCounts:
    """Truncation, tokens and distinct texts; texts are told apart by their 64-bit hash, so none is kept.

    `first`: how many samples every problem has, whatever was found; None where that is all of them.
    """
    hashes: dict[str, set[int]] = {}
    counted: Counter[str] = Counter()
    truncated = tokens = 0
    evenly = [0, 0, 0]
    for problem_id, index, text, finish_reason, n_tokens in texts:
        cut = finish_reason == FinishReason.LENGTH
        tokens += n_tokens
        truncated += cut
        counted[problem_id] += 1
        hashes.setdefault(problem_id, set()).add(hash(text))
        if first is None or index < first:
            evenly = [evenly[0] + 1, evenly[1] + cut, evenly[2] + n_tokens]
    distinct = {problem_id: len(found) for problem_id, found in hashes.items()}
    shares = [part / evenly[0] if evenly[0] else None for part in evenly[1:]]
    return TextCounts(counted.total(), truncated, tokens, distinct, dict(counted), *shares)
