"""Turns problems, a plan and the verdicts so far into work, without a barrier over the task. Knows no model, no disk.

Problems are grouped into windows, a function of their order, the stages and the rows per unit alone. Each window goes
through the stages of the plan by itself: what a unit is made of depends on verdicts of its own window only, never on
timing, so a resumed run repeats the same batches. While one window waits for verdicts, units of others are handed out.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rlvr_harness.planning import FixedPlan, Plan, SampleKey, request_for, work_units
from rlvr_harness.records import Outcome, Problem, Tally, Verdict
from rlvr_harness.requests import WorkUnit

UNITS_PER_WINDOW = 4
"""First-stage units of a window: about a quarter of the problems go on at each stage, and still fill a unit."""
STREAM_BLOCK = 16
"""Samples per streamed request: few enough that the last ones spread over the engine, many enough to share a prompt."""


@dataclass(slots=True)
class Marks:
    """Which samples of one problem are stored, judged and right; bit j of each number stands for index j."""

    stored: int = 0
    judged: int = 0
    right: int = 0

    def unjudged(self) -> int:
        """Bits of the samples that are stored and have no verdict."""
        return self.stored & ~self.judged

    def note(self, verdict: Verdict, final: bool) -> None:
        """Takes a verdict in; a void one counts as judged only where it is `final`, nobody trying again."""
        bit = 1 << verdict.index
        if final or verdict.outcome is not Outcome.VOID:
            self.judged |= bit
        if verdict.outcome is Outcome.RIGHT:
            self.right |= bit

    def tally(self, problem_id: str, n: int) -> Tally:
        """Counts over the first `n` samples, all of them judged; void ones stand among those that are not right."""
        first = (1 << n) - 1
        return Tally(problem_id, (self.judged & first).bit_count(), (self.right & first).bit_count())


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one model is on one task.

    `first_right` of `first_judged` samples of the first stage are right, the share that estimates pass@1 without the
    pull of early stops; `solved` of `touched` problems have a right sample; `remaining` is what is still to be drawn,
    as far as can be told.
    """

    stored: int
    remaining: float
    first_right: int
    first_judged: int
    solved: int
    touched: int
    exact: bool
    """Whether `remaining` is certain, as in a plan of one stage."""


@dataclass
class _Window:
    """Problems that go through the stages together; `unsettled` are those whose stage is not judged in full."""

    open: list[Problem]
    stage: int = 0
    units: Iterator[WorkUnit] = field(default_factory=lambda: iter(()))
    unsettled: set[str] = field(default_factory=set)


