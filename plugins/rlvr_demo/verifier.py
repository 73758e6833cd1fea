"""The verifier of Countdown: every step is checked, so a right last number after a wrong step earns nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from rlvr_demo.countdown import Step, Trace, calculate, traces
from rlvr_harness import FinishReason, Problem, Sample, TaskError, Verdict, WorkLimits

_NUMBER = "(0|[1-9][0-9]?)"
STEP_LINE = re.compile(rf"{_NUMBER} ([-+*/]) {_NUMBER} = {_NUMBER}")  # 12 + 4 = 16


class CountdownVerifier:
    """RIGHT when the text is one line `a + b = c` per step, each exact, using every number once, ending in the target.

    The numbers and the target are read from the problem's metadata. Numbers are written 0..99, without leading
    zeros. A complete answer counts even where the token limit fell right behind it.
    """

    name = "countdown"
    version = "1"
    description = "checks each step of a Countdown solution, and that the last one makes the target"
    limits: WorkLimits | None = None

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The whole text, and whether the token limit cut it."""
        return f"{sample.finish_reason.value}:{sample.text}"

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """None: `verify` itself is cheap."""
        return None

    def gold_texts(self, problem: Problem) -> list[str]:
        """The solutions that a solver finds, three at most."""
        numbers, target = tuple(problem.metadata["numbers"]), problem.metadata["target"]
        solutions = (trace for trace in traces(numbers) if trace[-1].result == target)
        return ["\n".join(map(str, trace)) for trace in islice(solutions, 3)]

    def near_misses(self, problem: Problem) -> list[str]:
        """A solution with its last step missing, its last result off by one, or claimed without steps."""
        gold = self.gold_texts(problem)[0]
        head, last = gold.rsplit(" = ", 1)
        return [gold.rsplit("\n", 1)[0], f"{head} = {int(last) + 1}", f"{last} = {last}", f"The answer is {last}"]

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """Faults are those of `find_fault`, no_answer, bad_step_format; any of them is truncated in a text cut short.

        Raises TaskError where the problem's metadata lacks the numbers or the target.
        """
        try:
            numbers, target = problem.metadata["numbers"], problem.metadata["target"]
        except KeyError as missing:
            raise TaskError(
                f"{problem.problem_id}: verifier 'countdown' needs the document field {missing}; add it to the data"
            ) from missing
        trace = read_trace(sample.text)
        if trace is None:
            return _wrong(sample, None, "bad_step_format" if sample.text.strip() else "no_answer")
        if fault := find_fault(trace, numbers, target):
            return _wrong(sample, canonical(trace), fault)
        return Verdict.right(sample, canonical(trace))


def read_trace(text: str) -> Trace | None:
    """The steps of a text that holds nothing else, one a line; else None."""
    steps = []
    for line in text.removesuffix("\n").split("\n"):
        match = STEP_LINE.fullmatch(line)
        if match is None:
            return None
        left, operator, right, result = match.groups()
        steps.append(Step(int(left), operator, int(right), int(result)))
    return tuple(steps)


def find_fault(trace: Trace, numbers: Sequence[int], target: int) -> str | None:
    """The first of wrong_number_of_steps, number_not_available, wrong_arithmetic, wrong_target; None for a solution."""
    if len(trace) != len(numbers) - 1:
        return "wrong_number_of_steps"
    available = list(numbers)
    for step in trace:
        for operand in (step.left, step.right):
            if operand not in available:
                return "number_not_available"
            available.remove(operand)
        if calculate(step.left, step.operator, step.right) != step.result:
            return "wrong_arithmetic"
        available.append(step.result)
    return None if trace[-1].result == target else "wrong_target"


def canonical(trace: Trace) -> str:
    """The steps as one line, the larger operand of + and * first: `4 + 12 = 16` and `12 + 4 = 16` are one answer."""
    return "; ".join(
        f"{right} {operator} {left} = {result}" if operator in "+*" and left < right else str(step)
        for step in trace
        for left, operator, right, result in (step,)
    )


def _wrong(sample: Sample, answer: str | None, fault: str) -> Verdict:
    return Verdict.wrong(sample, answer, "truncated" if sample.finish_reason is FinishReason.LENGTH else fault)
