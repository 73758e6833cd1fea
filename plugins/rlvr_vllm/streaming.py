"""Keeping an engine full: samples are taken from a source of work as room appears, and given back as they finish."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from rlvr_harness import ModelError, Problem, Sample, SampleRequest, SamplingLaw, WorkSource, WorkUnit

FULL = 2
"""Samples under way for each that the engine runs at once: all that run may end in the same step, and what a plan
decides takes effect only after those that are under way."""


class Engine(Protocol):
    """The part of vLLM's `LLMEngine` that is used."""

    def add_request(self, request_id: str, prompt: Any, params: Any, lora_request: Any = None) -> object:
        """Queues a sample."""

    def step(self) -> Sequence[Any]:
        """One step of all that run; what it finished."""

    def abort_request(self, request_ids: list[str]) -> object:
        """Forgets samples."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One sample to draw."""

    problem: Problem
    index: int
    seed: int


@dataclass(frozen=True, slots=True)
class EngineInput:
    """A prompt and sampling parameters as the engine takes them."""

    prompt: Any
    params: Any
    lora: Any = None


class Flight:
    """The samples that are under way in an engine; every one has a request and a seed of its own."""

    def __init__(
        self,
        engine: Engine,
        room: int,
        describe: Callable[[Wanted], EngineInput],
        finish: Callable[[Wanted, Any], Sample],
    ) -> None:
        """`room`: samples under way at most. `describe` and `finish` translate to and from the engine."""
        self._engine, self._room = engine, room
        self._describe, self._finish = describe, finish
        self._queue: deque[Wanted] = deque()
        self._under_way: dict[str, Wanted] = {}
        # A late answer to an aborted sample of an earlier flight must not be taken for one of this flight.
        self._name = uuid4().hex
        self._number = 0

    def run(self, work: WorkSource) -> Iterator[list[Sample]]:
        """All samples of `work`, as they finish. What is under way is aborted when the caller stops early."""
        try:
            while self._fill(work):
                if finished := self._step():
                    yield finished
        finally:
            # An engine that has died holds nothing any more, and what ended the flight is what must be told.
            with suppress(ModelError):
                if self._under_way:
                    self._engine.abort_request(list(self._under_way))

    def _fill(self, work: WorkSource) -> bool:
        """Takes work until there is no more room or none is ready; False once all is done."""
        while len(self._under_way) < self._room:
            if not self._queue:
                request = work.take(wait=not self._under_way)
                if request is None:
                    break
                self._queue.extend(_samples_of(request))
                continue
            wanted = self._queue.popleft()
            given = self._describe(wanted)
            name = f"{self._name}-{self._number}"
            self._number += 1
            self._engine.add_request(name, given.prompt, given.params, lora_request=given.lora)
            self._under_way[name] = wanted
        return bool(self._under_way)

    def _step(self) -> list[Sample]:
        outputs = [output for output in self._engine.step() if output.finished]
        return [self._finish(self._under_way.pop(output.request_id), output) for output in outputs]


class ClosedWork:
    """A unit of work as a source that ends with it."""

    def __init__(self, unit: Sequence[SampleRequest]) -> None:
        """Gives out the unit's requests in order."""
        self._left = deque(unit)

    def take(self, wait: bool) -> SampleRequest | None:
        """The next request; None at the end."""
        return self._left.popleft() if self._left else None


def sampled(
    stream: Callable[[WorkSource, SamplingLaw], Iterator[list[Sample]]], work: WorkUnit, law: SamplingLaw
) -> list[Sample]:
    """All samples of a unit, in its order, from a model's stream."""
    order = [(cell.problem.problem_id, index) for cell in work for index in cell.indices]
    found = {(one.problem_id, one.index): one for some in stream(ClosedWork(work), law) for one in some}
    return [found[key] for key in order]


def _samples_of(request: SampleRequest) -> Iterator[Wanted]:
    for index, seed in zip(request.indices, request.seeds, strict=True):
        yield Wanted(request.problem, index, seed)
