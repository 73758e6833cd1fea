"""Live progress on stderr: a small table redrawn on a terminal, a line every `EVERY_S` seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rlvr_harness.scheduling import Standing

EVERY_S = 10.0
TERMINAL_EVERY_S = 0.5
Look = Callable[[str], Standing]
"""task -> how far it is."""


class Progress:
    """What one model has done on its tasks, how fast, and what was found so far.

    `advance` is called by the thread that samples, `show` by the one that tells; neither waits for the other.
    """

    def __init__(
        self,
        role: str,
        ks: Mapping[str, int],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        alone: bool = True,
    ) -> None:
        """`ks`: task -> largest k of its curves; `stream` None keeps quiet. Only when `alone` it draws a table."""
        self._alone = alone
        self._role, self._ks, self._stream, self._clock = role, dict(ks), stream, clock
        self._started = self._said = clock()
        self._samples = self._tokens = 0
        self._active: dict[str, int] = {}
        self._live: Any = None

    def begin(self) -> None:
        """Starts the clock: the engine is ready."""
        self._started = self._said = self._clock()

    def advance(self, task: str, samples: int, tokens: int) -> None:
        """Adds samples of the task and their tokens."""
        self._samples += samples
        self._tokens += tokens
        self._active[task] = self._active.get(task, 0) + samples

    def show(self, look: Look, waiting: int) -> None:
        """Speaks when it is time; `waiting`: samples and calls that are not judged yet."""
        if self._stream is None or not self._active:
            return
        terminal = self._draws(self._stream)
        now = self._clock()
        if now - self._said < (TERMINAL_EVERY_S if terminal else EVERY_S):
            return
        self._said = now
        if terminal:
            self._redraw(look, waiting)
        else:
            self._say(self._stream, self.line(look, waiting))

    def finish(self, look: Look) -> None:
        """The last state, which stays on the screen."""
        if self._stream is None or not self._active:
            return
        if self._draws(self._stream):
            self._redraw(look, 0)
            self.stop()
        else:
            self._say(self._stream, self.line(look, 0))

    def stop(self) -> None:
        """Leaves the terminal as it is; for whatever comes next on it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def line(self, look: Look, waiting: int) -> str:
        """Everything in one line."""
        found = "; ".join(f"{task} {self._found(task, look(task))}" for task in list(self._active))
        return f"{self._role}: {self._pace(look, waiting)}; {found}"

    def _draws(self, stream: TextIO) -> bool:
        return self._alone and stream.isatty()

    def _say(self, stream: TextIO, line: str) -> None:
        stream.write(f"{line}\n")  # at once: `print` would let another model's line in before the line's end
        stream.flush()

    def _pace(self, look: Look, waiting: int) -> str:
        standings = [look(task) for task in self._ks]
        stored, left = sum(each.stored for each in standings), sum(each.remaining for each in standings)
        about = "" if all(each.exact or not each.remaining for each in standings) else "about "
        seconds = max(self._clock() - self._started, 1e-9)
        rate = self._samples / seconds
        parts = [
            f"{stored:,} of {about}{stored + left:,.0f} samples",
            f"{rate:,.0f} samples/s",
            f"{self._tokens / seconds:,.0f} tokens/s",
            f"{waiting:,} to verify",
        ]
        if left and rate:
            parts.append(f"{duration(left / rate)} left")
        return ", ".join(parts)

    def _found(self, task: str, standing: Standing) -> str:
        return f"pass@1 {_share(standing.first_right, standing.first_judged)}, pass@{self._ks[task]} " + (
            f"{_share(standing.solved, standing.touched)} so far"
        )

    def _redraw(self, look: Look, waiting: int) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.table import Table
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=Console(file=self._stream), auto_refresh=False)
            self._live.start()
        table = Table(box=None)
        for column in ("task", "samples", "pass@1", "largest k", "solved so far"):
            table.add_column(column, justify="left" if column == "task" else "right")
        for task in list(self._active):
            each = look(task)
            total = f"{each.stored:,} of {'' if each.exact else 'about '}{each.stored + each.remaining:,.0f}"
            first, solved = _share(each.first_right, each.first_judged), _share(each.solved, each.touched)
            table.add_row(task, total, first, f"{self._ks[task]:,}", solved)
        self._live.update(Group(Text(f"{self._role}: {self._pace(look, waiting)}"), table), refresh=True)


def duration(seconds: float) -> str:
    """In the unit that fits: 42 -> "42 s", 600 -> "10 min", 9000 -> "2.5 h"."""
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def stderr_unless(quiet: bool) -> TextIO | None:
    """stderr, or None when asked to be quiet."""
    return None if quiet else sys.stderr
