"""Watches one child from outside: reads what it sends, keeps its deadlines, ends it, and says how each test went."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import tree, wire
from .confine import Confinement
from .forker import Forker
from .runner import SCRIPT

_START_S = 30.0  # to read a request and shut itself in takes milliseconds; past this the machine is at fault
_GATHER_S = 0.002  # quick tests are read and reported together: a wake-up each would cost more than the tests
_FIRST_LOOK_S, _LOOK_S = 0.02, 0.05  # how often memory and CPU time of the tree are read
_READ_BYTES = 1 << 16  # libc has no lasting memory for much larger buffers


class Ended(Exception):
    """The program is over: how its current test ended, and with what."""

    def __init__(self, how: str, detail: str = "", output: bytes = b"") -> None:
        """`how` is a value of `records.Exit`."""
        super().__init__(how)
        self.how, self.detail, self.output = how, detail, output


class JudgeGone(Exception):
    """The judge closed its end: everything is to stop."""


def _manner(code: int) -> str:
    return f"status {code}" if code >= 0 else f"signal {-code}"


class Ends(NamedTuple):
    """Descriptors: ours of the child's results and standard output (-1: not kept), and the judge's in and out."""

    results: int
    stdout: int
    judge_in: int
    judge_out: int


class Watch:
    """One child and its job. `run` reports tests to the judge and returns when the child is gone."""

    def __init__(self, job: Mapping[str, Any], pid: int, ends: Ends, forker: Forker, confinement: Confinement) -> None:
        """`pid` is a child that `forker` has just started for the job."""
        self._job, self._pid, self._forker, self._confinement = job, pid, forker, confinement
        self._results, self._stdout, self._judge_in, self._judge_out = ends
        self._limits = job["limits"]
        self._usage = tree.Usage(pid, lambda: confinement.processes(forker.pid))
        self._reports: list[wire.Report] = []
        self._frames, self._text = bytearray(), bytearray()
        self._read, self._started, self._stopped = False, False, False
        self._test, self._last_cpu, self._last_wall = 0, 0.0, time.monotonic()
        self._all_tests_since = self._last_wall
        self._kept_waiting_before, self._kept_waiting_test = 0.0, -1
        self.clean = True

    def run(self) -> None:
        """Watches to the end; afterwards nothing of the program is alive."""
        try:
            self._watch()
        except Ended as ended:
            if ended.how != "gone":
                self._confinement.end(self._pid)
            self._finish(ended, self._wait())
        except JudgeGone:
            self._confinement.end(self._pid)
            self._wait()
            raise

    def _wait(self) -> int:
        gone = self._forker.gone()
        self._usage.settle(gone.cpu_s, gone.peak_mb)
        return gone.code

    def _finish(self, ended: Ended, code: int) -> None:
        if ended.how == "gone":
            ended = self._how_it_went(code)
        if ended.how == "lost":
            self.clean = False
        if ended.how not in ("stopped", "complete"):
            self._report(ended.how, ended.output, ended.detail, self._usage.cpu_s)

    def _how_it_went(self, code: int) -> Ended:
        """The child ended by itself: what that means."""
        if not self._started:
            return Ended("lost", f"the child ended before its program began ({_manner(code)})")
        try:
            while self._take_results() or self._take_output():
                pass
        except Ended as ended:
            return ended
        if self._test == len(self._job["caps"]):
            return Ended("complete")
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and self._usage.cpu_s >= self._limits["total_cpu_s"]):
            return Ended("timeout", "CPU time")
        if self._job["style"] == SCRIPT and code >= 0:
            return Ended("returned", _manner(code) if code else "", bytes(self._text))
        return Ended("died", _manner(code))

    def _watch(self) -> None:
        poller, all_but_results = select.poll(), select.poll()
        watched = [self._forker.fileno()]
        for descriptor in [*watched, self._stdout] if self._stdout >= 0 else watched:
            poller.register(descriptor, select.POLLIN)
            all_but_results.register(descriptor, select.POLLIN)
        poller.register(self._results, select.POLLIN)
        look, listening = _FIRST_LOOK_S, False
        while True:
            if self._started:
                all_but_results.poll(_GATHER_S * 1000)
            ready = {descriptor for descriptor, _ in poller.poll(self._patience_s(look) * 1000)}
            if self._results in ready and not self._take_results():
                poller.unregister(self._results)
            if self._stdout in ready and not self._take_output():
                poller.unregister(self._stdout)
                all_but_results.unregister(self._stdout)
            self._send_reports()
            if self._judge_in in ready:
                self._hear_judge()
            elif self._read and not listening:
                listening = True  # not before: until then there is the child's own request to read
                poller.register(self._judge_in, select.POLLIN)
            if self._forker.fileno() in ready:
                raise Ended("gone")
            if time.monotonic() - self._usage.looked_at >= look:
                self._look()
                look = _LOOK_S

    def _patience_s(self, look: float) -> float:
        return max(0.001, min(look, self._wall_left()) if self._wall_left() > 0 else look)

    def _wall_left(self) -> float:
        if not self._started:
            return _START_S - (time.monotonic() - self._last_wall)
        now = time.monotonic()
        this_test = self._wall_bound(self._cpu_limit()) - (now - self._last_wall)
        return min(this_test, self._wall_bound(self._limits["total_cpu_s"]) - (now - self._all_tests_since))

    def _wall_bound(self, cpu_s: float) -> float:
        return float(self._limits["wall_factor"] * cpu_s + self._limits["wall_slack_s"])

    def _cpu_limit(self) -> float:
        return float(self._job["cpu_s"][min(self._test, len(self._job["cpu_s"]) - 1)])

    def _look(self) -> None:
        """Reads the whole tree and ends it where it is past a limit."""
        self._usage.look()
        if not self._started:
            if self._wall_left() <= 0:
                raise Ended("lost", "the child did not start in time")
            return
        if self._wall_left() + self._kept_waiting_s() <= 0:
            raise Ended("timeout", "wall time")
        self._check_cpu()
        if self._usage.memory_mb > self._limits["memory_mb"]:
            raise Ended("memory", f"more than {self._limits['memory_mb']} MiB")
        if self._usage.processes > self._limits["processes"] + 1:
            raise Ended("died", "too many processes")

    def _kept_waiting_s(self) -> float:
        """How long the program could have run in this test and was given no processor: not its own time either."""
        waited = self._usage.kept_waiting_s()
        if self._kept_waiting_test != self._test:
            self._kept_waiting_test, self._kept_waiting_before = self._test, waited
        return waited - self._kept_waiting_before

    def _check_cpu(self) -> float:
        """What was used so far."""
        used = self._usage.cpu_s
        if used - self._last_cpu > self._cpu_limit() or used > self._limits["total_cpu_s"]:
            raise Ended("timeout", "CPU time")
        return used

    def _take_results(self) -> bool:
        """Reads once from the result pipe; False at its end, or where there is nothing."""
        try:
            data = os.read(self._results, _READ_BYTES)
        except BlockingIOError:
            return False
        self._frames += data
        if not self._confinement.wraps:
            self._usage.look_at_first()
        at = 0
        while len(self._frames) - at >= wire.HEAD_SIZE:
            kind, size = wire.head(self._frames, at)
            if kind not in b"RCXVEL" or size > self._frame_cap(kind):
                raise Ended("output" if kind == b"V" else "died", "the result stream is not what was asked for")
            end = at + wire.HEAD_SIZE + size
            if len(self._frames) < end:
                break
            body = bytes(self._frames[at + wire.HEAD_SIZE : end])
            at = end
            self._handle(kind, body)
        del self._frames[:at]
        return bool(data)

    def _frame_cap(self, kind: bytes) -> int:
        caps = self._job["caps"]
        return int(caps[min(self._test, len(caps) - 1)]) if kind == b"V" else 1000

    def _handle(self, kind: bytes, body: bytes) -> None:
        if kind == b"R" and not self._read:
            self._read = True
        elif kind == b"C" and not self._started:
            self._read, self._started, self._last_wall = True, True, time.monotonic()
            self._all_tests_since = self._last_wall
            if self._confinement.wraps:
                self._usage.look()
                self._last_cpu = self._usage.cpu_s  # to start an interpreter is not the program's work
        elif kind == b"X" and not self._started:
            raise Ended("lost", body.decode("utf-8", "replace"))
        elif not self._started or kind in b"RCX":
            raise Ended("died", "the result stream is not what was asked for")
        else:
            self._take_answer(kind, body)

    def _take_answer(self, kind: bytes, body: bytes) -> None:
        if self._confinement.wraps:
            self._usage.look()
        cpu_s = self._check_cpu()
        if kind == b"E":
            raise Ended("raised", body.decode("utf-8", "replace"))
        if kind == b"L" or self._job["style"] == SCRIPT:
            raise Ended("output", "more than is kept")
        self._report("returned", body, "", cpu_s)
        if self._test == len(self._job["caps"]):
            raise Ended("complete")

    def _take_output(self) -> bool:
        """Reads once from standard output of a stdin program."""
        if self._stdout < 0:
            return False
        try:
            data = os.read(self._stdout, _READ_BYTES)
        except BlockingIOError:
            return False
        self._text += data
        if len(self._text) > self._job["caps"][0]:
            raise Ended("output", f"more than {self._job['caps'][0]} bytes")
        return bool(data)

    def last_reports(self) -> bytes:
        """What is still to be sent when `run` has returned."""
        if not self._reports:
            return b""
        frame = wire.pack_reports(self._reports, self._usage.peak_mb)
        self._reports.clear()
        return frame

    def _send_reports(self) -> None:
        """Sends what is known. How long the judge lets us wait is not the program's time."""
        if self._reports:
            self._usage.look_at_memory()
            before = time.monotonic()
            wire.write_all(self._judge_out, self.last_reports())
            waited = time.monotonic() - before
            self._last_wall += waited
            self._all_tests_since += waited

    def _hear_judge(self) -> None:
        try:
            frame = wire.read(self._judge_in)
        except wire.Broken as gone:
            raise JudgeGone from gone
        if frame.kind == b"S" and frame.body == self._job["id"]:
            raise Ended("stopped")

    def _report(self, how: str, output: bytes, detail: str, cpu_s: float) -> None:
        now = time.monotonic()
        used = max(0.0, cpu_s - self._last_cpu), now - self._last_wall
        self._reports.append(wire.Report(self._test, *used, 0.0, how, detail[:200], output))
        self._test, self._last_cpu, self._last_wall = self._test + 1, cpu_s, now