class Schedule:
    """What one model is still to sample on one task. Not thread-safe: a `Feed` guards it.

    `rows`: samples per unit, or None for an engine that streams: every problem is then its own window, a unit is one
    request, and only missing samples are asked for. `marks` are taken over and kept up to date.
    """

    def __init__(
        self, problems: Sequence[Problem], plan: Plan, rows: int | None, run_seed: int, marks: Mapping[str, Marks]
    ) -> None:
        """Problems without marks have no samples yet."""
        self._plan, self._rows, self._run_seed = plan, rows, run_seed
        self.marks = {problem.problem_id: marks.get(problem.problem_id) or Marks() for problem in problems}
        size = 1 if rows is None else window_size(len(problems), plan, rows)
        groups = [list(problems[first : first + size]) for first in range(0, len(problems), size)]
        self._windows = [_Window(group) for group in groups]
        self._window_of = {p.problem_id: number for number, group in enumerate(groups) for p in group}
        self._ready: list[tuple[int, int]] = []
        self._unfinished = len(self._windows)
        self._went_on = [[0, 0] for _ in plan.stages]
        for number in range(len(self._windows)):
            self._begin_stage(number)
            self._move_on(number)

    @property
    def is_done(self) -> bool:
        """Whether every sample that the plan wants is stored and judged."""
        return not self._unfinished

    def take(self) -> WorkUnit | None:
        """The next unit of the lowest stage there is; None while all that is needed waits for verdicts."""
        while self._ready:
            stage, number = self._ready[0]
            window = self._windows[number]
            unit = next(window.units, None) if window.stage == stage and window.open else None
            if unit is not None:
                return unit
            heapq.heappop(self._ready)
        return None

    def store(self, keys: Iterable[SampleKey]) -> list[SampleKey]:
        """Marks samples as stored; those that were not before."""
        fresh = []
        for problem_id, index in keys:
            mark = self.marks[problem_id]
            if not mark.stored >> index & 1:
                mark.stored |= 1 << index
                fresh.append((problem_id, index))
        return fresh

    def settle(self, verdicts: Iterable[Verdict]) -> None:
        """Takes final verdicts in; a window whose stage is judged in full goes on."""
        for verdict in verdicts:
            mark, number = self.marks[verdict.problem_id], self._window_of[verdict.problem_id]
            mark.note(verdict, final=True)
            window = self._windows[number]
            if verdict.problem_id in window.unsettled and self._is_judged(verdict.problem_id, window.stage):
                window.unsettled.discard(verdict.problem_id)
                self._move_on(number)

    def standing(self) -> Standing:
        """How far the task is."""
        first = (1 << self._plan.stages[0]) - 1
        marks = self.marks.values()
        return Standing(
            stored=sum(mark.stored.bit_count() for mark in marks),
            remaining=self._remaining(),
            first_right=sum((mark.right & first).bit_count() for mark in marks),
            first_judged=sum((mark.judged & first).bit_count() for mark in marks),
            solved=sum(mark.right > 0 for mark in marks),
            touched=sum(mark.judged > 0 for mark in marks),
            exact=isinstance(self._plan, FixedPlan) or len(self._plan.stages) == 1,
        )

    def _remaining(self) -> float:
        """Problems go on as often as those before them did."""
        stages = self._plan.stages
        # With success chances spread evenly over (0, 1) about half go on at each doubling: two problems stand for that.
        always = isinstance(self._plan, FixedPlan)
        share = [1.0 if always else (on + 1) / (decided + 2) for decided, on in self._went_on]
        ahead = [0.0] * len(stages)
        for stage in range(len(stages) - 2, -1, -1):
            ahead[stage] = share[stage] * (stages[stage + 1] - stages[stage] + ahead[stage + 1])
        left = 0.0
        for window in self._windows:
            for problem in window.open:
                stored = (self.marks[problem.problem_id].stored & ((1 << stages[window.stage]) - 1)).bit_count()
                left += stages[window.stage] - stored + ahead[window.stage]
        return left

    def _begin_stage(self, number: int) -> None:
        window = self._windows[number]
        window.units = self._units(window)
        window.unsettled = {p.problem_id for p in window.open if not self._is_judged(p.problem_id, window.stage)}
        heapq.heappush(self._ready, (window.stage, number))

    def _units(self, window: _Window) -> Iterator[WorkUnit]:
        stages = self._plan.stages
        begin, end = stages[window.stage - 1] if window.stage else 0, stages[window.stage]
        if self._rows is None:
            return self._requests(window.open[0], begin, end)
        wanted = {problem.problem_id: end for problem in window.open}
        return work_units(window.open, wanted, self._rows, self._run_seed, _Stored(self.marks), begin)

    def _requests(self, problem: Problem, begin: int, end: int) -> Iterator[WorkUnit]:
        stored = self.marks[problem.problem_id].stored
        missing = [index for index in range(begin, end) if not stored >> index & 1]
        for first in range(0, len(missing), STREAM_BLOCK):
            yield (request_for(problem, missing[first : first + STREAM_BLOCK], self._run_seed),)

    def _is_judged(self, problem_id: str, stage: int) -> bool:
        wanted = (1 << self._plan.stages[stage]) - 1
        return self.marks[problem_id].judged & wanted == wanted

    def _move_on(self, number: int) -> None:
        """Decides who goes on, as often as all samples of the window's stage are judged."""
        window = self._windows[number]
        while window.open and not window.unsettled:
            reached, decided = self._plan.stages[window.stage], len(window.open)
            window.open = [p for p in window.open if self._wanted(p.problem_id, reached) > reached]
            self._went_on[window.stage][0] += decided
            self._went_on[window.stage][1] += len(window.open)
            if window.open:
                window.stage += 1
                self._begin_stage(number)
            else:
                self._unfinished -= 1

    def _wanted(self, problem_id: str, reached: int) -> int:
        return self._plan.samples_wanted(problem_id, self.marks[problem_id].tally(problem_id, reached))


class _Stored(Container[SampleKey]):
    """The stored samples as a container of keys."""

    def __init__(self, marks: Mapping[str, Marks]) -> None:
        self._marks = marks

    def __contains__(self, key: object) -> bool:
        problem_id, index = key  # type: ignore[misc]
        return bool(self._marks[problem_id].stored >> index & 1)  # type: ignore[has-type]


def window_size(problems: int, plan: Plan, rows: int) -> int:
    """Problems per window: enough for `UNITS_PER_WINDOW` first units, and two windows where one unit cannot hold all.

    A plan that decides nothing on the way has one window.
    """
    first = plan.stages[0]
    if isinstance(plan, FixedPlan) or len(plan.stages) == 1:
        return max(1, problems)
    size = max(1, -(-UNITS_PER_WINDOW * rows // first))
    return min(size, -(-problems // 2)) if problems * first > rows else max(1, problems)
