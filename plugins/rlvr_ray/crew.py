"""The sampler actors of one model, as the driver sees them: opened, watched, and replaced where they die."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rlvr_harness import HarnessError, ModelError, ModelFacts, first_line
from rlvr_ray.cluster import Seats
from rlvr_ray.engine import Engine, Opened, Opening, Place, versions

_LOG = logging.getLogger(__name__)
SEATED_S = 120.0
"""How long the last actors of a run may take to find a machine again: a node that comes back needs a minute or two."""


class Lost:
    """In place of a result: the actor died with what it had."""


@dataclass
class Member:
    """One actor. `call` is under way, `on_result` is told of its end; `place` is None until it has a machine."""

    number: int
    actor: Any = None
    call: Any = None
    place: Place | None = None
    opened: Opened | None = None
    deaths: int = 0
    work: Any = None
    """What it was given and has not given back; for the model that drives the crew."""

    @property
    def is_idle(self) -> bool:
        """Whether it waits for work."""
        return self.opened is not None and self.call is None


class Crew:
    """All sampler actors of one model."""

    def __init__(self, seats: Seats, opening: Opening, restarts: int) -> None:
        """Begins to open the model in every actor."""
        self._seats, self._opening, self._restarts = seats, opening, restarts
        self._unseated_since, self._given_up = time.monotonic(), 0
        self.members = [Member(number) for number in range(len(seats.samplers))]
        for member in self.members:
            self._start(member)

    def wait_until_open(self) -> None:
        """Waits until every actor has the model. Raises ModelError where one cannot open it, or has other weights."""
        while not all(member.opened for member in self.members):
            for _ in self.results(1.0):
                pass

    @property
    def facts(self) -> ModelFacts:
        """Of the model, the same in all actors."""
        return next(member.opened.facts for member in self.members if member.opened)

    @property
    def streams(self) -> bool:
        """Whether its engines stream."""
        return next(member.opened.streams for member in self.members if member.opened)

    def everywhere(self, call: Callable[[Any], Any]) -> list[Any]:
        """What a quick call gives on each actor."""
        import ray

        return [ray.get(call(member.actor)) for member in self.members]

    @property
    def deaths(self) -> int:
        """Of all actors so far."""
        return self._given_up + sum(member.deaths for member in self.members)

    def living(self, call: Callable[[Any], Any]) -> list[Any]:
        """What a quick call gives on each actor that is open and does not die over it."""
        import ray

        found = []
        for member in self.members:
            if member.opened is not None:
                try:
                    found.append(ray.get(call(member.actor)))
                except ray.exceptions.RayActorError as error:
                    _LOG.warning("sampler actor %d died at the end of its work: %s", member.number, last_line(error))
        return found

    def results(self, timeout_s: float) -> Iterator[tuple[Member, Any]]:
        """What calls under way gave since, waiting that long for the first; `Lost` of an actor that died with one.

        An actor that died is opened anew by the way. Raises ModelError where none is left.
        """
        import ray

        by_call = {member.call: member for member in self.members if member.call is not None}
        if not by_call:
            return
        ended, _ = ray.wait(list(by_call), num_returns=len(by_call), timeout=0)
        if not ended:
            ended, _ = ray.wait(list(by_call), num_returns=1, timeout=timeout_s)
        self._check_seated()
        for call in ended:
            member = by_call[call]
            member.call = None
            result = self._result(member, call)
            was_open = member.opened is not None
            if isinstance(result, Lost):
                self._replace(member)
            if was_open:
                yield member, result
            elif isinstance(result, Place):
                self._seat(member, result)
            elif isinstance(result, Opened):
                self._admit(member, result)

    def close(self) -> None:
        """Ends all actors at once."""
        import ray

        for member in self.members:
            ray.kill(member.actor)
        self.members = []

    def _start(self, member: Member) -> None:
        import ray

        member.actor = ray.remote(Engine).options(**self._seats.options(member.number)).remote()
        member.place = member.opened = None
        member.call = member.actor.place.remote()

    def _seat(self, member: Member, place: Place) -> None:
        check_versions(place)
        member.place = place
        member.call = member.actor.open.remote(self._opening)

    def _admit(self, member: Member, opened: Opened) -> None:
        for other in self.members:
            if other.opened is None or _comparable(other.opened.facts) == _comparable(opened.facts):
                continue
            assert member.place is not None and other.place is not None
            raise ModelError(
                f"nodes {member.place.node} and {other.place.node} opened different models under "
                f"{self._opening.request.path} ({_difference(opened.facts, other.opened.facts)}); "
                "make its files the same everywhere"
            )
        member.opened = opened

    def _result(self, member: Member, call: Any) -> Any:
        import ray

        try:
            return ray.get(call)
        except ray.exceptions.RayTaskError as error:
            where = f"node {member.place.node}" if member.place else "a node"
            raise own_error(error, where) from error
        except ray.exceptions.RayError as error:
            _LOG.debug("sampler actor %d: %s", member.number, error)
            if "creation task" in str(error) or "ModuleNotFoundError" in str(error):
                raise ModelError(
                    f"a sampler actor does not start: {last_line(error)}; install the same packages on every node"
                ) from error
            return Lost()

    def _replace(self, member: Member) -> None:
        import ray

        ray.kill(member.actor)
        member.deaths += 1
        node = f" on node {member.place.node}" if member.place else ""
        left = self._restarts - member.deaths
        if left < 0:
            self.members.remove(member)
            self._given_up += member.deaths
            if not self.members:
                raise ModelError(
                    f"every sampler actor of the {self._opening.request.role} model died {member.deaths} times, the "
                    f"last{node}; look for the cause in Ray's logs there (memory is the usual one: lower "
                    "--batch_size), then resume the run"
                )
            _LOG.warning("sampler actor %d%s died again and is given up; others do its work", member.number, node)
            return
        if not any(other.place for other in self.members if other is not member):
            self._unseated_since = time.monotonic()
        _LOG.warning(
            "sampler actor %d%s died; its work is done again, and it is started anew (%d more times at most)",
            *(member.number, node, left),
        )
        self._start(member)

    def _check_seated(self) -> None:
        """Raises ModelError where every actor waits for a machine, and has for too long."""
        if any(member.place for member in self.members):
            self._unseated_since = time.monotonic()
        elif time.monotonic() - self._unseated_since > SEATED_S:
            raise ModelError(
                f"the cluster has had no machine for any sampler actor for {SEATED_S:.0f} s; see `ray status`, then "
                "resume the run"
            )


def check_versions(place: Place) -> None:
    """Raises HarnessError where an actor's node has other versions than this process."""
    mine = versions()
    for name, here in mine.items():
        there = place.versions.get(name, "none")
        if there != here:
            raise HarnessError(
                f"node {place.node} has {name} {there}, and this machine {here}; install the same version on every node"
            )


def own_error(error: Any, where: str) -> BaseException:
    """What an actor's method raised, as it would be raised here; `where` names the node."""
    cause = error.cause
    if isinstance(cause, HarnessError):
        return cause if "node " in str(cause) else type(cause)(f"{where}: {cause}")
    return RuntimeError(f"{where}: {type(cause).__name__}: {first_line(cause)}")


def last_line(error: BaseException) -> str:
    """The last line of an error that says something: of a traceback in a text its point."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _comparable(facts: ModelFacts) -> ModelFacts:
    return replace(facts, device="")


def _difference(mine: ModelFacts, other: ModelFacts) -> str:
    names: Mapping[str, str] = {"weight_hash": "weights", "revision": "revisions", "dtype": "dtypes"}
    differing = [what for name, what in names.items() if getattr(mine, name) != getattr(other, name)]
    return f"other {' and '.join(differing)}" if differing else "other end tokens or sizes"
