"""The streams to a container: the one that the engine attaches, and named pipes past it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import time
from typing import Any

from rlvr_sandbox.backends.stream import Stream
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.jail import wire

_STDERR = 2
_MUX_HEAD = struct.Struct(">BxxxI")  # Docker's frames of an attached stream: which descriptor, how many bytes
_WORDS_KEPT = 2000
_LAST_WORDS_S = 2.0


class AttachedStream(Stream):
    """Docker's attached stream: what comes is framed once more, standard output and standard error in one."""

    def __init__(self, descriptor: int) -> None:
        """Owns the descriptor."""
        super().__init__(descriptor, descriptor)
        self._raw, self._left, self._kind = bytearray(), 0, 0
        self.words = ""

    def _part(self, size: int) -> bytes:
        while True:
            if payload := self._unwrap():
                return payload
            data = os.read(self._in, size)
            if not data:
                return b""
            self._raw += data

    def first_byte(self, timeout_s: float) -> bytes:
        """The next byte, alone. Raises wire.Broken."""
        until = time.monotonic() + timeout_s
        while not self._buffer:
            self._read_more(1, until)
        return self._cut(1)

    def hear_out(self) -> None:
        """Takes in what is still said, to the end of the stream or for a short while."""
        until = time.monotonic() + _LAST_WORDS_S
        with contextlib.suppress(wire.Broken):
            while True:
                self._read_more(1 << 16, until)

    def _unwrap(self) -> bytes:
        """Standard output out of what has come; standard error goes to `words`."""
        payload = bytearray()
        while self._raw:
            if not self._left:
                if len(self._raw) < _MUX_HEAD.size:
                    break
                self._kind, self._left = _MUX_HEAD.unpack_from(self._raw)
                del self._raw[: _MUX_HEAD.size]
            part = bytes(self._raw[: self._left])
            del self._raw[: self._left]
            self._left -= len(part)
            if self._kind == _STDERR:
                self.words = (self.words + part.decode("utf-8", "replace"))[-_WORDS_KEPT:]
            else:
                payload += part
        return bytes(payload)


class PipedStream(Stream):
    """Named pipes in the place of an attached stream, which is kept for what the zygote writes to standard error."""

    def __init__(self, ends: tuple[int, int], attached: AttachedStream) -> None:
        """`ends`: to read from, and to write to."""
        super().__init__(*ends)
        self._attached = attached

    def receive(self, timeout_s: float) -> wire.Frame:
        """The next frame. Raises wire.Broken, when the last words were heard."""
        try:
            return super().receive(timeout_s)
        except wire.Broken:
            self._attached.hear_out()
            raise

    def close(self) -> None:
        """Closes all; safe to call twice."""
        super().close()
        self._attached.close()


def attached_to(container: Any) -> AttachedStream:
    """A stream over the container's standard streams; attached before the start, nothing is missed."""
    held = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    plain = getattr(held, "_sock", held)
    if isinstance(plain, ssl.SSLSocket) or not isinstance(plain, socket.socket):
        held.close()
        raise SandboxUnavailable("the engine's address must be unix:// or plain tcp://; TLS and ssh are not spoken")
    descriptor = os.dup(plain.fileno())
    held.close()
    plain.close()
    return AttachedStream(descriptor)
