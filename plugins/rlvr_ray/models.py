"""A model in several sampler actors, as one model: units of work, or streamed requests, spread over them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rlvr_harness import ModelError, ModelFacts, Sample, SampleRequest, SamplingLaw, UnitSource, WorkSource, WorkUnit
from rlvr_ray.crew import Crew, Lost, Member
from rlvr_ray.engine import STOCK, Exchanged, Use

GLANCE_S = 0.05
"""How soon an idle actor gets work that verdicts have settled meanwhile."""
WAIT_S = 1.0
UNIT_DEATHS = 3
"""Actors that may die over one unit of work: a third death is no accident, and each costs the loading of a model."""


class RemoteModel:
    """What both kinds have in common."""

    def __init__(self, crew: Crew, crowding: float) -> None:
        """`crowding`: how many engines share the memory of one machine or GPU."""
        self._crew, self._crowding = crew, crowding
        self.facts: ModelFacts = crew.facts

    def rows_per_unit(self, tokens_per_row: int) -> int:
        """What fits beside the other engines of the same memory, in every actor."""
        tokens = max(1, round(tokens_per_row * self._crowding))
        return min(int(rows) for rows in self._crew.everywhere(lambda actor: actor.rows_per_unit.remote(tokens)))

    def usage(self) -> Mapping[str, float]:
        """The sum over the actors; what died with one is not in it."""
        total: Counter[str] = Counter()
        for use in self._uses():
            total.update(use.usage)
        return dict(total)

    def law_notes(self) -> Sequence[str]:
        """Those of all actors, once each."""
        uses = self._uses()
        notes = [note for use in uses for note in use.notes]
        if self._crew.deaths and any(use.usage for use in uses):
            notes.append(f"what was used counts without {self._crew.deaths} sampler actor(s) that died")
        return list(dict.fromkeys(notes))

    def _uses(self) -> list[Use]:
        return self._crew.living(lambda actor: actor.use.remote())

    def close(self) -> None:
        """Ends the actors."""
        self._crew.close()

    def _timeout(self) -> float:
        return GLANCE_S if any(member.is_idle for member in self._crew.members) else WAIT_S


@dataclass(eq=False)
class _Job:
    unit: WorkUnit
    deaths: int = 0


class UnitsModel(RemoteModel):
    """A `ParallelModel`: every unit goes whole to one actor, so that its texts are those of one engine alone."""

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """All samples of the unit."""
        (samples,) = self.sample_units(_Once(work), {work[0].problem.task: law})
        return samples

    def sample_units(self, work: UnitSource, laws: Mapping[str, SamplingLaw]) -> Iterator[list[Sample]]:
        """The samples of each unit as it finishes; see `ParallelModel`."""
        again: deque[_Job] = deque()
        while True:
            self._assign(work, laws, again)
            if not again and not any(member.work for member in self._crew.members):
                return
            for member, result in self._crew.results(self._timeout()):
                job, member.work = member.work, None
                if isinstance(result, Lost):
                    again.append(_once_more(job))
                else:
                    self._assign(work, laws, again)
                    yield result

    def _assign(self, work: UnitSource, laws: Mapping[str, SamplingLaw], again: deque[_Job]) -> None:
        members = self._crew.members
        for member in members:
            if not member.is_idle:
                continue
            if again:
                job = again.popleft()
            else:
                unit = work.take(wait=not any(other.work for other in members))
                if unit is None:
                    return
                job = _Job(unit)
            member.work = job
            member.call = member.actor.sample.remote(job.unit, laws[job.unit[0].problem.task])


def _once_more(job: _Job) -> _Job:
    job.deaths += 1
    if job.deaths >= UNIT_DEATHS:
        first = job.unit[0].problem
        rows = sum(len(request.indices) for request in job.unit)
        raise ModelError(
            f"{job.deaths} sampler actors died over one unit of {rows} samples (task '{first.task}', first problem "
            f"{first.problem_id}); memory is the usual cause: lower --batch_size, or give actors more of it"
        )
    return job


@dataclass(eq=False)
class _Owed:
    """Requests that an actor has, by sample that it still owes, and how many it has not begun."""

    samples: dict[tuple[str, str, int], SampleRequest]
    waiting: int = 0


class StreamsModel(RemoteModel):
    """A `StreamingModel`: every actor's engine is kept full with requests, a bounded number of them ahead."""

    def sample(self, work: WorkUnit, law: SamplingLaw) -> list[Sample]:
        """All samples of the unit, in its order."""
        order = [(cell.problem.task, cell.problem.problem_id, index) for cell in work for index in cell.indices]
        found = {_key(one): one for some in self.stream(_Requests(work), law) for one in some}
        return [found[key] for key in order]

    def stream(self, work: WorkSource, law: SamplingLaw) -> Iterator[list[Sample]]:
        """Samples of all that `work` gives, as they finish."""
        again: deque[SampleRequest] = deque()
        for member in self._crew.members:
            member.work = None
        while True:
            self._assign(work, law, again)
            if not again and not self._under_way():
                return
            for member, result in self._crew.results(self._timeout()):
                if isinstance(result, Lost):
                    again.extend(_unfinished(member.work))
                    member.work = None
                    continue
                samples = _received(member, result)
                self._assign(work, law, again)
                if samples:
                    yield samples

    def _under_way(self) -> bool:
        return any(member.work and member.work.samples for member in self._crew.members)

    def _assign(self, work: WorkSource, law: SamplingLaw, again: deque[SampleRequest]) -> None:
        for member in self._crew.members:
            if not member.is_idle:
                continue
            if member.work is None:
                member.work = _Owed({})
                member.actor.begin.remote(law)
            requests = self._more(work, again, STOCK - member.work.waiting)
            for request in requests:
                member.work.samples |= dict.fromkeys(_keys(request), request)
            if member.work.samples:
                member.call = member.actor.exchange.remote(requests)

    def _more(self, work: WorkSource, again: deque[SampleRequest], room: int) -> list[SampleRequest]:
        requests: list[SampleRequest] = []
        while len(requests) < room:
            if again:
                requests.append(again.popleft())
                continue
            request = work.take(wait=not requests and not self._under_way())
            if request is None:
                break
            requests.append(request)
        return requests


