"""Models of a run that are sampled at the same time: whose devices are whose, and how a failure of one ends all."""

import dataclasses
import importlib
import io
import os
import signal
import threading
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlvr_harness.device_groups import check_kinds, device_of_each, kinds_of
from rlvr_harness.errors import HarnessError, ModelError, RunFolderError, UsageError
from rlvr_harness.estimating import Known, plan_lines
from rlvr_harness.executing import LocalExecution
from rlvr_harness.pipeline import Cell, Line
from rlvr_harness.planning import FixedPlan
from rlvr_harness.probing import Pace
from rlvr_harness.progress import EVERY_S, Progress
from rlvr_harness.run_reader import read_samples, read_verdicts
from rlvr_harness.run_spec import identity, parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.scheduling import Standing
from rlvr_harness.side_by_side import sample_side_by_side, shared_out
from rlvr_harness.stopping import Stopped, Stopping
from rlvr_harness.sweeping import wish_of

ROLES = ("base", "model")
CPUS = {"base": "cpu", "model": "cpu"}
PATIENCE_S = 30


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("pipeline_fakes")


@pytest.mark.parametrize(
    ("device", "found"),
    [
        (None, [None, None]),
        ("0,1", ["0,1", "0,1"]),
        ("0,1/2,3", ["0,1", "2,3"]),
        (" 0 , 1 / cuda:2 ", ["0,1", "cuda:2"]),
        ("cpu/cpu,cpu", ["cpu", "cpu,cpu"]),
        ("0,0/1", ["0,0", "1"]),
    ],
)
def test_groups_are_given_to_the_models_in_their_order(device, found):
    assert list(device_of_each(device, ROLES).items()) == list(zip(ROLES, found, strict=True))


def spec(device, **options):
    return parse_spec({"model": "m", "base": "b", "also": {"third": "t"}, "device": device, **options}, "run")


@pytest.mark.parametrize("device", ["0/1", "0/1/2/3", "0//1", "0/1/", "/"])
def test_another_number_of_groups_than_of_models_names_the_models_in_order(device):
    with pytest.raises(
        UsageError, match=r"the run has 3 model\(s\): base, model, third; name a group for each"
    ) as told:
        spec(device)
    assert f"--devices {device} names" in str(told.value)
    assert "\n" not in str(told.value)
    assert spec("0/1/2").device == "0/1/2"


@pytest.mark.parametrize(
    ("device", "twice"), [("0,1/1/2", "cuda:1"), ("cuda/cuda:0/1", "cuda:0"), ("mps/mps/1", "mps")]
)
def test_no_gpu_is_given_to_two_models(device, twice):
    with pytest.raises(UsageError, match=rf"gives {twice} to 2 models; side by side \(base, model, third\) each needs"):
        spec(device)


def test_a_run_goes_on_with_other_devices_of_the_kind_it_began_on():
    kinds = [kinds_of(device) for device in (None, "0,1", "cuda", "0/cuda:1", "cpu/cpu", "cpu/1")]
    assert kinds == [None, "cuda", "cuda", "cuda", "cpu", "cpu,cuda"]
    same = [identity(spec(device).as_data()) for device in ("0", "cuda:1", "0,1,2", "0/1/2,3")]
    assert all(each == same[0] for each in same)
    assert identity(spec("cpu").as_data()) != same[0] != identity(spec(None).as_data())
    record = {"models": {"base": {"device": "cuda:0,cuda:1"}, "model": {"device": "cuda x 2"}}}
    check_kinds("0/1", record)
    check_kinds("cpu", {"models": {"model": {"device": "http://127.0.0.1:80/v1"}}})
    check_kinds("cpu", {})
    with pytest.raises(UsageError, match=r"--devices cpu/cpu: the samples of this run were drawn on cuda, and another"):
        check_kinds("cpu/cpu", record)


def test_a_sweep_takes_no_groups():
    with pytest.raises(UsageError, match="sweep: the base is sampled once, then each checkpoint by itself"):
        wish_of({"base": "b", "device": "0/1"}, ["checkpoints"])


@pytest.mark.parametrize("words", [("--sampler", "replay"), ("--executor", "ray")])
def test_what_cannot_sample_several_models_at_once_says_so_before_anything_else(cli, words, tmp_path):
    models = ("--model", "demo/rlvr", "--base", "demo/base", "--tasks", "countdown", "--k", 2)
    status, _, errors = cli("run", *models, "--devices", "cpu/cpu", *words, "-o", tmp_path / "run")
    assert status == 2
    assert "--devices cpu/cpu: " in errors
    assert "leave out /" in errors
    assert not (tmp_path / "run").exists()


def test_each_model_has_its_part_of_the_verifier_processes():
    assert [shared_out(LocalExecution(workers), 2).workers for workers in (1, 2, 5, 8)] == [1, 1, 2, 4]


def test_all_models_are_sampled_at_once():
    meeting = threading.Barrier(2)
    sample_side_by_side(CPUS, lambda role, ending: meeting.wait(PATIENCE_S) and None)


def test_the_first_failure_wakes_the_other_model_and_is_told_with_its_own_devices():
    woken = []

    def sample(role, ending):
        if role == "model":
            raise ModelError("device cuda:3: the engine has died")
        woken.extend(wait([ending], PATIENCE_S))
        raise ModelError("device cuda:0: sampling was ended")

    with pytest.raises(ModelError) as told:
        sample_side_by_side({"base": "0,1", "model": "2,3"}, sample)
    assert str(told.value) == "model, on --devices 2,3: device cuda:3: the engine has died"
    assert len(woken) == 1


def test_what_is_no_fault_of_a_model_is_told_as_it_is():
    def sample(role, ending):
        raise RunFolderError("the disk is full")

    with pytest.raises(RunFolderError, match=r"^the disk is full$"):
        sample_side_by_side(CPUS, sample)


