"""Samplers that obey the contract and run in Ray actors, which import them by name."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from rlvr_harness import FinishReason, ModelError, ModelFacts, Sample

FACTS = ModelFacts(None, "hash", "float32", "cpu")


def answers(request, role):
    """The text of every sample is its seed."""
    problem = request.problem
    for index, seed in zip(request.indices, request.seeds, strict=True):
        yield Sample(problem.task, role, problem.problem_id, index, seed, str(seed), FinishReason.STOP, 3)


def die_once(folder, what):
    """Ends this process as `kill -9` would, the first time that anybody asks for it."""
    mark = Path(folder) / f"{what}.died"
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class UnitsEngine:
    """Gives closed units. `deadly`: a problem whose unit kills the process, every time."""

    role: str
    deaths: str = ""
    deadly: str = ""
    facts: ModelFacts = FACTS
    given: int = 0

    def usage(self):
        return {"samples": self.given, "cost": self.given / 2}

    def law_notes(self):
        return ["texts are seeds"]

    def rows_per_unit(self, tokens_per_row):
        return tokens_per_row

    def sample(self, work, law):
        for request in work:
            if self.deaths and request.problem.metadata.get("dies"):
                die_once(self.deaths, request.problem.problem_id)
            if request.problem.problem_id == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        found = [one for request in work for one in answers(request, self.role)]
        self.given += len(found)
        return found

    def close(self):
        pass


@dataclass
class StreamsEngine(UnitsEngine):
    """Keeps `slots` requests under way, which finish last in, first out."""

    slots: int = 3
    running: list = field(default_factory=list)

    def stream(self, work, law):
        while True:
            while len(self.running) < self.slots:
                request = work.take(wait=not self.running)
                if request is None:
                    break
                self.running.append(request)
            if not self.running:
                return
            yield self.sample((self.running.pop(),), law)


@dataclass(frozen=True)
class FakeSampler:
    """Opens an engine of a kind; `fault` instead."""

    streams: bool = False
    deaths: str = ""
    deadly: str = ""
    fault: str = ""
    hash_by_process: bool = False

    name = "fake"
    description = "texts are seeds"

    def profile(self, request):
        raise NotImplementedError

    def open(self, request):
        if self.fault:
            raise ModelError(self.fault)
        kind = StreamsEngine if self.streams else UnitsEngine
        facts = ModelFacts(None, str(os.getpid()), "float32", "cpu") if self.hash_by_process else FACTS
        return kind(request.role, self.deaths, self.deadly, facts)
