"""Tallying: verdicts and samples of one model on one task, folded into counts. Texts are seen once and not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rlvr_harness.records import FinishReason, Outcome, Tally, VerdictCount

AnswerCounts = Mapping[str | None, tuple[int, int]]
"""answer -> (samples that gave it, how many of them were right); None stands for no answer."""

StoredText = tuple[str, str, str, int]
"""(problem_id, text, finish reason, number of tokens) of one sample."""


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


def tally_verdicts(problem_ids: Sequence[str], counts: Iterable[VerdictCount]) -> list[Tally]:
    """One Tally per problem, in the given order; void verdicts are counted apart."""
    found: Counter[tuple[str, Outcome]] = Counter()
    for each in counts:
        found[each.problem_id, each.outcome] += each.count
    return [
        Tally(p, found[p, Outcome.RIGHT] + found[p, Outcome.WRONG], found[p, Outcome.RIGHT], found[p, Outcome.VOID])
        for p in problem_ids
    ]


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


def count_texts(texts: Iterable[StoredText]) -> TextCounts:
    """Truncation, tokens and distinct texts; texts are told apart by their 64-bit hash, so none is kept."""
    hashes: dict[str, set[int]] = {}
    counted: Counter[str] = Counter()
    truncated = tokens = 0
    for problem_id, text, finish_reason, n_tokens in texts:
        tokens += n_tokens
        truncated += finish_reason == FinishReason.LENGTH
        counted[problem_id] += 1
        hashes.setdefault(problem_id, set()).add(hash(text))
    return TextCounts(counted.total(), truncated, tokens, {p: len(h) for p, h in hashes.items()}, dict(counted))
