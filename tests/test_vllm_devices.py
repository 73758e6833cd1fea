"""Several engines of the `vllm` sampler without vLLM: which devices each has, and what goes to which process."""

import os
import random
import signal
import time
from multiprocessing import Pipe

import pytest

from rlvr_harness import FinishReason, ModelError, ModelFacts, ModelRequest, Sample, SamplingLaw
from rlvr_vllm.devices import Group, groups_of
from rlvr_vllm.fleet import Fleet
from rlvr_vllm.streaming import ClosedWork, EngineInput, Flight, sampled

LAW = SamplingLaw()


def request(device=None, **args):
    return ModelRequest("model", "m", args, device=device)


@pytest.mark.parametrize("device", [None, "cuda", "cuda:0", "0", "cpu"])
def test_the_first_device_is_driven_from_this_process(device):
    assert groups_of(request(device)) == []


def test_each_device_has_an_engine_of_its_own():
    assert [group.name for group in groups_of(request("0,1"))] == ["cuda:0", "cuda:1"]
    assert groups_of(request("cuda:2, cuda:0")) == [Group("cuda", (2,)), Group("cuda", (0,))]
    assert groups_of(request("3")) == [Group("cuda", (3,))]
    assert groups_of(request("cpu,cpu")) == [Group("cpu"), Group("cpu")]


def test_beside_other_models_every_engine_has_a_process_that_sees_its_own_devices():
    def groups(device, **args):
        return groups_of(ModelRequest("model", "m", args, device=device, beside=1))

    assert [groups("cuda"), groups("0"), groups("cpu")] == [[Group("cuda", (0,))]] * 2 + [[Group("cpu")]]
    assert groups("2,3", tensor_parallel_size=2) == [Group("cuda", (2, 3))]
    with pytest.raises(ModelError, match="1 devices make no whole number of engines of 2"):
        groups("0", tensor_parallel_size=2)


def test_an_engine_over_several_gpus_takes_them_in_order():
    groups = groups_of(request("0,1,2,3", tensor_parallel_size=2))
    assert [group.name for group in groups] == ["cuda:0+1", "cuda:2+3"]
    assert groups_of(request("4,5", tensor_parallel_size=2)) == [Group("cuda", (4, 5))]
    assert len(groups_of(request("0,1,2,3", tensor_parallel_size=2, pipeline_parallel_size=2))) == 1


@pytest.mark.parametrize(
    ("device", "args", "told"),
    [
        (
            "0,1,2",
            {"tensor_parallel_size": 2},
            r"3 devices make no whole number of engines of 2 \(tensor_parallel_size",
        ),
        ("0,cpu", {}, "devices of one kind"),
        ("0,0", {}, "name every GPU once"),
        ("cuda,cuda", {}, "name every GPU once"),
        ("xpu,xpu", {}, "several engines, and numbers, are for GPUs"),
        (",", {}, "names no device"),
    ],
)
def test_devices_that_make_no_engines_are_refused(device, args, told):
    with pytest.raises(ModelError, match=told):
        groups_of(request(device, **args))


def test_numbers_count_the_devices_that_this_process_may_see():
    assert Group("cuda", (1, 2)).visible({}) == "1,2"
    assert Group("cuda", (1, 0)).visible({"CUDA_VISIBLE_DEVICES": "4,GPU-7"}) == "GPU-7,4"
    assert Group("cpu").visible({}) is None
    with pytest.raises(ModelError, match=r"there is no cuda:2; CUDA_VISIBLE_DEVICES=4,5 shows 2 device"):
        Group("cuda", (2,)).visible({"CUDA_VISIBLE_DEVICES": "4,5"})


class FakeEngine:
    """Runs two samples at once; sample i needs 1 + i % 3 steps."""

    def __init__(self):
        self.left = {}

    def add_request(self, request_id, prompt, params, lora_request=None):
        self.left[request_id] = 1 + params % 3

    def step(self):
        done = []
        for name in list(self.left)[:2]:
            self.left[name] -= 1
            if not self.left[name]:
                del self.left[name]
                done.append(type("Output", (), {"request_id": name, "finished": True}))
        return done

    def abort_request(self, request_ids):
        for name in request_ids:
            del self.left[name]


class FakeModel:
    """Its texts tell which process and devices they come from. A problem called "stuck" never ends."""

    room = 4

    def __init__(self, asked):
        self.asked, self.engine = asked, FakeEngine()
        self.notes = ["a fake"]
        self.facts = ModelFacts(None, "weights", "float32", "fake")

    def stream(self, work, law):
        def finish(wanted, output):
            problem, place = wanted.problem, (self.asked.role, os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid())
            text = f"{law.max_gen_toks} {wanted.seed} {' '.join(map(str, place))}"
            if problem.problem_id == "fails":
                raise ModelError("the engine has died")
            while problem.problem_id == "stuck":
                time.sleep(1)
            return Sample(problem.task, "m", problem.problem_id, wanted.index, wanted.seed, text, FinishReason.STOP, 1)

        def describe(wanted):
            return EngineInput(wanted.problem.prompt, wanted.index)

        return Flight(self.engine, self.room, describe, finish).run(work)

    def law_notes(self):
        return self.notes

    def close(self):
        assert not self.engine.left


