"""Keeps a bounded number of requests under way, taking new work as there is room."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

from rlvr_harness import Problem, Sample, SampleRequest, WorkSource, WorkUnit

LOOK_AGAIN_S = 0.05
"""How often new work is looked for while requests are under way and there is room for more."""
STAY_S = 1.0
"""Longest single wait for an answer; it is repeated, so that the keyboard is heard."""


@dataclass(frozen=True)
class Ask:
    """One request: consecutive samples of one problem. The first one's seed is the request's."""

    problem: Problem
    indices: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Got:
    """What came of a request; `rest` are samples that the server left out."""

    ask: Ask
    samples: list[Sample]
    rest: Ask | None


def split(request: SampleRequest, size: int) -> Iterator[Ask]:
    """Requests of at most `size` consecutive samples, cut at multiples of it: a larger n only adds requests.

    Indices 6, 7, 8, 9 with size 8 become (6, 7) and (8, 9).
    """
    start, indices = 0, request.indices
    for end in range(1, len(indices) + 1):
        if end < len(indices) and indices[end] == indices[end - 1] + 1 and indices[end] % size:
            continue
        yield Ask(request.problem, indices[start:end], request.seeds[start:end])
        start = end


class ClosedWork:
    """A unit of work as a source that is known from the beginning."""

    def __init__(self, unit: WorkUnit) -> None:
        """All its requests."""
        self._requests = iter(unit)

    def take(self, wait: bool) -> SampleRequest | None:
        """The next request, None after the last."""
        return next(self._requests, None)


class Lane:
    """Requests under way and those that wait for room. `fault` is the first error that one ended with."""

    def __init__(self, work: WorkSource, limit: int, send: Callable[[Ask], Future[Got]]) -> None:
        """`limit`: requests under way at once, finished ones that were not fetched included."""
        self._work, self._limit, self._send = work, limit, send
        self._waiting: deque[Ask] = deque()
        self._under_way: set[Future[Got]] = set()
        self._finished: queue.SimpleQueue[Future[Got]] = queue.SimpleQueue()
        self.fault: BaseException | None = None

    def __enter__(self) -> Self:
        """The lane itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drops what is under way."""
        for future in self._under_way:
            future.cancel()

    def add(self, request: SampleRequest, size: int) -> None:
        """Takes a request in, cut into asks of at most `size` samples."""
        self._waiting.extend(split(request, size))

    def put_first(self, ask: Ask, size: int) -> None:
        """Asks once more for samples that an answer lacked."""
        self._waiting.extendleft(reversed(list(split(SampleRequest(ask.problem, ask.indices, ask.seeds), size))))

    def fill(self, size: int) -> bool:
        """Sends while there is room and work; False where nothing is under way and nothing is ready to be."""
        while len(self._under_way) < self._limit:
            if not self._waiting:
                request = self._work.take(wait=False)
                if request is None:
                    break
                self.add(request, size)
            future = self._send(self._waiting.popleft())
            self._under_way.add(future)
            future.add_done_callback(self._finished.put)
        return bool(self._under_way)

    def wait_for_work(self, size: int) -> bool:
        """Waits until there is more to do; False when there never will be."""
        request = self._work.take(wait=True)
        if request is not None:
            self.add(request, size)
        return request is not None

    def finished(self) -> list[Got]:
        """What has arrived; waits for the first answer, but not for long where there is room for new work."""
        try:
            futures = [self._finished.get(timeout=LOOK_AGAIN_S if len(self._under_way) < self._limit else STAY_S)]
        except queue.Empty:
            return []
        while not self._finished.empty():
            futures.append(self._finished.get())
        self._under_way.difference_update(futures)
        failed = [error for future in futures if (error := future.exception()) is not None]
        self.fault = self.fault or (failed[0] if failed else None)
        return [future.result() for future in futures if future.exception() is None]
