"""Hands the work of several schedules to an engine, from any thread, and wakes it when verdicts settle more."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

from rlvr_harness.planning import SampleKey
from rlvr_harness.records import Verdict
from rlvr_harness.requests import WorkUnit
from rlvr_harness.scheduling import Schedule, Standing

OPEN_TASKS = 2
"""Tasks that are sampled at a time: the next one fills the engine while the last texts of this one are on their way.
More would only keep more verifier processes and queues alive."""


class Feed:
    """The work of one model over its tasks, in their order; any thread may call any method.

    A fault on the verifying side is kept in `failure` and ends the work: whoever takes work gets None from then on.
    """

    def __init__(self, schedules: Mapping[str, Schedule]) -> None:
        """`schedules`: task -> what is to be sampled on it."""
        self._schedules = dict(schedules)
        self._changed = threading.Condition()
        self._first: list[WorkUnit] = []
        self._ended = False
        self.failure: BaseException | None = None

    def take_unit(self, wait: bool, tasks: Collection[str] | None = None) -> WorkUnit | None:
        """The next unit, of these tasks alone where named; None where none is ready, or with `wait` will ever be."""
        with self._changed:
            while not self._ended:
                unit = self._find(tasks)
                if unit is not None or not wait or self._all_done(tasks):
                    return unit
                self._changed.wait()
            return None

    def wait_for_work(self) -> bool:
        """Blocks until there is a unit to take, or until there will be none; whether there is."""
        with self._changed:
            while not (self._ended or self._first or self._all_done(None)):
                unit = self._find(None)
                if unit is not None:
                    self._first.append(unit)
                else:
                    self._changed.wait()
            return bool(self._first) and not self._ended

    def wait_until_done(self) -> None:
        """Blocks until everything is sampled and judged, or the work has ended early."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._all_done(None))

    def store(self, task: str, keys: Sequence[SampleKey]) -> set[SampleKey]:
        """Marks samples as stored; those that were not before."""
        with self._changed:
            return set(self._schedules[task].store(keys))

    def settle(self, task: str, verdicts: Sequence[Verdict]) -> bool:
        """Takes final verdicts in; whether the task is done with them."""
        with self._changed:
            self._schedules[task].settle(verdicts)
            self._changed.notify_all()
            return self._schedules[task].is_done

    def end(self, failure: BaseException | None = None) -> None:
        """No more work, because of a failure or because the caller stops."""
        with self._changed:
            self.failure = self.failure or failure
            self._ended = True
            self._changed.notify_all()

    def look(self, task: str) -> Standing:
        """How far a task is, for a line of progress."""
        with self._changed:
            return self._schedules[task].standing()

    def _find(self, tasks: Collection[str] | None) -> WorkUnit | None:
        for number, unit in enumerate(self._first):
            if tasks is None or unit[0].problem.task in tasks:
                return self._first.pop(number)
        running = [schedule for schedule in self._among(tasks) if not schedule.is_done]
        return next(filter(None, (schedule.take() for schedule in running[:OPEN_TASKS])), None)

    def _all_done(self, tasks: Collection[str] | None) -> bool:
        return all(schedule.is_done for schedule in self._among(tasks))

    def _among(self, tasks: Collection[str] | None) -> list[Schedule]:
        return [schedule for task, schedule in self._schedules.items() if tasks is None or task in tasks]
