"""The verifiers of mathematics: read the final answer from a completion and compare it with the gold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from rlvr_harness import FinishReason, Outcome, Problem, Sample, TaskError, Verdict, WorkLimits
from rlvr_math.algebra import (
    NeedsAlgebraError,
    TooComplexError,
    UnreadableError,
    equal_by_algebra,
    leave_to_workers,
    never_by_algebra,
)
from rlvr_math.comparison import Rules, SameEquation, same_answer
from rlvr_math.extraction import POLICIES, AnswerPolicy, last_of_any
from rlvr_math.latex_text import compact, tidy
from rlvr_math.quantities import canonical, read_number, split_unit
from rlvr_math.structure import read_structure

_LONGEST_ANSWER = 1000
_EXACT = Fraction(0)


@dataclass(frozen=True)
class MathVerifier:
    """RIGHT when the extracted answer equals `problem.reference`; the reasons for WRONG are one word each.

    no_answer: nothing to read; truncated: nothing to read and the token limit was hit; mismatch: a different answer;
    unreadable: not an expression; too_complex: would take unbounded work to evaluate, so refused by its form alone.
    Fields of the document: `answer_policy` (a key of POLICIES) says where the answer stands, default boxed; `error`, as
    in OlympiadBench, is the absolute difference that the data set allows.

    `relative`: difference allowed, as a share of the gold, where the gold is written with a decimal point or exponent.
    `algebra` off: only equal text and equal numbers count. `lenient`: `relative` holds for all numbers, 100 x and
    x / 100 pass for x, and where the policy finds nothing, any other does, down to the last number of the text.
    """

    name: str = "math"
    description: str = "final answer of a mathematics problem, compared exactly and then by algebra"
    version: str = "3"
    relative: Fraction = _EXACT
    algebra: bool = True
    lenient: bool = False

    @property
    def limits(self) -> WorkLimits | None:
        """None without algebra: text and numbers are cheap to compare and cannot hang."""
        return WorkLimits(wall_s=10.0, memory_mb=1024) if self.algebra else None

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The extracted answer; where there is none, whether the completion was cut."""
        answer = self._extract(problem, sample)
        return f"none:{sample.finish_reason.value}" if answer is None else f"answer:{answer}"

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """The verdict where text and exact numbers settle it, without algebra; else None."""
        try:
            return self._verdict(problem, sample, leave_to_workers)
        except NeedsAlgebraError:
            return None

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """The verdict. Raises TaskError for an answer policy that does not exist."""
        return self._verdict(problem, sample, equal_by_algebra if self.algebra else never_by_algebra)

    def accepts(self, problem: Problem, answer: str) -> bool:
        """Whether the bare answer is right; False where it would take algebra to tell."""
        boxed = replace(problem, metadata={**problem.metadata, "answer_policy": "boxed"})
        sample = Sample(
            problem.task, "", problem.problem_id, 0, 0, POLICIES["boxed"].write(answer), FinishReason.STOP, 0
        )
        verdict = self.quick(boxed, sample)
        return verdict is not None and verdict.outcome is Outcome.RIGHT

    def gold_texts(self, problem: Problem) -> list[str]:
        """The reference where the answer policy looks for it."""
        return [_policy(problem).write(problem.reference)]

    def near_misses(self, problem: Problem) -> list[str]:
        """Another value of the same form, the other sign where the gold is a number, and an answer never given."""
        policy, gold = _policy(problem), tidy(problem.reference)
        plain = split_unit(gold).text
        number, slack = read_number(plain), self._rules(problem.metadata, never_by_algebra).slack(plain)
        others = [_another(gold)] if number is None else [str(number + 1 + 3 * slack)]
        if number:
            others.append(str(-number - 3 * slack))
        return [*map(policy.write, others), "I do not know."]

    def _rules(self, document: Mapping[str, Any], by_algebra: SameEquation) -> Rules:
        absolute = read_number(str(document.get("error") or 0)) or _EXACT
        return Rules(by_algebra, abs(absolute), self.relative, self.lenient, self.lenient)

    def _extract(self, problem: Problem, sample: Sample) -> str | None:
        cut = sample.finish_reason is FinishReason.LENGTH
        answer = _policy(problem).read(sample.text, cut)
        return last_of_any(sample.text, cut) if answer is None and self.lenient else answer

    def _verdict(self, problem: Problem, sample: Sample, by_algebra: SameEquation) -> Verdict:
        extracted = self._extract(problem, sample)
        if extracted is None:
            cut = sample.finish_reason is FinishReason.LENGTH
            return Verdict.wrong(sample, None, "truncated" if cut else "no_answer")
        if extracted.strip() == problem.reference.strip():
            return Verdict.right(sample, _shown(extracted))
        if len(extracted) > _LONGEST_ANSWER:
            return Verdict.wrong(sample, extracted[:_LONGEST_ANSWER], "too_complex")
        gold, answer = tidy(problem.reference), tidy(extracted)
        shown = canonical(answer)
        if compact(gold) == compact(answer):
            return Verdict.right(sample, shown)
        rules = self._rules(problem.metadata, by_algebra)
        try:
            equal = same_answer(read_structure(gold), read_structure(answer), rules)
        except TooComplexError:
            return Verdict.wrong(sample, shown, "too_complex")
        except UnreadableError:
            return Verdict.wrong(sample, shown, "unreadable")
        return Verdict.right(sample, shown) if equal else Verdict.wrong(sample, shown, "mismatch")


def math_verifiers() -> list[MathVerifier]:
    """The verifier of mathematics tasks, the one for rounded golds, and two second opinions on either side of them."""
    return [
        MathVerifier(),
        MathVerifier(
            "math-tolerant", "as math, and 1 % either way of golds with a decimal point", relative=Fraction(1, 100)
        ),
        MathVerifier("math-strict", "as math, but equal text and equal numbers only, no algebra", algebra=False),
        MathVerifier(
            "math-lenient",
            "as math, but any last number counts, 0.01 % either way, x for 100 x: how lenient graders judge",
            relative=Fraction(1, 10_000),
            lenient=True,
        ),
    ]


def _policy(problem: Problem) -> AnswerPolicy:
    policy = problem.metadata.get("answer_policy", "boxed")
    if policy not in POLICIES:
        raise TaskError(f"{problem.task}: no answer policy {policy!r}; there are {', '.join(POLICIES)}")
    return POLICIES[policy]


def _another(reference: str) -> str:
    """A different answer of the same form. "x^2" -> "x^3", "\\frac{a}{9}" -> "\\frac{a}{0}", "(a)" -> "(a)+1"."""
    last = re.search(r"\d(?=\D*$)", reference)
    if last is None or "binom" in reference:  # binomials are symmetric: 4025 over 2012 is 4025 over 2013
        return f"{reference}+1"
    return reference[: last.start()] + str((int(last[0]) + 1) % 10) + reference[last.end() :]


def _shown(extracted: str) -> str:
    return canonical(tidy(extracted)) if len(extracted) <= _LONGEST_ANSWER else extracted[:_LONGEST_ANSWER]
