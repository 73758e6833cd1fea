"""Training problems that are evaluation problems too: equal texts, or long runs of words in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rlvr_harness.records import Problem

RUN_OF_WORDS = 13
"""Words in a row that two texts of different origin do not share by chance: Brown et al. 2020, arXiv:2005.14165."""
Words = tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """How many training problems of a task are found among the evaluation problems of another, or of itself.

    `equal`: the same text, but for case, spaces and punctuation. `sharing`: others that have 13 words in a row in
    common with one. `examples`: some (training id, evaluation id).
    """

    task: str
    evaluation: str
    problems: int
    equal: int
    sharing: int
    examples: tuple[tuple[str, str], ...]

    def line(self) -> str:
        """For the user."""
        shown = ", ".join(f"{ours} is {theirs}" for ours, theirs in self.examples)
        return (
            f"contamination: of {self.problems:,} training problems of '{self.task}', {self.equal:,} equal evaluation "
            f"problems of '{self.evaluation}' and {self.sharing:,} more share {RUN_OF_WORDS} words in a row with one "
            f"({shown}); scores on '{self.evaluation}' would overstate what was learned"
        )


def find_overlap(training: Sequence[Problem], evaluation: Sequence[Problem]) -> Overlap | None:
    """What the two sets have in common, by their prompts less the wording around all of them; None for nothing.

    Texts of fewer than 13 words are compared as a whole only.
    """
    ours = _own_words([problem.prompt for problem in training])
    theirs = _own_words([problem.prompt for problem in evaluation])
    whole = {words: problem.problem_id for words, problem in zip(theirs, evaluation, strict=True)}
    whole |= {words_of(problem.prompt): problem.problem_id for problem in evaluation}
    runs = {run: problem.problem_id for words, problem in zip(theirs, evaluation, strict=True) for run in _runs(words)}
    equal: list[tuple[str, str]] = []
    sharing: list[tuple[str, str]] = []
    for words, problem in zip(ours, training, strict=True):
        if (same := whole.get(words) or whole.get(words_of(problem.prompt))) is not None:
            equal.append((problem.problem_id, same))
        elif (near := next((runs[run] for run in _runs(words) if run in runs), None)) is not None:
            sharing.append((problem.problem_id, near))
    if not equal and not sharing:
        return None
    examples = tuple((equal + sharing)[:3])
    return Overlap(training[0].task, evaluation[0].task, len(training), len(equal), len(sharing), examples)


def words_of(text: str) -> Words:
    """Words, numbers and signs of arithmetic, in lower case. "Is 2+2 = 4?" -> is 2 + 2 = 4"""
    return tuple(re.findall(r"\w+|[-+*/^=<>|%]", unicodedata.normalize("NFKC", text).lower()))


def _runs(words: Words) -> list[Words]:
    plain = tuple(word for word in words if word[0].isalnum())
    return [plain[start : start + RUN_OF_WORDS] for start in range(len(plain) - RUN_OF_WORDS + 1)]


def _own_words(prompts: Sequence[str]) -> list[Words]:
    """The words of each prompt without the beginning and the end that all of them share: instructions, chat marks."""
    texts = [words_of(prompt) for prompt in prompts]
    if len(set(texts)) < 2:
        return texts
    before = _shared(texts)
    after = _shared([text[before:][::-1] for text in texts])
    return [text[before : len(text) - after] for text in texts]


def _shared(texts: Sequence[Words]) -> int:
    """Length of the beginning that all texts share."""
    shortest, *_ = sorted(texts, key=len)
    differs = (place for place, word in enumerate(shortest) if any(text[place] != word for text in texts))
    return next(differs, len(shortest))
