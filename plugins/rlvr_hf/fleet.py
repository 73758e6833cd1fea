"""One model on several devices: a process for each, and every unit of work is sampled whole by one of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from rlvr_harness import (
    EarlyEnd,
    HarnessError,
    ModelError,
    ModelFacts,
    ModelRequest,
    OpenModel,
    Sample,
    SamplingLaw,
    UnitSource,
    WorkUnit,
)

PATIENCE_S = 5.0
"""How long a worker may take to end when asked; one inside a long `generate` is then ended."""
LOOK_S = 0.05
"""How often idle devices look for work that verdicts have settled while others sample."""
Opening = Callable[[ModelRequest], OpenModel]


@dataclass
class _Worker:
    """A process with the model on one device."""

    device: str
    process: Any
    pipe: Connection
    ending: EarlyEnd | None = None

    def tell(self, *question: Any) -> None:
        """Sends a question. Raises ModelError when the process is gone."""
        try:
            self.pipe.send(question)
        except OSError as error:
            raise self._gone() from error

    def answer(self) -> Any:
        """The answer to the question sent. Raises ModelError when the process failed or is gone, or at an early end."""
        if self.ending is not None and self.ending.fileno() in wait([self.pipe, self.ending.fileno()]):
            raise ModelError(f"device {self.device}: sampling was ended")
        try:
            failed, answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error
        if failed:
            raise ModelError(f"device {self.device}: {answer}")
        return answer

    def _gone(self) -> ModelError:
        self.process.join(1.0)
        return ModelError(
            f"device {self.device}: the process that samples there has ended (exit code {self.process.exitcode}); "
            "killed for want of memory? lower --batch_size, or leave the device out of --device"
        )

    def end(self) -> None:
        """Ends the process, and with it all that it holds on its device."""
        self.pipe.close()
        self.process.join(PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Fleet:
    """A model on several devices: a `ParallelModel`."""

    facts: ModelFacts

    def __init__(
        self, request: ModelRequest, devices: Sequence[str], opening: Opening, ending: EarlyEnd | None = None
    ) -> None:
        """Opens the model on all devices side by side; `opening` opens it on one, in that device's process."""
        self._ending = ending
        self._asked, self._shared = request.batch_size, max(map(list(devices).count, devices))
        self._workers: list[_Worker] = []
        facts: list[ModelFacts] = []
        try:
            for device in devices:
                self._workers.append(_start(replace(request, device=device), device, opening, ending))
            facts = [worker.answer() for worker in self._workers]
        finally:
            if not facts:
                self.close()
        self.facts = replace(facts[0], device=",".join(one.device for one in facts))

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """What fits on every device; workers that share one share its memory."""
        for worker in self._workers:
            worker.tell("rows", tokens_per_row)
        rows: int = min(worker.answer() for worker in self._workers)
        return rows if self._asked else max(1, rows // self._shared)

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """The unit, sampled by the first device."""
        worker = self._workers[0]
        worker.tell("sample", work, law)
        samples: list[Sample] = worker.answer()
        return samples

    def sample_units(self, work: UnitSource, laws: Mapping[str, SamplingLaw]) -> Iterator[list[Sample]]:
        """The samples of each unit as a device finishes it; see `ParallelModel`."""
        idle, busy = list(self._workers), list[_Worker]()
        while True:
            while idle and (unit := work.take(wait=not busy)) is not None:
                worker = idle.pop(0)
                worker.tell("sample", unit, laws[unit[0].problem.task])
                busy.append(worker)
            if not busy:
                return
            ended = [] if self._ending is None else [self._ending.fileno()]
            ready = wait([*(worker.pipe for worker in busy), *ended], LOOK_S if idle else None)
            if any(file in ended for file in ready):
                raise ModelError("sampling was ended")
            for worker in [worker for worker in busy if worker.pipe in ready]:
                busy.remove(worker)
                samples: list[Sample] = worker.answer()
                idle.append(worker)
                yield samples

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.end()
        self._workers = []


def _start(request: ModelRequest, device: str, opening: Opening, ending: EarlyEnd | None) -> _Worker:
    # A forked process would inherit torch's threads and CUDA context, neither of which survives a fork.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, request, opening), name=f"hf-{device}", daemon=True)
    process.start()
    theirs.close()
    return _Worker(device, process, ours, ending)


def _serve(pipe: Connection, request: ModelRequest, opening: Opening) -> None:
    """The loop of a worker process; ends when the other side closes the pipe, or is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Ctrl-C reaches all processes of a terminal; the main one ends this one when it has put things in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model: Any = None
    question: tuple[Any, ...] = ("open",)
    while True:
        try:
            if question[0] == "open":
                model = opening(request)
                answer: tuple[bool, Any] = (False, model.facts)
            else:
                asked = {"rows": "rows_per_unit", "sample": "sample"}[question[0]]
                answer = (False, getattr(model, asked)(*question[1:]))
        except HarnessError as error:
            answer = (True, str(error))
        except Exception as error:  # noqa: BLE001  (whatever fails here is told to the process that asked)
            traceback.print_exc()
            answer = (True, f"sampling failed: {type(error).__name__}: {error}")
        try:
            pipe.send(answer)
            question = pipe.recv()
        except (EOFError, OSError):
            return


def _end_with_parent() -> None:
    """Frees the device at once where the main process is killed, however long the unit under way would take."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
