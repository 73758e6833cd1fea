"""What runs inside a sampler actor: one engine of one model, on whatever the actor was given."""

from __future__ import annotations

import os
import pickle
import platform
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness import (
    MeteredModel,
    ModelError,
    ModelFacts,
    ModelRequest,
    NotedModel,
    OpenModel,
    Sample,
    SampleRequest,
    SamplingLaw,
    StreamingModel,
    WorkUnit,
    __version__,
    first_line,
)

STOCK = 8
"""Streamed requests that wait in an actor: enough that an engine never runs dry while an answer travels."""
GATHER_S = 0.2
"""Samples of that time travel together."""


def versions() -> dict[str, str]:
    """What must be the same on every machine of a run."""
    return {"rlvr-harness": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}


@dataclass(frozen=True)
class Place:
    """The machine and process of an actor."""

    node: str
    pid: int
    versions: Mapping[str, str]


def place() -> Place:
    """Where this process is."""
    return Place(socket.gethostname(), os.getpid(), versions())


@dataclass(frozen=True)
class Opening:
    """What an actor is to open. `sampler` is pickled; `is_folder`: the model is a folder where the run was started.

    `folder`: the working directory there.
    """

    sampler: bytes
    request: ModelRequest
    is_folder: bool
    folder: str


@dataclass(frozen=True)
class Opened:
    """What an actor tells of its model."""

    facts: ModelFacts
    streams: bool


@dataclass(frozen=True)
class Exchanged:
    """Samples that an engine has finished, and the requests that it has not begun."""

    samples: Sequence[Sample]
    waiting: int


@dataclass(frozen=True)
class Use:
    """What a model counted since it was opened, and noted of its law; empty where it does neither."""

    usage: Mapping[str, float]
    notes: Sequence[str]


class Engine:
    """A sampler actor. The driver calls one method at a time, except that it kills the actor to end it."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._model: Any = None
        self._feed: _Feed | None = None

    def place(self) -> Place:
        """Where the actor is."""
        return place()

    def open(self, opening: Opening) -> Opened:
        """Loads the model. Raises ModelError naming the node."""
        node, request = socket.gethostname(), opening.request
        if opening.is_folder and not os.access(request.path, os.R_OK | os.X_OK):
            raise ModelError(
                f"node {node} cannot read the folder {request.path} of the {request.role} model; put it on a file "
                "system that all nodes share, or at the same path on each of them"
            )
        if Path(opening.folder).is_dir():
            os.chdir(opening.folder)  # relative paths in --model_args are meant from where the run was started
        try:
            sampler = pickle.loads(opening.sampler)
        except Exception as error:
            raise ModelError(
                f"node {node} cannot load the sampler: {type(error).__name__}: {first_line(error)}; install the same "
                "packages on every node"
            ) from error
        self._model = sampler.open(request)
        return Opened(self._model.facts, isinstance(self._model, StreamingModel))

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """See `OpenModel`."""
        return int(self._opened().rows_per_unit(tokens_per_row))

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """See `OpenModel`."""
        return self._opened().sample(work, law)

    def begin(self, law: SamplingLaw) -> None:
        """Starts a stream, which ends the one before."""
        model: Any = self._opened()
        self.end()
        self._feed = _Feed()
        threading.Thread(target=self._feed.run, args=(model, law), name="engine", daemon=True).start()

    def exchange(self, requests: Sequence[SampleRequest]) -> Exchanged:
        """Hands over requests for finished samples; returns after `GATHER_S`, or when the engine wants more."""
        assert self._feed is not None, "begin() comes first"
        return self._feed.exchange(requests)

    def end(self) -> None:
        """Ends the stream."""
        if self._feed is not None:
            self._feed.end()
            self._feed = None

    def use(self) -> Use:
        """What the model counted and noted until now."""
        model: Any = self._opened()
        usage = dict(model.usage()) if isinstance(model, MeteredModel) else {}
        return Use(usage, tuple(model.law_notes()) if isinstance(model, NotedModel) else ())

    def _opened(self) -> OpenModel:
        assert self._model is not None, "open() comes first"
        model: OpenModel = self._model
        return model


class _Feed:
    """The `WorkSource` of a streaming engine, which runs in a thread of its own beside the actor's calls."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[SampleRequest] = deque()
        self._samples: list[Sample] = []
        self._failure: BaseException | None = None
        self._ended = False
        self._over = threading.Event()

    def run(self, model: StreamingModel, law: SamplingLaw) -> None:
        """The engine's thread."""
        try:
            for samples in model.stream(self, law):
                with self._changed:
                    self._samples += samples
                    self._changed.notify_all()
                    if self._ended:
                        break
        except Exception as error:  # noqa: BLE001  (a plugin is called; the next exchange raises it)
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._over.set()

    def take(self, wait: bool) -> SampleRequest | None:
        """See `WorkSource`."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: bool(self._requests) or self._ended)
            if self._ended or not self._requests:
                return None
            request = self._requests.popleft()
            self._changed.notify_all()
            return request

    def exchange(self, requests: Sequence[SampleRequest]) -> Exchanged:
        """See `Engine.exchange`."""
        until = time.monotonic() + GATHER_S
        with self._changed:
            self._requests.extend(requests)
            self._changed.notify_all()
            # Who brings requests may have more of them; who brings none has come for samples alone.
            self._wait(until, lambda: len(self._requests) <= STOCK // 2 and bool(requests or self._samples))
            if self._failure is not None:
                raise self._failure
            if self._ended and not self._samples:
                raise ModelError(
                    "the engine ended its stream before it had given all samples; it is a bug of the sampler"
                )
            samples, self._samples = self._samples, []
            return Exchanged(samples, len(self._requests))

    def _wait(self, until: float, happened: Callable[[], bool]) -> None:
        while not (self._ended or happened()) and (left := until - time.monotonic()) > 0:
            self._changed.wait(left)

    def end(self) -> None:
        """Ends the engine's thread, as soon as it asks for work or gives samples."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._over.wait()
