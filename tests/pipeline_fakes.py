"""Engines and a verifier that obey the contracts and do what a test asks of them."""

import queue
import threading
from dataclasses import dataclass, field

from rlvr_harness.contracts import LoadedTask
from rlvr_harness.pipeline import Cell, Line
from rlvr_harness.planning import FixedPlan, SequentialPlan
from rlvr_harness.preparing import PreparedTask
from rlvr_harness.progress import Progress
from rlvr_harness.records import FinishReason, Problem, Sample, Verdict
from rlvr_harness.requests import SamplingLaw
from rlvr_harness.stages.prompting import PromptedTask

LAW = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=8)
PLAN = SequentialPlan((4, 8, 16), 2)


@dataclass
class Parity:
    """Right where the text is divisible by 4; inline."""

    before: list = field(default_factory=list)
    """Called with each sample first."""

    name = "parity"
    version = "1"
    description = "texts divisible by 4"
    limits = None

    def verdict_key(self, problem, sample):
        return sample.text

    def quick(self, problem, sample):
        return None

    def verify(self, problem, sample):
        for call in self.before:
            call(sample)
        return Verdict.right(sample, sample.text) if int(sample.text) % 4 == 0 else Verdict.wrong(sample, None, "odd")


def answer(request, place, role="model"):
    """The sample that every fake engine gives for a request: its text is its seed."""
    problem, seed = request.problem, request.seeds[place]
    return Sample(problem.task, role, problem.problem_id, request.indices[place], seed, str(seed), FinishReason.STOP, 3)


@dataclass
class Units:
    """An engine that is given closed units. `change` makes of the samples of a unit what it returns."""

    change: object = None
    units: list = field(default_factory=list)

    def rows_per_unit(self, tokens_per_row):
        return 8

    def sample(self, work, law):
        self.units.append((work, law))
        samples = [answer(request, place) for request in work for place in range(len(request.indices))]
        return self.change(samples) if self.change else samples

    def close(self):
        pass


@dataclass
class Streams(Units):
    """An engine with `slots` requests at a time, which finish last in, first out."""

    slots: int = 3
    taken: list = field(default_factory=list)

    def stream(self, work, law):
        running = []
        while True:
            while len(running) < self.slots:
                request = work.take(wait=not running)
                if request is None:
                    break
                self.taken.append((request.problem.task, law))
                running.append(request)
            if not running:
                return
            request = running.pop()
            samples = [answer(request, place) for place in range(len(request.indices))]
            yield self.change(samples) if self.change else samples


@dataclass
class Threaded(Units):
    """An engine that takes work and makes samples in a thread of its own, and hands them over by a queue."""

    def stream(self, work, law):
        done = queue.SimpleQueue()

        def engine():
            while (request := work.take(wait=True)) is not None:
                done.put([answer(request, place) for place in range(len(request.indices))])
            done.put(None)

        worker = threading.Thread(target=engine, daemon=True)
        worker.start()
        while (samples := done.get()) is not None:
            yield samples
        worker.join()


def prepared(name="t", count=6, plan=PLAN, law=LAW, verifier=None):
    problems = [Problem(name, f"p{number}", "", "") for number in range(count)]
    loaded = LoadedTask(problems, verifier or Parity(), "", "")
    return PreparedTask(PromptedTask(name, loaded, "", 1, 8), loaded.verifier, law, plan, plan.n)


def line(store, tasks, rows, stream=None):
    """A pipeline of model 'model' over these tasks."""
    cells = [Cell(store.folder, "model", task, 0, rows) for task in tasks]
    return Line(store, cells, Progress("model", {task.name: task.k for task in tasks}, stream), "fake")


__all__ = ["LAW", "PLAN", "FixedPlan", "Parity", "Streams", "Threaded", "Units", "answer", "line", "prepared"]