def test_ctrl_c_wakes_all_models_and_goes_on_when_they_have_ended():
    meeting, ended = threading.Barrier(2), set()

    def sample(role, ending):
        meeting.wait(PATIENCE_S)
        if role == "base":
            os.kill(os.getpid(), signal.SIGINT)
        assert wait([ending], PATIENCE_S)
        ended.add(role)

    with Stopping(), pytest.raises(Stopped):
        sample_side_by_side(CPUS, sample)
    assert ended == set(ROLES)


def line(fakes, store, role, tasks, ending):
    cells = [Cell(store.folder, role, task, 0, None) for task in tasks]
    quiet = Progress(role, {task.name: task.k for task in tasks})
    return Line(store, cells, quiet, "fake", here=ending.judging)


def engine(fakes, role):
    class Own(fakes.Streams):
        def stream(self, work, law):
            for samples in super().stream(work, law):
                yield [dataclasses.replace(each, model=role) for each in samples]

    return Own()


def stored(folder, role):
    """(problem, index, text) of the samples, and (problem, index, outcome) of the verdicts."""
    samples = [(each.problem_id, each.index, each.text) for each in read_samples(folder, "t", role)]
    verdicts = [(each.problem_id, each.index, each.outcome) for each in read_verdicts(folder, "t", role, "parity")]
    return sorted(samples), sorted(verdicts)


def test_two_lines_in_one_run_folder_store_what_each_stores_alone(fakes, tmp_path):
    busy, most, lock = [], [], threading.Lock()

    def watch(sample):
        with lock:
            busy.append(sample)
            most.append(len(busy))
        with lock:
            busy.remove(sample)

    task = fakes.prepared(count=200, plan=FixedPlan(64), verifier=fakes.Parity([watch]))
    with RunStore(tmp_path / "both") as store:

        def sample(role, ending):
            with line(fakes, store, role, [task], ending) as own, ending.watched(own):
                own.sample(engine(fakes, role))

        sample_side_by_side(CPUS, sample)
    assert max(most) == 1  # a verifier is called by one thread at a time
    for role in ROLES:
        samples, verdicts = stored(tmp_path / "both", role)
        assert len(samples) == len(verdicts) == len({each[:2] for each in samples}) == 200 * 64
        with RunStore(tmp_path / role) as store:
            sample_side_by_side({role: "cpu"}, partial(alone, fakes, store, task))
        assert stored(tmp_path / role, role) == (samples, verdicts)


def alone(fakes, store, task, role, ending):
    with line(fakes, store, role, [task], ending) as own:
        own.sample(engine(fakes, role))


def test_a_line_that_waits_for_verdicts_ends_with_the_model_that_failed(fakes, tmp_path):
    """And keeps what it has sampled, judged or not."""
    held, judging = threading.Event(), threading.Event()

    def hold(sample):
        judging.set()
        held.wait(PATIENCE_S)

    task = fakes.prepared(count=2, plan=FixedPlan(4), verifier=fakes.Parity([hold]))
    with RunStore(tmp_path) as store:

        def sample(role, ending):
            if role == "model":
                judging.wait(PATIENCE_S)
                held.set()
                raise ModelError("gone")
            with line(fakes, store, role, [task], ending) as own, ending.watched(own):
                own.sample(engine(fakes, role))
                wait([ending], PATIENCE_S)
                own.finish()

        with pytest.raises(ModelError, match="model, on --devices cpu: gone"):
            sample_side_by_side(CPUS, sample)
    assert len(stored(tmp_path, "base")[0]) == 8


def test_a_model_that_begins_after_the_end_does_not_sample(fakes, tmp_path):
    failed = threading.Event()
    with RunStore(tmp_path) as store:

        def sample(role, ending):
            if role == "model":
                failed.set()
                raise ModelError("gone")
            failed.wait(PATIENCE_S)
            assert wait([ending], PATIENCE_S)
            with (
                pytest.raises(HarnessError, match="sampling was ended"),
                line(fakes, store, role, [fakes.prepared()], ending) as own,
                ending.watched(own),
            ):
                own.sample(engine(fakes, role))

        with pytest.raises(ModelError, match="gone"):
            sample_side_by_side(CPUS, sample)
    assert stored(tmp_path, "base") == ([], [])


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_several_models_show_lines_on_a_terminal_too():
    screen, now = Screen(), [0.0]
    shown = [Progress(role, {"t": 8}, screen, lambda: now[0], alone=False) for role in ROLES]
    for each in shown:
        each.begin()
        each.advance("t", 5, 50)
    now[0] = EVERY_S
    standing = Standing(stored=5, remaining=3, first_right=0, first_judged=0, solved=0, touched=0, exact=True)
    for each in shown:
        each.show(lambda task: standing, 0)
    assert [text.partition(" samples")[0] for text in screen.getvalue().splitlines()] == [
        "base: 5 of 8",
        "model: 5 of 8",
    ]


@pytest.mark.parametrize(("beside", "told"), [(False, "about 2 min"), (True, "about 100 s")])
def test_the_plan_of_models_side_by_side_lasts_as_long_as_the_slowest(fakes, beside, told):
    task = fakes.prepared(count=10, plan=FixedPlan(10))
    # 10 problems x 10 samples x 100 tokens / 100 tokens per s = 100 s, and 20 s
    paces = {("t", "base"): Pace(100.0, 100.0, 0.0), ("t", "model"): Pace(500.0, 100.0, 0.0)}
    run = SimpleNamespace(requests=dict.fromkeys(ROLES), tasks=[task], side_by_side=beside)
    assert f"by the probe {told}" in plan_lines(run, Known(paces=paces))[0]
