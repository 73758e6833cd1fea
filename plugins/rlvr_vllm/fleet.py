"""One model in several engines: a process for each, and every request goes to the one with the fewest under way."""

from __future__ import annotations

import multiprocessing
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from rlvr_harness import (
    EarlyEnd,
    ModelError,
    ModelFacts,
    ModelRequest,
    Sample,
    SamplingLaw,
    StreamingModel,
    WorkSource,
    WorkUnit,
)
from rlvr_vllm.devices import Group
from rlvr_vllm.serving import Answer, Ask, end_tree, serve
from rlvr_vllm.streaming import sampled

PATIENCE_S = 20.0
"""How long an engine may take to end when asked; it gives back what it holds on its devices."""
LOOK_S = 0.05
"""How often work that verdicts have settled is looked for while there is room and samples are under way."""


class Host(Protocol):
    """Opens the models of a run in one process, one after another."""

    def open(self, request: ModelRequest) -> StreamingModel:
        """The model. Raises ModelError."""

    def end(self) -> None:
        """Frees whatever is held."""


Hosting = Callable[[Sequence[ModelRequest]], Host]
"""Makes a host for the models named; it is pickled, and called in the process of each engine."""


@dataclass
class Worker:
    """A process with an engine on some devices. `under_way` counts the samples it was asked for and still owes."""

    devices: str
    process: Any
    pipe: Connection
    room: int = 0
    under_way: int = 0
    streaming: bool = False
    ending: EarlyEnd | None = None

    def tell(self, ask: Ask, *content: Any) -> None:
        """Sends a question; what is left of an earlier stream is dropped first. Raises ModelError."""
        if ask is not Ask.WORK and ask is not Ask.STOP:
            self._settle()
        try:
            self.pipe.send((ask, *content))
        except OSError as error:
            raise self._gone() from error
        self.streaming = self.streaming or ask is Ask.STREAM

    def answer(self) -> tuple[Answer, Any]:
        """What it says next. Raises ModelError where it failed or is gone, or the run ends early."""
        if self.ending is not None and self.ending.fileno() in wait([self.pipe, self.ending.fileno()]):
            raise ModelError(f"device {self.devices}: sampling was ended")
        try:
            kind, content = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error
        if kind in (Answer.DONE, Answer.FAILED):
            self.streaming, self.under_way = False, 0
        if kind is Answer.FAILED:
            raise ModelError(f"device {self.devices}: {content}")
        return kind, content

    def _settle(self) -> None:
        while self.streaming:
            self.answer()

    def _gone(self) -> ModelError:
        self.process.join(1.0)
        return ModelError(
            f"device {self.devices}: the process of its engine has ended (exit code {self.process.exitcode}); "
            "killed for want of memory? lower max_num_seqs or max_model_len in --model_args, or name fewer --devices"
        )

    def end(self) -> None:
        """Ends the process, and with it all that it holds on its devices."""
        with suppress(OSError):  # where it is gone, what is left of it is ended below
            self.pipe.send((Ask.END,))
        self.pipe.close()
        self.process.join(PATIENCE_S)
        end_tree(self.process.pid)
        self.process.join()


class Fleet:
    """Engines on groups of devices, for the models of one run."""

    def __init__(
        self,
        requests: Sequence[ModelRequest],
        groups: Sequence[Group],
        hosting: Hosting,
        ending: EarlyEnd | None = None,
    ) -> None:
        """Starts a process for each group; engines start with the first model."""
        visible = [group.visible(os.environ) for group in groups]
        # A forked process would inherit CUDA and threads, and vLLM would find its devices chosen already.
        context = multiprocessing.get_context("spawn")
        self._workers: list[Worker] = []
        # Python waits at its end for processes that are no daemons.
        weakref.finalize(self, _end_all, self._workers)
        for group, shown in zip(groups, visible, strict=True):
            asked = [replace(request, device=group.kind) for request in requests]
            ours, theirs = context.Pipe()
            # Not a daemon: those may have no children, and vLLM has some.
            process = context.Process(target=serve, args=(theirs, shown, asked, hosting))
            process.start()
            theirs.close()
            self._workers.append(Worker(group.name, process, ours, ending=ending))

    def open(self, request: ModelRequest) -> FleetModel:
        """The model, opened by all engines side by side. Raises ModelError naming the device of one that cannot."""
        facts: list[ModelFacts] = []
        notes: Sequence[str] = ()
        for worker in self._workers:
            worker.tell(Ask.OPEN, request.role)
        for worker in self._workers:
            _, (found, worker.room, notes) = worker.answer()
            facts.append(found)
        names = ",".join(worker.devices for worker in self._workers)
        return FleetModel(request, Opening(replace(facts[0], device=names), tuple(notes)), self._workers)

    def end(self) -> None:
        """Ends the processes."""
        _end_all(self._workers)


def _end_all(workers: list[Worker]) -> None:
    while workers:
        workers.pop().end()


@dataclass(frozen=True)
class Opening:
    """What the engines say of a model that they have opened."""

    facts: ModelFacts
    notes: tuple[str, ...] = ()


class FleetModel:
    """A model that is open in all engines of a fleet: a `StreamingModel`. `closing` is called where it is closed."""

    def __init__(self, request: ModelRequest, opening: Opening, workers: Sequence[Worker]) -> None:
        """`workers` have opened the model."""
        self.facts, self._notes = opening.facts, opening.notes
        self._request, self._workers = request, list(workers)
        self.closing: Callable[[], None] | None = None

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """The asked-for batch size, else enough to keep all engines full."""
        return self._request.batch_size or 2 * sum(worker.room for worker in self._workers)

    def law_notes(self) -> Sequence[str]:
        """Where samples may differ from what the sampling law says."""
        return self._notes

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """All samples of the unit, in its order."""
        return sampled(self.stream, work, law)

    def stream(self, work: WorkSource, law: SamplingLaw) -> Iterator[list[Sample]]:
        """Samples of all that `work` gives, as the engines finish them."""
        if not self._workers:
            raise ModelError(f"model '{self._request.path}' is closed; open it again to sample from it")
        for worker in self._workers:
            worker.tell(Ask.STREAM, law)
        try:
            while self._hand_out(work):
                yield from self._finished()
        finally:
            for worker in self._workers:
                if worker.streaming and worker.process.is_alive():
                    worker.tell(Ask.STOP)

    def close(self) -> None:
        """Closes the model in every engine that still runs."""
        for worker in self._workers:
            if worker.process.is_alive() and not worker.streaming:
                worker.tell(Ask.CLOSE)
        self._workers = []
        if self.closing is not None:
            self.closing()

    def _hand_out(self, work: WorkSource) -> bool:
        """Gives work to the engines while there is room; False once nothing is under way and none will ever come."""
        while (worker := self._freest()).under_way < worker.room:
            request = work.take(wait=not any(each.under_way for each in self._workers))
            if request is None:
                break
            worker.tell(Ask.WORK, request)
            worker.under_way += len(request.indices)
        return any(worker.under_way for worker in self._workers)

    def _freest(self) -> Worker:
        return min(self._workers, key=lambda worker: worker.under_way)

    def _finished(self) -> Iterator[list[Sample]]:
        freest = self._freest()
        ended = [] if freest.ending is None else [freest.ending.fileno()]
        patience = LOOK_S if freest.under_way < freest.room else None
        ready = wait([*(worker.pipe for worker in self._workers), *ended], patience)
        if any(file in ended for file in ready):
            raise ModelError("sampling was ended")
        for worker in [worker for worker in self._workers if worker.pipe in ready]:
            _, samples = worker.answer()
            worker.under_way -= len(samples)
            yield samples
