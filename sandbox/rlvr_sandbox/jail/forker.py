"""The process that forks a child for each program and waits for it, and does nothing else.

It is not the supervisor because a fork makes every page that the forking process writes afterwards a copy: here that
is a handful of pages.
"""

from __future__ import annotations

import _socket  # the rest of `socket` is 1 MB in the memory of every program
import fcntl
import gc
import marshal
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from . import runner, syscalls, wire
from .confine import Confinement

_RESULTS = 3  # the child's result pipe; everything above it is closed
_PART_BYTES = 1 << 14


class Gone(NamedTuple):
    """A child that was waited for: the kernel's word on it. `code` is negative for a signal."""

    code: int
    cpu_s: float
    peak_mb: float


class Order(NamedTuple):
    """What a child is told before it reads the request."""

    style: str
    caps: list[int]
    limits: dict[str, Any]


class Forker:
    """The supervisor's hold on the forking process."""

    def __init__(self, confinement: Confinement, requests: int, hooks: bool) -> None:
        """Forks it. `requests` is the judge's stream, which each child reads its request from.

        `hooks`: there may be modules loaded that want to be told of a fork. Of our own choice only `random` does.
        """
        self._link, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._told: tuple[Any, ...] = ()
        self._message = b""
        self.pid = os.fork()
        if self.pid == 0:
            self._link.close()
            _fork_on_demand(theirs, confinement, requests, os.fork if hooks else syscalls.fork)
        theirs.close()

    def fileno(self) -> int:
        """Readable when the child has ended."""
        return self._link.fileno()

    def start(self, job: Mapping[str, Any], ends: Sequence[int]) -> int:
        """The process id of a new child. `ends`: of the pipes it writes to, for its results and (script) its output."""
        about = job["style"], job["caps"], job["limits"]
        if about != self._told:  # most jobs are as the one before
            data = marshal.dumps(about)
            self._told, self._message = about, len(data).to_bytes(4, "little") + data
        message = self._message
        descriptors = b"".join(end.to_bytes(4, "little") for end in ends)
        self._link.sendmsg([message[:_PART_BYTES]], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
        for at in range(_PART_BYTES, len(message), _PART_BYTES):
            self._link.send(message[at : at + _PART_BYTES])
        return int.from_bytes(self._answer(4), "little")

    def gone(self) -> Gone:
        """Waits for the end of the child."""
        return Gone(*marshal.loads(self._answer(1000)))

    def _answer(self, size: int) -> bytes:
        data = self._link.recv(size)
        if not data:
            raise wire.Broken("the forking process is gone")
        return data


def _fork_on_demand(link: _socket.socket, confinement: Confinement, requests: int, fork: Callable[[], int]) -> NoReturn:
    try:
        confinement.guard()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        requests, _lifeline = _stand_aside(null, requests, 2)
        runner.use_streams()
        runner.rehearse(null)
        gc.collect()
        gc.freeze()
        known, job = b"", Order("", [], {})
        while True:
            message, ancillary, _, _ = link.recvmsg(_PART_BYTES, 1000)
            if not message:
                break
            about, size = message[4:], int.from_bytes(message[:4], "little")
            while len(about) < size:
                about += link.recv(_PART_BYTES)
            if about != known:
                known, job = about, Order(*marshal.loads(about))
            raw = ancillary[0][2]
            ends = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
            confinement.before_fork(job.limits)
            pid = fork()
            if pid == 0:
                _be_the_child(job, confinement, requests, ends)
            for end in ends:
                os.close(end)
            link.send(pid.to_bytes(4, "little"))
            _, status, used = os.wait4(pid, 0)
            confinement.clear()
            code = confinement.end_code(os.waitstatus_to_exitcode(status))
            link.send(marshal.dumps((code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)))
    finally:
        os._exit(0)


def _be_the_child(job: Order, confinement: Confinement, requests: int, ends: Sequence[int]) -> NoReturn:
    """Takes the request from the judge's stream itself: no earlier program's text was ever in this memory."""
    results = ends[0]
    style, caps, limits = job
    try:
        parts = wire.unpack_parts(wire.read(requests).body)
        if confinement.wraps:
            wire.write(results, b"R")  # else the next word comes soon enough
        try:
            if style == runner.SCRIPT:
                _take_descriptors({0: _in_memory(parts[-1]), 1: ends[1], _RESULTS: results})
            elif results != _RESULTS:
                os.dup2(results, _RESULTS)
            results = _RESULTS
            confinement.hand_over((style, caps, parts), limits)
            confinement.shut_in(limits)
            os.closerange(_RESULTS + 1, 1 << 16)
            if style == runner.SCRIPT:
                runner.use_streams()
            gc.enable()
        except (OSError, ValueError) as error:
            wire.write(results, b"X", str(error).encode()[:200])
            os._exit(1)
        runner.run(style, parts, caps, results)
    finally:
        os._exit(1)


def _in_memory(text: bytes) -> int:
    """A file that holds the text, read from its start."""
    descriptor = os.memfd_create("input")
    wire.write_all(descriptor, text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _take_descriptors(wanted: Mapping[int, int]) -> None:
    """Gives descriptors the numbers wanted (the keys); 0, 1 and 2 are nowhere before."""
    # Moved up first: a target number may be in use by another of them.
    moved = {target: fcntl.fcntl(now, fcntl.F_DUPFD, _RESULTS + 1) for target, now in wanted.items()}
    for target, descriptor in moved.items():
        os.dup2(descriptor, target)


def _stand_aside(null: int, *descriptors: int) -> list[int]:
    """Moves descriptors out of the way of 0, 1 and 2, which are nowhere from here on."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _RESULTS + 1) for descriptor in descriptors]
    for target in range(3):
        os.dup2(null, target)
    return moved
