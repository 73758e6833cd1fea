"""What runs inside a verifier actor: processes that call verifiers under hard limits, for any number of pools."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from rlvr_harness import LocalWorkers, Problem, Sample, Verdict, VerifierLost
from rlvr_ray.engine import Place, place


@dataclass(frozen=True)
class Case:
    """One call of a verifier."""

    problem: Problem
    sample: Sample
    wall_s: float


class Judge:
    """A verifier actor; its methods run side by side in an event loop."""

    def __init__(self, processes: int) -> None:
        """`processes` for each pool of the driver."""
        self._processes = processes
        self._pools: dict[str, LocalWorkers] = {}

    async def place(self) -> Place:
        """Where the actor is."""
        return place()

    async def verify(self, pool: str, verifier: bytes, memory_mb: int, case: Case) -> Verdict | BaseException:
        """The verdict, or what went wrong, as an exception that can travel."""
        try:
            workers = self._pools.get(pool)
            if workers is None or not workers.active:
                workers = self._pools[pool] = LocalWorkers(pickle.loads(verifier), self._processes, memory_mb)
            return await asyncio.wrap_future(workers.call(case.problem, case.sample, case.wall_s))
        except Exception as error:  # noqa: BLE001  (a plugin is called; the driver decides what its failure means)
            return _travelling(error)

    async def stop(self, pool: str) -> None:
        """Ends the processes of one pool."""
        workers = self._pools.pop(pool, None)
        if workers is not None:
            await asyncio.to_thread(workers.stop)


def _travelling(error: BaseException) -> BaseException:
    """The error as one that the driver can load, and that it sorts as it would its own."""
    from pebble import ProcessExpired

    if isinstance(error, TimeoutError):
        return TimeoutError(str(error))
    if isinstance(error, BrokenProcessPool):
        return BrokenProcessPool(str(error))
    if isinstance(error, ProcessExpired):
        return VerifierLost(str(error))
    try:
        loaded: Any = pickle.loads(pickle.dumps(error))
    except Exception as fault:  # noqa: BLE001  (whatever a foreign exception does when it is pickled)
        return RuntimeError(f"{type(error).__name__}: {error} ({type(fault).__name__} when sent)")
    return loaded if type(loaded) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")
