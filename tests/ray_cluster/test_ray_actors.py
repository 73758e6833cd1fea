"""Sampler and verifier actors of a real Ray, driven as a run drives them."""

from __future__ import annotations

import logging
import os
import signal

import pytest
from ray_fakes import FakeSampler
from verifying_fakes import Scripted

from rlvr_harness import (
    ExecutionRequest,
    FinishReason,
    HarnessError,
    ModelError,
    ModelRequest,
    Outcome,
    ParallelModel,
    Problem,
    Sample,
    SampleRequest,
    SamplingLaw,
    StreamingModel,
    TaskError,
    WorkLimits,
)
from rlvr_harness.stages.verifying import VerifierPool
from rlvr_ray.execution import RayExecutor

LAW = SamplingLaw()
TWO = {"sampler_actors": 2, "cpus_per_actor": 0.5, "verifier_actors": 0}
JUDGES = {"sampler_actors": 1, "cpus_per_actor": 0.5, "verifier_actors": 1}
LIMITS = WorkLimits(2.0, 512)
REQUEST = ModelRequest("model", "fake")
pytestmark = pytest.mark.slow


class Source:
    """Units or requests, all there from the start."""

    def __init__(self, work):
        self._left = list(work)

    def take(self, wait):
        return self._left.pop(0) if self._left else None


@pytest.fixture
def execution(cluster):
    """execution(**args) -> what `RayExecutor` starts on the cluster of this module; ended after the test."""
    begun = []

    def start(**args):
        begun.append(RayExecutor().start(ExecutionRequest({"wait_s": 20, **args})))
        return begun[-1]

    yield start
    for each in begun:
        each.__exit__(None, None, None)


def requests(count, dies=(), size=4):
    problems = [Problem("t", f"p{n}", "", "", metadata={"dies": n in dies}) for n in range(count)]
    seeds = [tuple(100 * n + j for j in range(size)) for n in range(count)]
    return [SampleRequest(p, tuple(range(size)), own) for p, own in zip(problems, seeds, strict=True)]


def drawn(model, wanted):
    """(problem, index) -> text of all that the model gives; what comes twice fails."""
    if isinstance(model, StreamingModel):
        lists = list(model.stream(Source(wanted), LAW))
    else:
        lists = list(model.sample_units(Source((request,) for request in wanted), {"t": LAW}))
    samples = [sample for some in lists for sample in some]
    found = {(sample.problem_id, sample.index): sample.text for sample in samples}
    assert len(found) == len(samples)
    return found


def expected(wanted):
    return {(r.problem.problem_id, i): str(s) for r in wanted for i, s in zip(r.indices, r.seeds, strict=True)}


@pytest.mark.parametrize("streams", [False, True])
def test_every_sample_comes_once_from_two_actors(execution, streams):
    model = execution(**TWO).open(FakeSampler(streams), REQUEST)
    assert isinstance(model, StreamingModel if streams else ParallelModel)
    assert isinstance(model, StreamingModel) == streams
    wanted = requests(40)
    assert drawn(model, wanted) == expected(wanted)
    assert drawn(model, wanted[:3]) == expected(wanted[:3])
    assert (model.usage(), model.law_notes()) == ({"samples": 172, "cost": 86.0}, ["texts are seeds"])
    model.close()


@pytest.mark.parametrize("streams", [False, True])
def test_work_of_actors_that_die_is_done_again_and_each_death_is_told_once(execution, tmp_path, caplog, streams):
    model = execution(**TWO).open(FakeSampler(streams, str(tmp_path)), REQUEST)
    wanted = requests(60, dies=(5, 30))
    with caplog.at_level(logging.WARNING):
        assert drawn(model, wanted) == expected(wanted)
    assert [record.getMessage().partition(" died")[0].partition(" on")[0][:14] for record in caplog.records] == [
        "sampler actor ",
        "sampler actor ",
    ]
    assert model.usage()["samples"] < 240
    assert model.law_notes()[1] == "what was used counts without 2 sampler actor(s) that died"
    model.close()