def _received(member: Member, result: Exchanged) -> list[Sample]:
    member.work.waiting = result.waiting
    for sample in result.samples:
        member.work.samples.pop(_key(sample), None)
    return list(result.samples)


def _unfinished(owed: _Owed) -> Iterator[SampleRequest]:
    """The requests an actor died with, less the samples that came of them."""
    for request in {id(request): request for request in owed.samples.values()}.values():
        missing = [place for place, key in enumerate(_keys(request)) if key in owed.samples]
        indices, seeds = (tuple(values[place] for place in missing) for values in (request.indices, request.seeds))
        yield SampleRequest(request.problem, indices, seeds)


def _keys(request: SampleRequest) -> list[tuple[str, str, int]]:
    return [(request.problem.task, request.problem.problem_id, index) for index in request.indices]


def _key(sample: Sample) -> tuple[str, str, int]:
    return sample.task, sample.problem_id, sample.index


class _Once:
    """One unit as a source."""

    def __init__(self, unit: WorkUnit) -> None:
        self._left: list[WorkUnit] = [unit]

    def take(self, wait: bool) -> WorkUnit | None:
        """The unit, then None."""
        return self._left.pop() if self._left else None


class _Requests:
    """The requests of a unit as a source."""

    def __init__(self, unit: Sequence[SampleRequest]) -> None:
        self._left = deque(unit)

    def take(self, wait: bool) -> SampleRequest | None:
        """The next request, then None."""
        return self._left.popleft() if self._left else None
