"""Engine, verifiers and run folder side by side, with engines that do what a test asks."""

import dataclasses
import importlib
import threading
import time
from pathlib import Path

import pytest

from rlvr_harness.errors import ModelError, TaskError
from rlvr_harness.judging import SUBMITTED_TOGETHER, WAITING_SAMPLES
from rlvr_harness.planning import FixedPlan, sample_seed
from rlvr_harness.records import FinishReason, Outcome, Problem
from rlvr_harness.requests import SampleRequest, SamplingLaw
from rlvr_harness.run_reader import read_samples, read_verdicts, sample_keys
from rlvr_harness.run_store import RunStore
from rlvr_harness.stages.sampling import Expected

HERE = Path(__file__).parent


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("pipeline_fakes")


@pytest.fixture
def store(tmp_path):
    with RunStore(tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def sample(fakes, store):
    """sample(model, *tasks, rows=None) -> Speed by task, with everything stored."""

    def run(model, *tasks, rows=None):
        with fakes.line(store, tasks, rows) as line:
            return line.sample(model) if line.wants_samples() else None

    return run


def texts(store, task="t"):
    return {(s.problem_id, s.index, s.text) for s in read_samples(store.folder, task, "model")}


def outcomes(store, task="t"):
    return {(v.problem_id, v.index): v.outcome for v in read_verdicts(store.folder, task, "model", "parity")}


def expected(plan, count, task="t"):
    """Brute force: the samples of each problem up to the first stage with enough right ones."""
    found = set()
    for problem_id in (f"p{number}" for number in range(count)):
        seeds = [sample_seed(0, task, problem_id, index) for index in range(plan.n)]
        enough = (stage for stage in plan.stages if sum(s % 4 == 0 for s in seeds[:stage]) >= plan.stop_after)
        found |= {(problem_id, index, str(seeds[index])) for index in range(next(enough, plan.n))}
    return found


@pytest.mark.parametrize("rows", [1, 8, 100])
def test_units_bring_the_samples_that_the_plan_asks_for(fakes, store, sample, rows):
    speed = sample(fakes.Units(), fakes.prepared(), rows=rows)["t"]
    assert texts(store) == expected(fakes.PLAN, 6)
    assert outcomes(store).keys() == {key[:2] for key in texts(store)}
    assert (speed.samples, speed.tokens) == (len(texts(store)), 3 * len(texts(store)))


@pytest.mark.parametrize("slots", [1, 3, 50])
def test_a_stream_brings_the_same_samples(fakes, store, sample, slots):
    sample(fakes.Streams(slots=slots), fakes.prepared())
    assert texts(store) == expected(fakes.PLAN, 6)
    assert outcomes(store).keys() == {key[:2] for key in texts(store)}


def test_an_engine_may_take_work_in_a_thread_of_its_own(fakes, store, sample):
    sample(fakes.Threaded(), fakes.prepared("a"), fakes.prepared("b"))
    assert texts(store, "a") == expected(fakes.PLAN, 6, "a")
    assert texts(store, "b") == expected(fakes.PLAN, 6, "b")


def test_an_engine_that_waits_while_it_owes_samples_has_lost_them():
    owed = Expected("fake", "model")
    with owed.listening():
        assert not owed.lost()
        owed.ask((SampleRequest(Problem("t", "p", "", ""), (3,), (0,)),))
        assert owed.lost()
    with pytest.raises(ModelError, match="sampler 'fake' gave 1 samples too few, among them 3 of problem 'p'"):
        owed.finish()


def test_a_streaming_run_goes_on_with_an_engine_that_does_not_stream(fakes, store, sample):
    sample(fakes.Units(), fakes.prepared(), rows=None)
    assert texts(store) == expected(fakes.PLAN, 6)


def test_the_next_task_fills_the_engine_while_one_is_finishing(fakes, store, sample):
    one, two = fakes.prepared("a", count=1, plan=FixedPlan(4)), fakes.prepared("b", count=3, plan=FixedPlan(4))
    model = fakes.Streams(slots=3)
    sample(model, one, two)
    assert [task for task, _ in model.taken] == ["a", "b", "b", "b"]  # two of b before a's only one has finished
    assert len(texts(store, "a")) == 4
    assert len(texts(store, "b")) == 12


def test_tasks_with_laws_of_their_own_are_streamed_one_after_the_other(fakes, store, sample):
    other = dataclasses.replace(fakes.LAW, max_gen_toks=9)
    tasks = [fakes.prepared("a", law=fakes.LAW), fakes.prepared("b", law=other)]
    model = fakes.Streams(slots=40)
    sample(model, *tasks)
    assert {(task, law.max_gen_toks) for task, law in model.taken} == {("a", 8), ("b", 9)}
    assert texts(store, "b") == expected(fakes.PLAN, 6, "b")


def test_units_of_each_task_are_sampled_under_its_law(fakes, store, sample):
    other = dataclasses.replace(fakes.LAW, max_gen_toks=9)
    model = fakes.Units()
    sample(model, fakes.prepared("a"), fakes.prepared("b", law=other), rows=8)
    assert {(work[0].problem.task, law.max_gen_toks) for work, law in model.units} == {("a", 8), ("b", 9)}


def without_last(samples):
    return samples[:-1]


def doubled(samples):
    return [*samples, samples[0]]


def foreign(samples):
    return [dataclasses.replace(samples[0], problem_id="elsewhere"), *samples[1:]]


def of_another_model(samples):
    return [dataclasses.replace(each, model="base") for each in samples]


@pytest.mark.parametrize("engine", ["Units", "Streams"])
@pytest.mark.parametrize("change", [without_last, doubled, foreign, of_another_model])
def test_other_samples_than_asked_for_are_the_samplers_fault(fakes, store, sample, engine, change):
    with pytest.raises(ModelError, match=r"sampler 'fake' gave .*bug of the sampler"):
        sample(getattr(fakes, engine)(change), fakes.prepared(), rows=8 if engine == "Units" else None)


def all_one_text(samples):
    return [dataclasses.replace(each, text="4") for each in samples]


@pytest.mark.parametrize(("engine", "rows"), [("Units", 16), ("Streams", None)])
def test_an_engine_that_ignores_its_seeds_stops_the_run(fakes, store, sample, engine, rows):
    with pytest.raises(ModelError, match=r"sampler 'fake', model on t: 8 problems have 8 or more samples .* one text"):
        sample(getattr(fakes, engine)(all_one_text), fakes.prepared(count=20, plan=FixedPlan(8)), rows=rows)
    assert len(texts(store)) >= 64


def test_problems_with_one_answer_each_do_not_stop_a_run_where_another_varies(fakes, store, sample):
    def change(samples):
        return [each if each.problem_id == "p3" else dataclasses.replace(each, text="4") for each in samples]

    assert not sample(fakes.Units(change), fakes.prepared(count=20, plan=FixedPlan(8)), rows=16)["t"].identical


def test_few_problems_of_one_text_are_noted_and_finished(fakes, store, sample):
    assert sample(fakes.Units(all_one_text), fakes.prepared(count=7, plan=FixedPlan(8)), rows=16)["t"].identical


@pytest.mark.parametrize("law", [SamplingLaw(temperature=0.0), SamplingLaw(temperature=1.0, top_k=1)])
def test_a_law_that_leaves_no_choice_may_give_one_text(fakes, store, sample, law):
    task = fakes.prepared(count=20, plan=FixedPlan(8), law=law)
    assert not sample(fakes.Units(all_one_text), task, rows=16)["t"].identical


def test_samples_the_engine_failed_on_are_void_and_settle_a_stage(fakes, store, sample):
    def change(samples):
        return [dataclasses.replace(each, finish_reason=FinishReason.ERROR) for each in samples]

    sample(fakes.Units(change), fakes.prepared(count=2), rows=8)
    assert set(outcomes(store).values()) == {Outcome.VOID}
    assert len(outcomes(store)) == 2 * fakes.PLAN.n


def test_a_slow_verifier_holds_the_engine_back(fakes, store, sample):
    model, drawn = fakes.Units(), []

    def wait_for_the_engine(each):
        while not drawn:  # until the engine has made no progress for a while
            before = len(model.units)
            time.sleep(0.3)
            if len(model.units) == before:
                drawn.append(before * 512)

    task = fakes.prepared(count=20, plan=FixedPlan(512), verifier=fakes.Parity([wait_for_the_engine]))
    sample(model, task, rows=512)
    assert WAITING_SAMPLES <= drawn[0] <= WAITING_SAMPLES + 2 * 512
    assert len(texts(store)) == 20 * 512


def test_a_fault_of_the_task_in_judging_ends_the_run_and_keeps_the_samples(fakes, store, sample):
    def fail(each):
        raise TaskError("p: the document lacks a field")

    with pytest.raises(TaskError, match="lacks a field"):
        sample(fakes.Units(), fakes.prepared(verifier=fakes.Parity([fail])), rows=8)
    assert len(texts(store)) >= 8


def test_a_waiting_engine_learns_of_a_fault_in_judging(fakes, store, sample):
    def fail(each):
        raise TaskError("p: the document lacks a field")

    with pytest.raises(TaskError, match="lacks a field"):
        sample(fakes.Streams(), fakes.prepared(count=1, verifier=fakes.Parity([fail])))


def test_an_engine_that_breaks_leaves_what_it_finished(fakes, store, sample):
    model = fakes.Units()

    def break_later(samples):
        if len(model.units) == 3:
            raise ModelError("out of memory")
        return samples

    model.change = break_later
    with pytest.raises(ModelError, match="out of memory"):
        sample(model, fakes.prepared(plan=FixedPlan(8)), rows=8)
    assert len(texts(store)) == 2 * 8
    assert sample(fakes.Units(), fakes.prepared(plan=FixedPlan(8)), rows=8)["t"].samples == 4 * 8


def test_stored_samples_without_verdict_are_judged_without_the_engine(fakes, store, sample):
    count = SUBMITTED_TOGETHER * 5
    requests = fakes.Units()
    sample(requests, fakes.prepared(count=1, plan=FixedPlan(count)), rows=1000)
    for path in store.folder.glob("verdicts/**/part-*"):
        path.unlink()
    assert sample(None, fakes.prepared(count=1, plan=FixedPlan(count)), rows=1000) is None
    with fakes.line(store, [fakes.prepared(count=1, plan=FixedPlan(count))], 1000) as line:
        assert not line.wants_samples()
        line.finish()
    assert len(outcomes(store)) == count


def test_what_waits_for_verdicts_is_on_disk_within_two_seconds(fakes, store):
    started, checked = threading.Event(), []

    def look(each):
        if not checked:
            arrived = time.monotonic()
            while not sample_keys(store.folder, "t", "model"):
                time.sleep(0.02)
            checked.append(time.monotonic() - arrived)
            started.set()

    with fakes.line(store, [fakes.prepared(count=1, verifier=fakes.Parity([look]))], 8) as line:
        assert line.wants_samples()
        line.sample(fakes.Units())
    assert checked[0] < 3.0  # two, and what a busy machine adds


def test_progress_lines_tell_speed_and_what_was_found(fakes, store):
    class Lines(list):
        def write(self, text):
            self.append(text)

        def flush(self):
            pass

        def isatty(self):
            return False

    lines = Lines()
    with fakes.line(store, [fakes.prepared(count=2, plan=FixedPlan(4))], 8, lines) as line:
        assert line.wants_samples()
        line.sample(fakes.Units())
    right = [int(text) % 4 == 0 for _, _, text in texts(store)]
    assert lines[0].startswith("model: 8 of 8 samples, ")
    assert "0 to verify; t pass@1 " + f"{sum(right) / 8:.1%}" in lines[0]
