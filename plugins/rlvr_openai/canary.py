"""Watches for a server that gives every request the same answer, as one that was started with a constant seed does."""

from __future__ import annotations

from collections.abc import Sequence

ENOUGH = 6
"""Repeated answers after which the server is put to the test; a confident model may give some by itself."""


class Canary:
    """Keeps samples back until two requests of one problem have differed, or `ENOUGH` of them were alike."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.settled = False
        self._first: dict[str, Sequence[str]] = {}
        self._alike = 0

    @property
    def suspicious(self) -> bool:
        """Whether enough answers were alike, and none differed."""
        return not self.settled and self._alike >= ENOUGH

    def watch(self, problem_id: str, texts: Sequence[str]) -> None:
        """Takes the texts of one request."""
        if self.settled:
            return
        first = self._first.setdefault(problem_id, texts)
        if first is texts:
            self._alike += len(texts) > 1 and len(set(texts)) == 1
            return
        both = min(len(first), len(texts))
        if list(first[:both]) != list(texts[:both]):
            self.settle()
        else:
            self._alike += 1

    def settle(self) -> None:
        """The server is known to draw anew for every request."""
        self.settled = True
        self._first.clear()
