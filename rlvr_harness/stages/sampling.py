"""Sampling: work in, samples out, checked against what was asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rlvr_harness.contracts import OpenModel, StreamingModel
from rlvr_harness.errors import ModelError
from rlvr_harness.records import FinishReason, Sample
from rlvr_harness.requests import SampleRequest, SamplingLaw, WorkUnit
from rlvr_harness.sampler_contracts import ParallelModel

ENOUGH_SAMPLES = 8
"""Samples of a problem before equal texts mean anything."""
SEVERAL_PROBLEMS = 8
"""Problems of equal texts that stop a run: one in two easy prompts may have a single answer, but 8 in a row no more."""
LOST_AFTER_S = 10.0
"""How long an engine that says it is idle may take to hand over what it has finished in another thread."""
TakeUnit = Callable[[bool], WorkUnit | None]
"""wait -> the next unit of work; None where none is ready, or with `wait` where none will ever be."""


@dataclass(frozen=True)
class Drawn:
    """Samples that came together, and the seconds that the engine took for them."""

    samples: Sequence[Sample]
    seconds: float


class Expected:
    """The samples that an engine, the sampler of that name, was asked for and has not given; any thread may call it."""

    def __init__(self, sampler: str, role: str) -> None:
        """`role`: the model's."""
        self._sampler, self._role = sampler, role
        self._asked: set[tuple[str, str, int]] = set()
        self._lock = threading.Condition()
        self._listener: int | None = None

    def ask(self, work: WorkUnit) -> None:
        """Adds what is asked for."""
        keys = {(cell.problem.task, cell.problem.problem_id, index) for cell in work for index in cell.indices}
        with self._lock:
            self._asked |= keys

    def receive(self, samples: Sequence[Sample]) -> None:
        """Takes off what was given. Raises ModelError for a sample that was not asked for, or comes twice."""
        with self._lock:
            for sample in samples:
                key = (sample.task, sample.problem_id, sample.index)
                if key not in self._asked or sample.model != self._role:
                    raise self._fault(f"sample {sample.index} of problem '{sample.problem_id}', not asked for or twice")
                self._asked.discard(key)
            self._lock.notify_all()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this thread waits for the engine."""
        with self._lock:
            self._listener = threading.get_ident()
        try:
            yield
        finally:
            with self._lock:
                self._listener = None

    def lost(self) -> bool:
        """Whether an engine that has nothing under way still owes samples; waits for what is being handed over."""
        patience = LOST_AFTER_S
        with self._lock:
            while self._asked and patience > 0:
                if self._listener == threading.get_ident():
                    return True
                patience -= LOST_AFTER_S / 10 if self._listener is not None else 0.0
                self._lock.wait(LOST_AFTER_S / 10)
            return bool(self._asked)

    def finish(self) -> None:
        """Raises ModelError where something was asked for and never given."""
        with self._lock:
            if self._asked:
                _, problem_id, index = min(self._asked)
                raise self._fault(f"{len(self._asked):,} samples too few, among them {index} of problem '{problem_id}'")

    def _fault(self, what: str) -> ModelError:
        return ModelError(
            f"sampler '{self._sampler}' gave {what}; what came with it was not kept, and it is a bug of the sampler"
        )


def draw_units(
    model: OpenModel, take: TakeUnit, laws: Mapping[str, SamplingLaw], expected: Expected
) -> Iterator[Drawn]:
    """Samples unit by unit; `laws` by task. Raises ModelError when the engine returns other samples than asked for."""
    while (unit := take(True)) is not None:
        expected.ask(unit)
        started = time.perf_counter()
        samples = model.sample(unit, laws[unit[0].problem.task])
        seconds = time.perf_counter() - started
        expected.receive(samples)
        expected.finish()
        yield Drawn(samples, seconds)


def draw_stream(model: StreamingModel, take: TakeUnit, law: SamplingLaw, expected: Expected) -> Iterator[Drawn]:
    """Samples as the engine finishes them. Raises ModelError when it returns other samples than asked for."""
    return _listen(model.stream(_Requests(take, expected), law), expected)


def draw_parallel(
    model: ParallelModel, take: TakeUnit, laws: Mapping[str, SamplingLaw], expected: Expected
) -> Iterator[Drawn]:
    """Samples several units at a time; `laws` by task. Raises ModelError as `draw_stream` does."""
    return _listen(model.sample_units(_Units(take, expected), laws), expected)


def _listen(stream: Iterator[list[Sample]], expected: Expected) -> Iterator[Drawn]:
    try:
        while True:
            started = time.perf_counter()
            with expected.listening():
                samples = next(stream, None)
            if samples is None:
                break
            expected.receive(samples)
            yield Drawn(samples, time.perf_counter() - started)
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()


class _Units:
    """The `UnitSource` of an engine that samples several units at a time."""

    def __init__(self, take: TakeUnit, expected: Expected) -> None:
        self._take, self._expected = take, expected

    def take(self, wait: bool) -> WorkUnit | None:
        """The next unit; see `UnitSource`. An engine that has lost samples is told to end."""
        unit = self._take(False)
        if unit is None and wait and not self._expected.lost():
            unit = self._take(True)
        if unit is not None:
            self._expected.ask(unit)
        return unit


class _Requests:
    """The `WorkSource` of a streaming engine, which gets units of one request each."""

    def __init__(self, take: TakeUnit, expected: Expected) -> None:
        self._units = _Units(take, expected)

    def take(self, wait: bool) -> SampleRequest | None:
        """The next request; see `WorkSource`."""
        unit = self._units.take(wait)
        return unit[0] if unit is not None else None


class Canary:
    """Watches whether the texts of a problem differ; where they do anywhere, it looks no further."""

    def __init__(self, law: SamplingLaw) -> None:
        """A law that leaves one choice is not watched."""
        self._satisfied = law.temperature == 0 or law.top_k == 1
        self._texts: dict[str, tuple[int, int]] = {}

    def watch(self, samples: Sequence[Sample]) -> None:
        """Takes samples in; those the engine failed on do not count."""
        for sample in () if self._satisfied else samples:
            if sample.finish_reason is FinishReason.ERROR:
                continue
            text, count = self._texts.get(sample.problem_id, (hash(sample.text), 0))
            if hash(sample.text) != text:
                self._satisfied = True
                self._texts.clear()
                return
            self._texts[sample.problem_id] = (text, count + 1)

    @property
    def identical_problems(self) -> int:
        """Problems of which `ENOUGH_SAMPLES` or more samples came and all are one text; 0 once any two differed."""
        return sum(count >= ENOUGH_SAMPLES for _, count in self._texts.values())
