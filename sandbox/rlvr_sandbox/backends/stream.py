"""A box whose zygote speaks over two descriptors: shared by every backend that starts one, here or in a container."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rlvr_sandbox.box import Accept
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.jail import wire
from rlvr_sandbox.records import Exit, Job, Limits, Style, TestRun

_SLACK_S = 60.0  # past all deadlines of the job itself: the zygote must be stuck
_HELLO_S = 60.0
_EXITS = {how.value: how for how in Exit}


class Worker(Protocol):
    """The process behind a stream."""

    def kill(self) -> None:
        """Ends it with all its children, waits until they are gone, and may be called twice."""

    def started(self, pid: int) -> None:
        """The zygote is ready, and has that process id where it was started."""

    def limit(self, limits: Limits) -> None:
        """Bounds all that runs behind the stream, for the next program; nothing where only the zygote keeps limits."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a zygote says of itself when it is ready. `error` is empty unless it could not shut itself in."""

    level: int
    mechanisms: list[str]
    missing: list[str]
    pid: int
    error: str = ""


class Stream:
    """Frames over two descriptors, which may be one, with deadlines both ways. It owns the descriptors."""

    def __init__(self, receive: int, send: int) -> None:
        """`receive` is read from, `send` written to."""
        self._in, self._out = receive, send
        self._buffer = bytearray()
        for descriptor in {receive, send}:
            os.set_blocking(descriptor, False)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Writes everything. Raises wire.Broken when that does not succeed in time."""
        view, until = memoryview(data), time.monotonic() + timeout_s
        while view:
            try:
                view = view[os.write(self._out, view[: 1 << 20]) :]
            except BlockingIOError:
                self._await(self._out, select.POLLOUT, until)
            except OSError as error:
                raise wire.Broken(str(error)) from error

    def receive(self, timeout_s: float) -> wire.Frame:
        """The next frame. Raises wire.Broken when it does not come in time, or the stream ends."""
        until = 0.0
        while True:
            size = wire.HEAD_SIZE
            if len(self._buffer) >= size:
                kind, length = wire.head(self._buffer)
                size += length
                if len(self._buffer) >= size:
                    return wire.Frame(kind, self._cut(size)[wire.HEAD_SIZE :])
            until = until or time.monotonic() + timeout_s
            self._read_more(size, until)

    def _cut(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _read_more(self, size: int, until: float) -> None:
        """Reads once, where `size` bytes are wanted in the buffer."""
        try:
            part = self._part(max(1 << 16, size - len(self._buffer)))
        except BlockingIOError:
            self._await(self._in, select.POLLIN, until)
            return
        except OSError as error:
            raise wire.Broken(str(error)) from error
        if not part:
            raise wire.Broken("the zygote is gone")
        self._buffer += part

    def _part(self, size: int) -> bytes:
        """What has come, at most about that much; empty at the end. Raises BlockingIOError where nothing has."""
        return os.read(self._in, size)

    def _await(self, descriptor: int, event: int, until: float) -> None:
        poller = select.poll()
        poller.register(descriptor, event)
        if not poller.poll(max(0.0, until - time.monotonic()) * 1000):
            raise wire.Broken("the zygote does not answer")

    def close(self) -> None:
        """Closes the descriptors; safe to call twice."""
        for descriptor in {self._in, self._out} - {-1}:
            os.close(descriptor)
        self._in = self._out = -1


class StreamBox:
    """A zygote and the talk with it. `programs` is how many it runs before it counts as worn out."""

    def __init__(self, worker: Worker, stream: Stream, settings: Mapping[str, Any], programs: int) -> None:
        """Sends the settings and waits for the hello. Raises SandboxUnavailable with what the zygote says."""
        self.worker, self._stream, self._programs_left = worker, stream, programs
        self._alive, self._jobs = True, 0
        self._told: tuple[object, ...] = ()
        self._about = b""
        try:
            self._stream.send(wire.frame(b"C", json.dumps(settings).encode()), _HELLO_S)
            self.hello = Hello(**json.loads(self._stream.receive(_HELLO_S).body))
        except wire.Broken as broken:
            self.close()
            raise SandboxUnavailable(f"the sandbox process did not start: {broken}") from broken
        if self.hello.error:
            self.close()
            raise SandboxUnavailable(f"the sandbox cannot shut itself in: {self.hello.error}")
        worker.started(self.hello.pid)

    @property
    def level(self) -> int:
        """Isolation level of the programs it runs."""
        return self.hello.level

    @property
    def alive(self) -> bool:
        """False when it must be replaced."""
        return self._alive and self._programs_left > 0

    def run(self, job: Job, accept: Accept) -> None:
        """See `Box.run`."""
        self._programs_left -= 1
        if not self._alive:
            accept(0, TestRun(Exit.LOST, detail="the box was closed or has failed before"))
            return
        self.worker.limit(job.limits)
        if job.style is Style.FUNCTION:
            body = [job.prelude, job.program, (job.entry or "").encode(), *job.inputs]
            self._round(job, range(len(job.inputs)), body, accept)
            return
        spent_s = slept_s = 0.0
        longest_s = job.limits.wall_factor * job.limits.total_cpu_s + job.limits.wall_slack_s
        for index, text in enumerate(job.inputs):
            runs: list[TestRun] = []
            left_s = job.limits.total_cpu_s - spent_s
            if left_s <= 0 or slept_s > longest_s:
                what = "CPU" if left_s <= 0 else "wall"
                accept(index, TestRun(Exit.TIMEOUT, detail=f"{what} time of all tests together"))
                return

            def keep(test: int, run: TestRun, runs: list[TestRun] = runs) -> bool:
                runs.append(run)
                return accept(test, run)

            go_on = self._round(job, range(index, index + 1), [job.prelude, job.program, text], keep, left_s)
            spent_s += sum(run.cpu_s for run in runs)
            slept_s += sum(run.wall_s for run in runs)
            if not go_on or not runs or runs[-1].exit is not Exit.RETURNED:
                return

    def _round(self, job: Job, tests: range, body: list[bytes], accept: Accept, left_s: float | None = None) -> bool:
        """One child: sends the request, tells `accept` of each test. False when it said so, or the box failed."""
        self._jobs += 1
        told, longest_s = 0, _longest_wait_s(job)
        go_on = True
        try:
            self._stream.send(self._request(job, tests, body, left_s), _SLACK_S)
            while True:
                answer = self._stream.receive(longest_s)
                if answer.kind == b"D":
                    break
                if not go_on:
                    continue  # what was under way when we said stop
                for seen in wire.unpack_reports(answer.body):
                    told += 1
                    how, used = _EXITS[seen.how], (seen.cpu_s, seen.wall_s, seen.peak_mb)
                    go_on = accept(tests.start + seen.test, TestRun(how, seen.output, seen.detail, *used))
                    if not go_on:
                        self._stream.send(wire.frame(b"S", self._number()), _SLACK_S)
                        break
            self._alive = self._alive and answer.body == b"clean"
        except (wire.Broken, ValueError, KeyError, struct.error) as error:
            self.close()
            if go_on:
                accept(tests.start + min(told, len(tests) - 1), TestRun(Exit.LOST, detail=str(error)))
            return False
        except BaseException:  # of `accept`: what the zygote goes on to say would be taken for the next job's
            self.close()
            raise
        return go_on

    def _request(self, job: Job, tests: range, body: list[bytes], left_s: float | None) -> bytes:
        told = job.style, job.limits, job.cpu_s, job.output_caps, tests, left_s
        if told != self._told:  # one task's programs mostly come after each other
            self._told, self._about = told, self._described(job, tests, left_s)
        header = wire.frame(b"J", self._number() + self._about)
        return header + wire.frame(b"B", wire.pack_parts(body))

    @staticmethod
    def _described(job: Job, tests: range, left_s: float | None) -> bytes:
        """All but the number of a job and what the child reads."""
        limits = asdict(job.limits)
        if left_s is not None:
            limits["total_cpu_s"] = left_s
        about = {
            "style": job.style.value,
            "cpu_s": [job.cpu_s[i] for i in tests],
            "caps": [job.output_caps[i] for i in tests],
            "limits": limits,
        }
        return json.dumps(about).encode()

    def _number(self) -> bytes:
        return self._jobs.to_bytes(wire.NUMBER_SIZE, "little")

    def close(self) -> None:
        """Ends the zygote and all below it; safe to call twice."""
        self._alive = False
        self._stream.close()
        self.worker.kill()


def _longest_wait_s(job: Job) -> float:
    """A test is ended by then, whatever it does."""
    return job.limits.wall_factor * max(job.cpu_s, default=0.0) + job.limits.wall_slack_s + _SLACK_S
