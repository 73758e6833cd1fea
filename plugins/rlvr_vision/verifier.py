"""What the verifiers of the two benchmarks share: extraction first, then one judgement by the document's fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from rlvr_harness import FinishReason, Problem, Sample, Verdict, WorkLimits, last_closed_box
from rlvr_vision.answers import LONGEST_ANSWER, is_letter, letter, pick


@dataclass(frozen=True, slots=True)
class Judgement:
    """An answer as read: `shown` is one string for all its spellings, `reason` match, mismatch or why it is refused."""

    shown: str
    reason: str

    @classmethod
    def of(cls, shown: str, right: bool) -> Judgement:
        """The judgement of an answer that could be read."""
        return cls(shown, "match" if right else "mismatch")

    @classmethod
    def unreadable(cls, answer: str) -> Judgement:
        """The judgement of an answer that is none of its type."""
        return cls(answer, "unreadable")


class BenchmarkVerifier(ABC):
    """RIGHT when the extracted answer is the gold under the benchmark's own answer type; WRONG has a one-word reason.

    no_answer: nothing to read; truncated: nothing to read and the token limit was hit; mismatch: a different answer;
    unreadable: not of the answer type; no_choice: not one certain choice; too_long: no answer has that many characters.
    """

    name: str
    version: str
    description: str
    limits: WorkLimits | None = None

    @abstractmethod
    def unboxed_answer(self, problem: Problem, text: str) -> str | None:
        """The answer where the benchmark itself finds one in a completion without a box."""

    @abstractmethod
    def judge(self, problem: Problem, answer: str) -> Judgement:
        """The judgement of an answer of moderate length."""

    @abstractmethod
    def answers(self, problem: Problem) -> tuple[Sequence[str], Sequence[str]]:
        """Bare answers that are right, and others that look like them and are wrong."""

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The extracted answer; where there is none, whether the completion was cut."""
        answer = self._extract(problem, sample)
        return f"none:{sample.finish_reason.value}" if answer is None else f"answer:{answer}"

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """The verdict: it is always cheap."""
        return self.verify(problem, sample)

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """The verdict. Raises TaskError for a document without the benchmark's fields."""
        answer = self._extract(problem, sample)
        if answer is None:
            cut = sample.finish_reason is FinishReason.LENGTH
            return Verdict.wrong(sample, None, "truncated" if cut else "no_answer")
        if len(answer) > LONGEST_ANSWER:
            return Verdict.wrong(sample, answer[:LONGEST_ANSWER], "too_long")
        judgement = self.judge(problem, answer)
        if judgement.reason == "match":
            return Verdict.right(sample, judgement.shown)
        return Verdict.wrong(sample, judgement.shown, judgement.reason)

    def accepts(self, problem: Problem, answer: str) -> bool:
        """Whether the bare answer is right."""
        return len(answer) <= LONGEST_ANSWER and self.judge(problem, answer).reason == "match"

    def gold_texts(self, problem: Problem) -> list[str]:
        """Each right answer in a box."""
        return [f"So it is \\boxed{{{answer}}}." for answer in self.answers(problem)[0]]

    def near_misses(self, problem: Problem) -> list[str]:
        """Each wrong answer in a box, and a right one that is never given."""
        right, wrong = self.answers(problem)
        return [*(f"So it is \\boxed{{{answer}}}." for answer in wrong), f"Perhaps {right[0]}, but I cannot tell"]

    def _extract(self, problem: Problem, sample: Sample) -> str | None:
        boxed = last_closed_box(sample.text)
        if boxed is None and sample.finish_reason is not FinishReason.LENGTH:
            return self.unboxed_answer(problem, sample.text)
        return boxed


def judge_choice(choices: Sequence[str], gold: int, answer: str) -> Judgement:
    """Whether the answer names the choice with this index; it is shown by its letter."""
    picked = pick(choices, answer)
    if picked is None:
        return Judgement(answer, "no_choice")
    return Judgement.of(letter(picked), choices[picked] == choices[gold])


def choice_answers(choices: Sequence[str], gold: int) -> tuple[list[str], list[str]]:
    """Letters and texts of the right choice and of all others, where a text is not read as another's letter."""
    named = [(index, name) for index in range(len(choices)) for name in (letter(index), f"({letter(index)})")]
    named += [(index, choice) for index, choice in enumerate(choices) if not is_letter(choices, choice)]
    rights = [name for index, name in named if choices[index] == choices[gold]]
    return rights, [name for index, name in named if choices[index] != choices[gold] and name not in rights]
