"""The boxes of a judge: lent to one thread at a time, replaced when they break, tried with canaries now and then."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rlvr_sandbox.box import Backend, Box
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.preparing import prepare
from rlvr_sandbox.records import CodeTask, Exit, Limits, Style, TestRun

_log = logging.getLogger(__name__)
_CANARIES = (("def f(x):\n    return x + 1\n", None), ("def f(x):\n    return x\n", "wrong_answer"))
_CANARY_LIMITS = Limits(cpu_s=5.0)


class Batch:
    """What one box ran between two canaries. `good` is None until the second one ran, then whether it was right.

    A box that breaks before that settles its batch as good: what it had answered by then stands.
    """

    __slots__ = ("good",)

    def __init__(self) -> None:
        """Unsettled."""
        self.good: bool | None = None


class Slot:
    """A box with its batch and the number of programs in it."""

    __slots__ = ("batch", "box", "programs")

    def __init__(self, box: Box) -> None:
        """A new box, a new batch."""
        self.box, self.batch, self.programs = box, Batch(), 0


class Lease:
    """A box in one thread's hands.

    `alone` stays True while no other box of the pool runs. The holder sets `broken` to have the box replaced, and
    `canary` to have it tried when it is given back.
    """

    def __init__(self, alone: bool) -> None:
        """The pool sets the rest before anyone sees the lease."""
        self.alone, self.broken, self.canary = alone, False, False
        self.slot: Slot | None = None
        self.box: Box
        self.batch: Batch


class BoxPool:
    """At most `workers` boxes of one backend, opened when first needed. Safe to share between threads."""

    def __init__(self, backend: Backend, workers: int, level: int, canary_every: int) -> None:
        """`level`: a box below it is refused. `canary_every`: programs a box runs between two canaries."""
        self._backend, self._workers, self._level, self._canary_every = backend, workers, level, canary_every
        self._idle: list[Slot] = []
        self._leases: set[Lease] = set()
        self._open, self._wanting_alone = 0, 0
        self._exclusive = self._closed = self.ever_opened = False
        self._changed = threading.Condition()

    @contextmanager
    def lease(self, alone: bool = False, batch: Batch | None = None) -> Iterator[Lease]:
        """A box, when one is free. `alone`: with no other running meanwhile. `batch`: the box that has that batch.

        Raises SandboxUnavailable when no box can be had, and when the batch asked for is settled by now.
        """
        lease = self._take(alone, batch)
        keep = False
        try:
            yield lease
            if lease.slot is not None:
                self._count(lease, lease.slot)
            keep = not lease.broken and lease.box.alive
        finally:
            self._give_back(lease, alone, keep)

    def confirm(self, batch: Batch) -> bool:
        """Whether what the batch holds can be trusted; tries its box now where that is not known yet."""
        while batch.good is None:
            try:
                with self.lease(batch=batch) as lease:
                    lease.canary = True
            except SandboxUnavailable:
                if self._closed:
                    break  # closing tries no box again: what was said so far stands
        return batch.good is not False

    def close(self) -> None:
        """Ends every box at rest; one that is lent ends when it is given back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for slot in idle:
            slot.box.close()

    def _take(self, alone: bool, batch: Batch | None) -> Lease:
        with self._changed:
            self._wanting_alone += alone
            try:
                self._changed.wait_for(lambda: self._closed or self._free(alone, batch))
            finally:
                self._wanting_alone -= alone
            if self._closed or (batch and batch.good is not None):
                raise SandboxUnavailable("the judge is closed" if self._closed else "the batch is settled")
            slot = next((slot for slot in reversed(self._idle) if batch is None or slot.batch is batch), None)
            if slot is not None:
                self._idle.remove(slot)
            self._open += slot is None
            lease = Lease(alone=not self._leases)
            for other in self._leases:
                other.alone = False
            self._leases.add(lease)
            self._exclusive = alone
        if slot is None:
            slot = self._new_slot(lease, alone)
        lease.slot, lease.box, lease.batch = slot, slot.box, slot.batch
        return lease

    def _free(self, alone: bool, batch: Batch | None) -> bool:
        if batch is not None and batch.good is not None:
            return True
        if self._exclusive or (alone and self._leases) or (self._wanting_alone and not alone):
            return False
        if batch is not None:
            return any(slot.batch is batch for slot in self._idle)
        return bool(self._idle) or self._open < self._workers

    def _new_slot(self, lease: Lease, alone: bool) -> Slot:
        try:
            slot = Slot(self._open_box())
        except BaseException:
            self._give_back(lease, alone, keep=False)
            raise
        self.ever_opened = True
        return slot

    def _open_box(self) -> Box:
        try:
            box = self._backend.open()
        except SandboxUnavailable:
            raise
        except Exception as error:  # a backend is a plugin
            raise SandboxUnavailable(f"the sandbox `{self._backend.name}` failed to open: {error!r}") from error
        if box.level < self._level:
            box.close()
            raise SandboxUnavailable(
                f"the sandbox `{self._backend.name}` opened a box of level {box.level}, not the {self._level} asked for"
            )
        return box

    def _count(self, lease: Lease, slot: Slot) -> None:
        """One more program; the canaries, when they are due, when asked for, and before a box is given up."""
        slot.programs += 1
        was_alive = slot.box.alive
        if lease.broken or (was_alive and not lease.canary and slot.programs < self._canary_every):
            return
        right = canaries_right(slot.box)
        # A box that had ended already owes no canary; one that seemed well does.
        slot.batch.good = right if right is not None else not was_alive
        if not slot.batch.good:
            lease.broken = True
            _log.warning("a sandbox judged its canaries wrong after %d programs; it is replaced", slot.programs)
        slot.batch, slot.programs = Batch(), 0

    def _give_back(self, lease: Lease, alone: bool, keep: bool) -> None:
        slot = lease.slot
        if slot is not None and not (keep and not self._closed):
            slot.box.close()  # before another is opened in its place
        with self._changed:
            self._leases.discard(lease)
            self._exclusive = self._exclusive and not alone
            if slot is not None and keep and not self._closed:
                self._idle.append(slot)
            else:
                self._open -= 1
                if slot is not None and slot.batch.good is None:
                    slot.batch.good = True
            self._changed.notify_all()


def canaries_right(box: Box) -> bool | None:
    """Whether the box tells a right program from a wrong one, with a number it cannot know. None: it broke."""
    number = secrets.randbelow(1 << 60)
    task = CodeTask("canary", Style.FUNCTION, [[number]], [number + 1], entry="f", limits=_CANARY_LIMITS)
    prepared = prepare(task)
    for program, fault in _CANARIES:
        runs: list[TestRun] = []

        def keep(_: int, run: TestRun, runs: list[TestRun] = runs) -> bool:
            runs.append(run)
            return True

        try:
            box.run(prepared.job(program), keep)
        except Exception as error:  # noqa: BLE001  (a backend is a plugin)
            _log.warning("a sandbox failed over a canary: %r", error)
            return None
        if any(run.exit is Exit.LOST for run in runs):
            return None
        if len(runs) != 1 or prepared.fault(0, runs[0]) != fault:
            return False
    return True
