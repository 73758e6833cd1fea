"""The process of one engine of several: opens what it is told to open, and streams what it is sent."""

from __future__ import annotations

import enum
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from typing import Any

from rlvr_harness import HarnessError, ModelRequest, SampleRequest, SamplingLaw

ORPHAN_S = 10.0
"""How long this process may take to end by itself when the one that started it is gone."""


class Ask(enum.Enum):
    """What the process is told."""

    OPEN = "open"
    STREAM = "stream"
    WORK = "work"
    STOP = "stop"
    CLOSE = "close"
    END = "end"


class Answer(enum.Enum):
    """What it answers: to OPEN with OPENED, to STREAM with SAMPLES and at last DONE; to any with FAILED."""

    OPENED = "opened"
    SAMPLES = "samples"
    DONE = "done"
    FAILED = "failed"


class Inbox:
    """Questions as they arrive. A thread reads them, so that neither side waits with a full pipe for the other."""

    def __init__(self, pipe: Connection) -> None:
        """Begins to read."""
        self._pipe = pipe
        self._questions: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.stopped = threading.Event()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self, wait: bool = True) -> tuple[Any, ...] | None:
        """The next question; None where `wait` is False and there is none."""
        try:
            return self._questions.get(block=wait)
        except queue.Empty:
            return None

    def _read(self) -> None:
        while True:
            try:
                question = self._pipe.recv()
            except (EOFError, OSError):
                self.stopped.set()
                self._questions.put((Ask.END,))
                break
            if question[0] in (Ask.STOP, Ask.END):
                self.stopped.set()
            self._questions.put(question)
        # The engine may be in the middle of a long step.
        time.sleep(ORPHAN_S)
        end_tree(os.getpid())


class SentWork:
    """A source of work that gives what is sent until STOP or END."""

    def __init__(self, inbox: Inbox) -> None:
        """Reads the inbox from here on."""
        self._inbox = inbox
        self.last: Ask | None = None

    def take(self, wait: bool) -> SampleRequest | None:
        """The next request; None where none is ready now, or none will ever come."""
        if self.last is not None:
            return None
        question = self._inbox.next(wait)
        if question is None:
            return None
        if question[0] is Ask.WORK:
            request: SampleRequest = question[1]
            return request
        self.last = question[0]
        return None

    def drain(self) -> Ask:
        """What ended it; requests that came before are dropped."""
        while self.last is None:
            self.take(wait=True)
        return self.last


def serve(pipe: Connection, visible: str | None, requests: Sequence[ModelRequest], hosting: Callable[..., Any]) -> None:
    """The main function of the process. `visible`: the GPUs that it may see, None for all of them."""
    # Ctrl-C reaches all processes of a terminal; the main one ends this one when it has put things in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    inbox = Inbox(pipe)
    host, model = hosting(requests), None
    by_role = {request.role: request for request in requests}
    asked: tuple[Any, ...] = inbox.next() or (Ask.END,)
    while asked[0] is not Ask.END:
        told: Ask | None = None
        try:
            if asked[0] is Ask.OPEN:
                model = host.open(by_role[asked[1]])
                pipe.send((Answer.OPENED, (model.facts, model.room, model.law_notes())))
            elif asked[0] is Ask.STREAM:
                told = _stream(pipe, inbox, model, asked[1])
            elif asked[0] is Ask.CLOSE and model is not None:
                model.close()
        except HarnessError as error:
            pipe.send((Answer.FAILED, str(error)))
        except OSError:
            break  # nobody listens any more
        except Exception as error:  # noqa: BLE001  (whatever fails here is told to the process that asked)
            traceback.print_exc()
            pipe.send((Answer.FAILED, f"sampling failed: {type(error).__name__}: {error}"))
        asked = (Ask.END,) if told is Ask.END else inbox.next() or (Ask.END,)
    host.end()


def _stream(pipe: Connection, inbox: Inbox, model: Any, law: SamplingLaw) -> Ask:
    """Samples what is sent; what ended it."""
    inbox.stopped.clear()
    work = SentWork(inbox)
    with closing(model.stream(work, law)) as stream:
        for samples in stream:
            pipe.send((Answer.SAMPLES, samples))
            if inbox.stopped.is_set():
                break
    told = work.drain()
    pipe.send((Answer.DONE, None))
    return told


def end_tree(pid: int | None) -> None:
    """Kills the process and its children, if there are any: engines have some that a kill of their parent leaves."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (*root.children(recursive=True), root):
            with suppress(psutil.NoSuchProcess):
                process.kill()
