"""The task `template`: the last step of a sum. Problems are made here, the same everywhere."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from rlvr_harness import LoadedTask, Problem, PromptRequest, TaskError

DATA_SEED = 0
SIZE = 50
"""The data set is fixed by these two, whatever the seed of a run: two runs must be about the same problems."""
LARGEST_NUMBER, LARGEST_TARGET = 13, 99


@dataclass(frozen=True)
class Puzzle:
    """Four numbers, of which each two are added already, and what one more step makes of the two sums."""

    numbers: tuple[int, int, int, int]
    target: int

    @property
    def sums(self) -> tuple[int, int]:
        """What the last step has to start from."""
        a, b, c, d = self.numbers
        return a + b, c + d

    @property
    def prompt(self) -> str:
        """What a model is given; its answer is the next line."""
        a, b, c, d = self.numbers
        left, right = self.sums
        return f"Make {self.target} from {a}, {b}, {c}, {d}.\n{a} + {b} = {left}\n{c} + {d} = {right}\n"


class LastStepTask:
    """`Make 26 from 9, 3, 8, 6.` with `9 + 3 = 12` and `8 + 6 = 14` is finished by `14 + 12 = 26`."""

    name = "template"
    description = f"{SIZE} sums whose last step is missing"

    def load(self, request: PromptRequest) -> LoadedTask:
        """The first problems, all unless limited. Raises TaskError for what this task cannot take."""
        if request.num_fewshot > 0:
            raise TaskError(f"task '{self.name}' has no solved examples; leave out --num_fewshot")
        if request.profile is not None and request.profile.before is not None:
            profile = request.profile.name
            raise TaskError(f"task '{self.name}' has a prompt of its own; it cannot take --prompt {profile}")
        puzzles = make_puzzles(SIZE)[: request.limit]
        return LoadedTask(
            problems=[self._problem(f"sum-{place:02d}", puzzle, request) for place, puzzle in enumerate(puzzles)],
            verifier=self.name,
            data_revision=f"made with seed {DATA_SEED}, size {SIZE}",
            data_hash=hashlib.sha256("".join(puzzle.prompt for puzzle in puzzles).encode()).hexdigest(),
            max_gen_toks=16,  # one step is short; a run may still ask for more
        )

    def _problem(self, problem_id: str, puzzle: Puzzle, request: PromptRequest) -> Problem:
        return Problem(
            task=self.name,
            problem_id=problem_id,
            prompt=_prompt(puzzle.prompt, request),
            reference=str(puzzle.target),
            stop=("\n",),
            metadata={"numbers": list(puzzle.sums), "target": puzzle.target},
        )


def make_puzzles(count: int) -> list[Puzzle]:
    """`count` different puzzles, drawn with DATA_SEED; the target is a sum or product of the sums, or their difference.

    Puzzles whose target is one of the sums are left out.
    """
    rng = random.Random(DATA_SEED)
    puzzles: dict[Puzzle, None] = {}
    while len(puzzles) < count:
        a, b, c, d = (rng.randint(1, LARGEST_NUMBER) for _ in range(4))
        left, right = a + b, c + d
        target = rng.choice((left + right, abs(left - right), left * right))
        if 0 < target <= LARGEST_TARGET and target not in (left, right):
            puzzles[Puzzle((a, b, c, d), target)] = None
    return list(puzzles)


def _prompt(text: str, request: PromptRequest) -> str:
    """The text as the run asks for it: with a system instruction, and through a chat format where there is one."""
    system = request.system_instruction
    if request.chat_renderer is not None:
        messages = [{"role": "system", "content": system}] if system else []
        return request.chat_renderer([*messages, {"role": "user", "content": text}])
    return (f"{system}\n\n" if system else "") + text
