"""The task `countdown`: packaged puzzles to evaluate with, and any number of puzzles of the train split."""

from __future__ import annotations

import random

from rlvr_demo.corpus import draw_puzzle, ends
from rlvr_demo.countdown import Puzzle, multisets
from rlvr_harness import Documents, LoadedTask, PromptRequest, TrainingRequest, packaged_task

ENOUGH = 2000
"""Training puzzles where no number is asked for: what the embedded rlvr checkpoint was trained on."""


class CountdownTask:
    """100 puzzles, and training puzzles on other numbers than those."""

    name = "countdown"
    training_source = "puzzles of the train split, drawn by seed; none shares its numbers with a test puzzle"

    def __init__(self) -> None:
        """Reads the packaged definition."""
        self._packaged = packaged_task("countdown")
        self.description = self._packaged.description

    def load(self, request: PromptRequest) -> LoadedTask:
        """The packaged puzzles."""
        return self._packaged.load(request)

    def load_training(self, request: TrainingRequest) -> LoadedTask:
        """`count` puzzles, 2,000 where it is not said; the same for a seed, and some of them may be equal."""
        rng = random.Random(request.seed)
        numbers = multisets("train")
        drawn = [draw_puzzle(numbers, rng) for _ in range(request.count or ENOUGH)]
        rows = [
            {
                "id": f"train-{place}",
                "prompt": puzzle.prompt,
                "numbers": list(puzzle.numbers),
                "target": puzzle.target,
                "chance": _chance(puzzle),
            }
            for place, puzzle in enumerate(drawn)
        ]
        return self._packaged.load(request.prompts, Documents(rows, f"train split, seed {request.seed}"))


def _chance(puzzle: Puzzle) -> float:
    """As `countdown.chance`, from what `draw_puzzle` counted already: 2,000 puzzles in a second, not in minutes."""
    found = ends(tuple(sorted(puzzle.numbers)))
    return found[puzzle.target] / sum(found.values())
