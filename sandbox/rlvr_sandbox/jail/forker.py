"""The process that forks a child for each program and waits for it, and does nothing else.

It is not the supervisor because a fork makes every page that the forking process writes afterwards a copy: here that
is a handful of pages.
"""

from __future__ import annotations

import fcntl
import gc
import marshal
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from . import runner, wire
from .confine import Confinement

_RESULTS = 3  # the child's result pipe; everything above it is closed
_MESSAGE_BYTES = 1 << 22


class Gone(NamedTuple):
    """A child that was waited for: the kernel's word on it. `code` is negative for a signal."""

    code: int
    cpu_s: float
    peak_mb: float


class Forker:
    """The supervisor's hold on the forking process."""

    def __init__(self, confinement: Confinement, requests: int) -> None:
        """Forks it. `requests` is the judge's stream, which each child reads its request from."""
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self._link.close()
            _fork_on_demand(theirs, confinement, requests)
        theirs.close()

    def fileno(self) -> int:
        """Readable when the child has ended."""
        return self._link.fileno()

    def start(self, job: Mapping[str, Any], results: int, output: int) -> int:
        """The process id of a new child, which has the write ends of both pipes."""
        descriptors = results.to_bytes(4, "little") + output.to_bytes(4, "little")
        about = marshal.dumps((job["style"], job["caps"], job["limits"]))
        size = len(about).to_bytes(4, "little")
        self._link.sendmsg([size], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        for at in range(0, len(about), 1 << 16):
            self._link.send(about[at : at + (1 << 16)])
        return int.from_bytes(self._answer(4), "little")

    def gone(self) -> Gone:
        """Waits for the end of the child."""
        return Gone(*marshal.loads(self._answer(1000)))

    def _answer(self, size: int) -> bytes:
        data = self._link.recv(size)
        if not data:
            raise wire.Broken("the forking process is gone")
        return data


def _fork_on_demand(link: socket.socket, confinement: Confinement, requests: int) -> NoReturn:
    try:
        confinement.guard()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        requests, _lifeline = _stand_aside(null, requests, 2)
        runner.use_streams()
        runner.rehearse(null)
        gc.collect()
        gc.freeze()
        while True:
            size, ancillary, _, _ = link.recvmsg(4, 1000)
            if not size:
                break
            raw = ancillary[0][2]
            results, output = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
            about = bytearray()
            while len(about) < int.from_bytes(size, "little"):
                about += link.recv(1 << 16)
            confinement.before_fork()
            pid = os.fork()
            if pid == 0:
                _be_the_child(bytes(about), confinement, requests, (output, results))
            os.close(results)
            os.close(output)
            link.send(pid.to_bytes(4, "little"))
            _, status, used = os.wait4(pid, 0)
            confinement.clear()
            code = confinement.end_code(os.waitstatus_to_exitcode(status))
            link.send(marshal.dumps((code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)))
    finally:
        os._exit(0)


def _be_the_child(about: bytes, confinement: Confinement, requests: int, ends: tuple[int, int]) -> NoReturn:
    """Takes the request from the judge's stream itself: no earlier program's text was ever in this memory."""
    output, results = ends
    try:
        style, caps, limits = marshal.loads(about)
        parts = wire.unpack_parts(wire.read(requests).body)
        wire.write(results, b"R")
        try:
            if style == runner.SCRIPT:
                _take_descriptors({0: _in_memory(parts[-1]), 1: output, _RESULTS: results})
            else:
                _take_descriptors({_RESULTS: results})  # what such a program prints is nobody's concern
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
