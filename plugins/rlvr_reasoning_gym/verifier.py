"""The verifier of reasoning-gym tasks: right means that the library's own scorer gives the answer the full 1.0."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr_harness import FinishReason, Problem, Sample, TaskError, Verdict, WorkLimits, last_closed_box
from rlvr_reasoning_gym.generators import score
from rlvr_reasoning_gym.guards import GUARDS

_TAGS = re.compile(r"<answer>((?:(?!</?answer>).)*)</answer>", re.DOTALL)
_LONGEST_ANSWER = 20_000
_NO_GOLD = frozenset({"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"})
"""Generators whose many valid answers the library scores but whose entries hold none."""


@dataclass(frozen=True)
class ReasoningGymVerifier:
    """RIGHT when reasoning-gym scores the last complete tagged or boxed answer 1.0; part of the score is WRONG.

    no_answer: nothing to read; truncated: nothing to read and the token limit was hit; mismatch: scored below 1.0, or
    not an answer that the scorer may see (`guards`); unreadable: the scorer failed on it, or it is absurdly long.
    """

    name: str = "reasoning-gym"
    description: str = "reasoning-gym's own scorer, right at the full score only"
    version: str = "2"

    @property
    def limits(self) -> WorkLimits | None:
        """Scorers of puzzles search and simplify."""
        return WorkLimits(wall_s=10.0, memory_mb=1024)

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The extracted answer; where there is none, whether the completion was cut."""
        answer = read_answer(sample.text)
        return f"none:{sample.finish_reason.value}" if answer is None else f"answer:{answer}"

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """WRONG where there is no answer, or one too long to be any."""
        answer = read_answer(sample.text)
        if answer is None:
            cut = sample.finish_reason is FinishReason.LENGTH
            return Verdict.wrong(sample, None, "truncated" if cut else "no_answer")
        return Verdict.wrong(sample, None, "unreadable") if len(answer) > _LONGEST_ANSWER else None

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """The library's verdict. Raises TaskError where the problem's metadata lacks generator or entry."""
        answer = read_answer(sample.text)
        if answer is None or len(answer) > _LONGEST_ANSWER:
            return self.quick(problem, sample) or Verdict.wrong(sample, None, "no_answer")
        generator, entry = _origin(problem)
        guard = GUARDS.get(generator)
        try:
            full = (guard is None or guard(answer, entry)) and score(generator, answer, entry) == 1.0
        except Exception as error:  # the library's scorers raise on junk
            if isinstance(error, MemoryError | ImportError):
                raise
            return Verdict.wrong(sample, answer, "unreadable")
        return Verdict.right(sample, answer) if full else Verdict.wrong(sample, answer, "mismatch")

    def gold_texts(self, problem: Problem) -> list[str]:
        """The entry's answer, tagged; nothing for the generators whose entries hold none, or an unsolved integral."""
        if _origin(problem)[0] in _NO_GOLD or "Integral(" in problem.reference:
            return []
        return [f"So it is <answer>{problem.reference}</answer>"]

    def near_misses(self, problem: Problem) -> list[str]:
        """The answer in an open tag, taken back, and for a whole number off by one."""
        gold = problem.reference
        texts = [f"<answer>{gold}", f"<answer>{gold}</answer> No: <answer>not the answer</answer>"]
        if re.fullmatch(r"-?\d{1,15}", gold):
            texts.append(f"<answer>{int(gold) + 1}</answer>")
        return texts


def read_answer(text: str) -> str | None:
    r"""The last complete, non-empty `<answer>...</answer>`, or where there is none, the last complete `\boxed{...}`.

    A tag that holds just a box is read as the box: `<answer>\boxed{5}</answer>` gives `5`.
    """
    tagged = [match[1].strip() for match in _TAGS.finditer(text) if match[1].strip()]
    if not tagged:
        return last_closed_box(text)
    answer = tagged[-1]
    return last_closed_box(answer) or answer if answer.startswith("\\boxed") and answer.endswith("}") else answer


def _origin(problem: Problem) -> tuple[str, Mapping[str, Any]]:
    try:
        return str(problem.metadata["generator"]), ast.literal_eval(problem.metadata["entry"])
    except (KeyError, ValueError, SyntaxError) as error:
        raise TaskError(
            f"{problem.problem_id}: verifier 'reasoning-gym' needs metadata.generator and metadata.entry, "
            "as tasks named reasoning_gym:NAME have them"
        ) from error