class FakeHost:
    """Opens the fake; a model of the role "broken" does not open."""

    def __init__(self, requests):
        self.requests = requests

    def open(self, request):
        assert request in self.requests
        if request.role == "broken":
            raise ModelError("no memory")
        return FakeModel(request)

    def end(self):
        """Nothing is held."""


@pytest.fixture
def fleet():
    requests = [ModelRequest(role, "m", device="7,8") for role in ("model", "base", "broken")]
    made = Fleet(requests, groups_of(requests[0]), FakeHost)
    yield made, requests
    made.end()


def places(samples):
    return {tuple(sample.text.split()[2:]) for sample in samples}


def test_samples_do_not_depend_on_the_engine_and_all_engines_work(fleet, puzzle, request_for):
    made, (model, base, _) = fleet
    draw = random.Random(1)
    unit = [request_for(puzzle(number), range(draw.randrange(1, 17))) for number in range(12)]
    opened = made.open(model)
    assert opened.facts.device == "cuda:7,cuda:8"
    assert list(opened.law_notes()) == ["a fake"]
    found = sampled(opened.stream, unit, LAW)
    asked = [(cell.problem.problem_id, i, s) for cell in unit for i, s in zip(cell.indices, cell.seeds, strict=True)]
    assert [(sample.problem_id, sample.index, sample.seed) for sample in found] == asked
    assert {place[:2] for place in places(found)} == {("model", "7"), ("model", "8")}
    opened.close()
    again = made.open(base)
    second = sampled(again.stream, unit, LAW)
    assert {place[2] for place in places(second)} == {place[2] for place in places(found)}
    assert {place[0] for place in places(second)} == {"base"}


def test_a_stream_that_is_left_early_leaves_the_engines_usable(fleet, puzzle, request_for):
    made, (model, *_) = fleet
    opened = made.open(model)
    stream = opened.stream(ClosedWork([request_for(puzzle(n), range(16)) for n in range(20)]), LAW)
    next(stream)
    stream.close()
    law = SamplingLaw(max_gen_toks=5)
    found = sampled(opened.stream, [request_for(puzzle(0), range(8))], law)
    assert [sample.index for sample in found] == list(range(8))
    assert {sample.text.split()[0] for sample in found} == {"5"}


def test_what_fails_in_an_engine_names_its_device(fleet, puzzle, request_for):
    made, (model, _, broken) = fleet
    with pytest.raises(ModelError, match=r"^device cuda:7: no memory$"):
        made.open(broken)
    made.end()
    made = Fleet([model], groups_of(model), FakeHost)
    opened = made.open(model)
    fails = request_for(type(puzzle(0))("t", "fails", "", ""), range(2))
    with pytest.raises(ModelError, match=r"^device cuda:[78]: the engine has died$"):
        opened.sample((fails,), LAW)
    made.end()


def test_a_killed_engine_is_one_error_that_names_its_device(fleet, puzzle, request_for):
    made, (model, *_) = fleet
    opened = made.open(model)
    stuck = type(puzzle(0))("t", "stuck", "", "")
    stream = opened.stream(ClosedWork([request_for(puzzle(0), (0,)), request_for(stuck, range(8))]), LAW)
    next(stream)
    os.kill(made._workers[1].process.pid, signal.SIGKILL)
    with pytest.raises(
        ModelError, match=r"^device cuda:8: the process of its engine has ended \(exit code -9\)"
    ) as gone:
        list(stream)
    assert "\n" not in str(gone.value)


def test_the_end_of_a_run_wakes_whoever_waits_for_an_engine(puzzle, request_for):
    told, ending = Pipe(duplex=False)
    requests = [ModelRequest("model", "m", device="7,8", beside=1)]
    made = Fleet(requests, groups_of(requests[0]), FakeHost, told)
    opened = made.open(requests[0])
    stuck = request_for(type(puzzle(0))("t", "stuck", "", ""), range(8))
    stream = opened.stream(ClosedWork([request_for(puzzle(0), (0,)), stuck]), LAW)
    next(stream)
    ending.close()
    with pytest.raises(ModelError, match=r"^sampling was ended$"):
        list(stream)
    for worker in made._workers:
        worker.process.kill()  # it would be waited for: the fake never ends
    opened.close()
    made.end()
    told.close()


def test_engines_end_with_the_fleet(fleet):
    made, (model, *_) = fleet
    made.open(model).close()
    processes = [worker.process for worker in made._workers]
    made.end()
    assert [process.exitcode for process in processes] == [0, 0]
