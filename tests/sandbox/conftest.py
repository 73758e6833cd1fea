"""Boxes without a sandbox: they run the tests' own harmless programs in this process, or answer as they are told."""

from __future__ import annotations

import pytest

from rlvr_sandbox.box import Isolation
from rlvr_sandbox.jail import given, tagged
from rlvr_sandbox.records import CodeTask, Exit, Style
from rlvr_sandbox.records import TestRun as Run


def run_here(box, job, accept):
    """What a good box does, for function programs that can be trusted."""
    names = {}
    exec(job.program, names)
    for index, data in enumerate(job.inputs):
        try:
            run = Run(Exit.RETURNED, tagged.encode(names[job.entry](*given.decode(data)), 1 << 20))
        except Exception as error:  # noqa: BLE001  (the program is a plugin)
            run = Run(Exit.RAISED, detail=type(error).__name__)
        if not accept(index, run) or run.exit is not Exit.RETURNED:
            return


class FakeBox:
    def __init__(self, behave, level):
        self.behave, self.level, self.alive, self.closed, self.programs = behave, level, True, False, []

    def run(self, job, accept):
        self.programs.append(job.program.decode(errors="replace"))
        self.behave(self, job, accept)

    def close(self):
        self.alive, self.closed = False, True


class FakeBackend:
    name, description = "fake", "for tests"

    def __init__(self, behave=run_here, level=3, box_level=None):
        self.behave, self.level, self.box_level, self.boxes = behave, level, box_level or level, []

    def isolation(self):
        return Isolation(self.level, missing=["user namespaces: refused by the kernel"] if self.level < 3 else [])

    def open(self):
        self.boxes.append(FakeBox(self.behave, self.box_level))
        return self.boxes[-1]


@pytest.fixture
def fake():
    """fake(behave, level=3) -> a backend whose boxes do `behave(box, job, accept)`; good ones when left out."""
    return FakeBackend


@pytest.fixture
def here():
    """What a good box does."""
    return run_here


@pytest.fixture
def twice():
    """f(x) = 2x, on 1 and 5."""
    return CodeTask("twice", Style.FUNCTION, [[1], [5]], [2, 10], entry="f")


@pytest.fixture
def told():
    """told(*runs) -> the behaviour of a box that answers every program but the canaries with those runs."""

    def make(*runs):
        def behave(box, job, accept):
            if b"return x" in job.program:
                run_here(box, job, accept)
                return
            for index, run in enumerate(runs):
                if not accept(index, run):
                    return

        return behave

    return make
