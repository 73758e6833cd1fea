"""Verifier actors as the driver sees them: calls go to the least busy one, and those of a dead one to another."""

from __future__ import annotations

import logging
import pickle
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from rlvr_harness import HarnessError, Problem, Sample, Verdict, Verifier, VerifierLost, WorkLimits
from rlvr_ray.cluster import Seats
from rlvr_ray.crew import check_versions, last_line, own_error
from rlvr_ray.judge import Case, Judge

_LOG = logging.getLogger(__name__)
TRIES = 3
"""Actors that may die under one call before its verdict is given up as void."""


@dataclass(eq=False)
class _Seat:
    number: int
    actor: Any
    node: str
    deaths: int = 0
    under_way: int = 0
    gone: bool = False


@dataclass(eq=False)
class _Call:
    send: Callable[[Any], Any]
    found: Future[Verdict] = field(default_factory=Future)
    tries: int = 0
    dropped: bool = False


class Bench:
    """All verifier actors of a run; calls come from the judging thread, answers in a thread of its own."""

    def __init__(self, seats: Seats, processes: int, restarts: int) -> None:
        """Starts the actors. Raises HarnessError where one cannot start, or has other versions."""
        self._options, self._processes, self._restarts = seats.options, processes, restarts
        self._lock = threading.RLock()
        self._answers: queue.SimpleQueue[tuple[_Call, _Seat, Any, Future[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        first = len(seats.samplers)
        numbers = range(first, first + len(seats.verifiers))
        actors = [self._actor(number) for number in numbers]
        self._seats = [_seat(number, actor) for number, actor in zip(numbers, actors, strict=True)]
        threading.Thread(target=self._listen, name="answers", daemon=True).start()

    @property
    def workers(self) -> int:
        """Processes in all."""
        return self._processes * len(self._seats)

    def send(self, call: _Call) -> None:
        """Gives a call to the least busy actor; its future fails where there is none."""
        with self._lock:
            alive = [seat for seat in self._seats if not seat.gone]
            if self._closed or not alive:
                call.found.set_exception(_NobodyLeft("every verifier actor has died too often; then resume the run"))
                return
            seat = min(alive, key=lambda each: each.under_way)
            seat.under_way += 1
            actor = seat.actor
            answer = call.send(actor).future()
        answer.add_done_callback(lambda done: self._answers.put((call, seat, actor, done)))

    def forget(self, pool: str) -> None:
        """Ends the processes of one pool everywhere."""
        with self._lock:
            for seat in self._seats:
                if not self._closed and not seat.gone:
                    seat.actor.stop.remote(pool)

    def close(self) -> None:
        """Ends all actors at once."""
        import ray

        with self._lock:
            self._closed = True
            self._answers.put(None)
            for seat in self._seats:
                ray.kill(seat.actor)

    def _actor(self, number: int) -> Any:
        import ray

        return ray.remote(Judge).options(**self._options(number)).remote(self._processes)

    def _listen(self) -> None:
        """Takes answers in, in a thread of its own: in Ray's, which brings them, no call of Ray may be made."""
        while (answer := self._answers.get()) is not None:
            self._take_in(*answer)

    def _take_in(self, call: _Call, seat: _Seat, actor: Any, done: Future[Any]) -> None:
        import ray

        error = done.exception()
        with self._lock:
            if actor is seat.actor:
                seat.under_way -= 1
            if self._closed or call.dropped:
                return
            if isinstance(error, ray.exceptions.RayTaskError):
                call.found.set_exception(own_error(error, f"node {seat.node}"))
                return
            if error is not None:
                self._replace(seat, actor)
                call.tries += 1
                if call.tries < TRIES:
                    self.send(call)
                else:
                    call.found.set_exception(VerifierLost(f"{call.tries} verifier actors died under one call"))
                return
        answer = done.result()
        if isinstance(answer, BaseException):
            call.found.set_exception(answer)
        else:
            call.found.set_result(answer)

    def _replace(self, seat: _Seat, actor: Any) -> None:
        """Starts a dead actor anew, once for all calls that it died with."""
        import ray

        if actor is not seat.actor:
            return
        ray.kill(actor)
        seat.deaths += 1
        left = self._restarts - seat.deaths
        seat.gone = left < 0
        seat.under_way = 0
        what = "given up" if seat.gone else f"started anew ({left} more times at most)"
        _LOG.warning("verifier actor on node %s died; its calls are made again, and it is %s", seat.node, what)
        if not seat.gone:
            seat.actor = self._actor(seat.number)


class _NobodyLeft(HarnessError):
    """No verifier actor is left: the pool raises it, since every other sample would meet it too."""


def _seat(number: int, actor: Any) -> _Seat:
    import ray

    try:
        place = ray.get(actor.place.remote())
    except ray.exceptions.RayError as error:
        raise HarnessError(
            f"a verifier actor does not start: {last_line(error)}; install the same packages on every node"
        ) from error
    check_versions(place)
    return _Seat(number, actor, place.node)


class RemoteWorkers:
    """The `VerifierWorkers` of one pool, in all verifier actors."""

    def __init__(self, bench: Bench, verifier: Verifier, limits: WorkLimits) -> None:
        """Nothing is started before the first call."""
        self._bench, self._memory_mb = bench, limits.memory_mb
        self._pickled = pickle.dumps(verifier)
        self._name = uuid4().hex
        self._calls: set[_Call] = set()
        self.active = True

    def call(self, problem: Problem, sample: Sample, wall_s: float) -> Future[Verdict]:
        """The verdict to come."""
        case = Case(problem, sample, wall_s)
        call = _Call(lambda actor: actor.verify.remote(self._name, self._pickled, self._memory_mb, case))
        self._calls.add(call)
        call.found.add_done_callback(lambda _: self._calls.discard(call))
        self._bench.send(call)
        return call.found

    def stop(self) -> None:
        """Ends the processes everywhere; calls under way are dropped."""
        self.active = False
        for call in list(self._calls):
            call.dropped = True
        self._bench.forget(self._name)
