"""The verifier `template`: reads one step of arithmetic and checks all of it."""

from __future__ import annotations

import re

from rlvr_harness import FinishReason, Problem, Sample, Verdict, WorkLimits

_NUMBER = r"(\d{1,9})"  # longer ones are no answer to a problem of two digits
STEP = re.compile(rf"{_NUMBER} ?([-+*/]) ?{_NUMBER} ?= ?{_NUMBER}", re.ASCII)  # 12 + 4 = 16


class StepVerifier:
    """RIGHT when the text is one step `a + b = c` that uses both numbers, is exact, and makes the target.

    Reasons of WRONG: no_answer (no step at all; truncated where the token limit was hit), number_not_available,
    wrong_arithmetic, wrong_target.
    """

    name = "template"
    version = "1"  # raise it whenever any verdict could change
    description = "one exact step of arithmetic that makes the target"
    limits: WorkLimits | None = None  # cheap, and cannot hang: it runs in the main process

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The whole text, and whether the token limit cut it."""
        return f"{sample.finish_reason.value}:{sample.text}"

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """None: `verify` itself is cheap."""
        return None

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """The verdict; no text makes it raise."""
        match = STEP.fullmatch(sample.text.strip())
        if match is None:
            cut = sample.finish_reason is FinishReason.LENGTH
            return Verdict.wrong(sample, None, "truncated" if cut else "no_answer")
        left, operator, right, result = int(match[1]), match[2], int(match[3]), int(match[4])
        answer = f"{left} {operator} {right} = {result}"
        if sorted((left, right)) != sorted(problem.metadata["numbers"]):
            return Verdict.wrong(sample, answer, "number_not_available")
        if not _is_exact(left, operator, right, result):
            return Verdict.wrong(sample, answer, "wrong_arithmetic")
        if result != problem.metadata["target"]:
            return Verdict.wrong(sample, answer, "wrong_target")
        return Verdict.right(sample, answer)

    def gold_texts(self, problem: Problem) -> list[str]:
        """Every step that is right: `rlvr-harness validate` proves that they are accepted."""
        left, right = problem.metadata["numbers"]
        target = problem.metadata["target"]
        return [
            f"{a} {operator} {b} = {target}"
            for a, b in ((left, right), (right, left))
            for operator in "+-*/"
            if _is_exact(a, operator, b, target)
        ]

    def near_misses(self, problem: Problem) -> list[str]:
        """What looks right and is not: `rlvr-harness validate` proves that they are refused."""
        gold, target = self.gold_texts(problem)[0], problem.metadata["target"]
        step = gold.rsplit(" = ", 1)[0]
        return [f"{step} = {target + 1}", f"{target} + 0 = {target}", str(target), f"{gold}\n{gold}", f"So {gold}"]


def _is_exact(left: int, operator: str, right: int, result: int) -> bool:
    if operator == "/":
        return right != 0 and left == right * result
    return result == {"+": left + right, "-": left - right, "*": left * right}[operator]
