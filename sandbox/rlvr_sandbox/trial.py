"""One run of one program on one box, watched test by test."""

from __future__ import annotations

import logging
import time

from rlvr_sandbox.errors import SandboxError
from rlvr_sandbox.pool import Lease
from rlvr_sandbox.preparing import PreparedTask
from rlvr_sandbox.records import Exit, Judgement, Ruling, TestRun

_BUSY = 0.9
_log = logging.getLogger(__name__)


class Trial:
    """Collects what a box tells. `lost`: why the box failed, if it did; `timed_out`: whether that is the fault.

    `busy`: the last test used the processor time it had, so that no other load of the machine can be to blame.
    """

    def __init__(self, prepared: PreparedTask, program: str, *, keep_runs: bool = False) -> None:
        """`keep_runs`: keep every run and judge none."""
        self._prepared, self._program, self._keep_runs = prepared, program, keep_runs
        self._told, self._seconds = 0, 0.0
        self._fault: str | None = None
        self._broken: SandboxError | None = None
        self.lost: str | None = None
        self.timed_out = self.busy = False
        self.runs: list[TestRun] = []

    def run(self, lease: Lease) -> None:
        """Runs the program. Sets `lease.broken` when the box must go. Raises OracleBroken."""
        started = time.monotonic()
        try:
            lease.box.run(self._prepared.job(self._program), self._accept)
        except Exception as error:  # noqa: BLE001  (a backend is a plugin)
            self.lost = f"the sandbox failed: {error!r}"
            _log.warning("%s", self.lost)
        self._seconds = time.monotonic() - started
        lease.broken = self.lost is not None
        if self._broken is not None:
            raise self._broken

    def _accept(self, index: int, run: TestRun) -> bool:
        """Told of each test by the box. False ends the program."""
        if self.lost is not None or self._broken is not None:
            return False
        if run.exit is Exit.LOST:
            self.lost = run.detail or "the sandbox broke"
            return False
        if self._keep_runs:
            self.runs.append(run)
            return run.exit is Exit.RETURNED
        if self._fault is not None:
            return False
        if index != self._told or index >= len(self._prepared.inputs):
            self._fault = "extra_output"
            return False
        try:
            self._fault = self._prepared.fault(index, run)
        except SandboxError as broken:  # must not pass through the box, which would take it for its own failure
            self._broken = broken
            return False
        self.timed_out = run.exit is Exit.TIMEOUT
        self.busy = run.cpu_s >= _BUSY * self._prepared.cpu_s[index]
        self._told += self._fault is None
        return self._fault is None

    def judgement(self, level: int) -> Judgement:
        """The ruling; `level` is the box's."""
        if self._fault is None and self._told == len(self._prepared.inputs):
            return Judgement(Ruling.PASS, "passed", level, self._seconds)
        test = min(self._told, len(self._prepared.inputs) - 1)
        return Judgement(Ruling.FAIL, self._fault or "missing_output", level, self._seconds, test)