def test_a_unit_that_kills_every_actor_ends_the_run_and_names_it(execution):
    model = execution(**TWO).open(FakeSampler(deadly="p1"), REQUEST)
    with pytest.raises(ModelError, match=r"3 sampler actors died over one unit of 4 samples .*first problem p1"):
        drawn(model, requests(3))
    model.close()


def test_actors_that_may_not_be_started_anew_end_the_run_when_all_are_dead(execution):
    model = execution(**TWO, restarts=0).open(FakeSampler(deadly="p1"), REQUEST)
    with pytest.raises(ModelError, match="every sampler actor of the model model died 1 times"):
        drawn(model, requests(3))
    model.close()


def test_rows_are_those_that_fit_beside_the_other_engines_of_a_machine(execution):
    model = execution(**TWO).open(FakeSampler(), REQUEST)
    assert model.rows_per_unit(100) == 200  # the fake says how many tokens it was asked for
    model.close()


def test_a_model_that_does_not_open_is_told_with_the_node(execution):
    with pytest.raises(ModelError, match=r"^node \S+: no such weights$"):
        execution(**TWO).open(FakeSampler(fault="no such weights"), REQUEST)


def test_a_machine_with_another_version_is_refused(execution, monkeypatch):
    monkeypatch.setattr("rlvr_ray.crew.versions", lambda: {"rlvr-harness": "0.0.1", "Python": "3.11"})
    with pytest.raises(HarnessError, match=r"node \S+ .*0\.0\.1"):
        execution(**TWO).open(FakeSampler(), REQUEST)


def test_different_weights_under_one_path_are_refused(execution):
    with pytest.raises(ModelError, match=r"opened different models under fake .*weights"):
        execution(**TWO).open(FakeSampler(hash_by_process=True), REQUEST)


def test_what_the_cluster_has_no_room_for_is_refused_with_what_it_has(execution):
    with pytest.raises(
        HarnessError, match=r"no room for 5 sampler actors of 1 CPU .*1 node with 2 CPU, of which 2 CPU"
    ):
        execution(sampler_actors=5, verifier_actors=0, wait_s=1)
    with pytest.raises(HarnessError, match=r"no room for 1 sampler actors of 1 CPU and 1 GPU"):
        execution(gpus_per_actor=1, wait_s=1)


def judged(execution, texts, kill=None):
    problem = Problem("t", "p", "", "")
    verifier = Scripted(LIMITS)
    with VerifierPool(verifier, execution.workers, execution.worker_source(verifier)) as pool:
        for index, text in enumerate(texts):
            pool.submit(problem, [Sample("t", "model", "p", index, 0, text, FinishReason.STOP, 1)])
            if index == kill:
                os.kill(judge_pid(execution), signal.SIGKILL)
        return {verdict.index: (verdict.outcome, verdict.reason) for verdict in pool.drain()}


def judge_pid(execution):
    import ray

    return ray.get(execution._bench._seats[0].actor.place.remote()).pid


def test_limits_hold_in_a_verifier_actor(execution):
    found = judged(execution(**JUDGES), ["right", "hang", "die", "bloat", "raise", "wrong"])
    assert [found[index][0] for index in range(6)] == [
        *(Outcome.RIGHT, Outcome.VOID, Outcome.VOID, Outcome.VOID, Outcome.VOID, Outcome.WRONG)
    ]
    assert [found[index][1] for index in (1, 2, 3, 4)] == [
        *("verifier_timeout", "worker_lost", "verifier_error", "verifier_error")
    ]


def test_calls_of_a_verifier_actor_that_dies_are_made_again(execution, caplog):
    with caplog.at_level(logging.WARNING):
        found = judged(execution(**JUDGES), [f"right {n}" for n in range(40)], kill=20)
    assert {outcome for outcome, _ in found.values()} == {Outcome.RIGHT} and len(found) == 40
    assert len([record for record in caplog.records if "verifier actor" in record.getMessage()]) == 1


def test_a_fault_of_the_task_found_in_a_verifier_actor_ends_the_run(execution):
    with pytest.raises(TaskError, match="the document lacks a field"):
        judged(execution(**JUDGES), ["refuse"])
