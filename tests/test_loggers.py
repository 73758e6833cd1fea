"""Following a run in a tracker: what it is given, and that nothing it does can cost the run."""

import sys
import threading
import types
from pathlib import Path

import pluggy
import pytest

from rlvr_harness import UsageError, hookimpl, hookspecs
from rlvr_harness.observing import Observers
from rlvr_harness.run_reader import read_json
from rlvr_loggers import following
from rlvr_loggers.following import LogObserver
from tests.small_runs import finished_run  # noqa: F401

WORDS = ["run", "--model", "demo/rlvr", "--tasks", "countdown", "--k", "2", "--limit", "2", "--workers", "1"]
WORDS += ["--threads", "1", "--quiet"]


class Recording:
    """As much of wandb as is used: `init` gives a run with config, log, summary and finish."""

    def __init__(self):
        self.summary, self.logged, self.ended = {}, [], False
        self.config = types.SimpleNamespace(update=lambda new, allow_val_change: self.settings.update(new))
        self.settings = {}
        self.module = types.SimpleNamespace(init=self.init)

    def init(self, project, name, config, **_):
        self.name, self.settings = name, dict(config)
        return self

    def log(self, row):
        self.logged.append(row)

    def finish(self):
        self.ended = True


def follow(names, run_dir, results):
    """The calls of a run that has these results, as the pipeline makes them."""
    observer = LogObserver()
    observer.run_started(spec={"log": names, "model": "demo/rlvr", "k": 8}, run_dir=run_dir)
    observer.stage_finished(stage="sampling", run_dir=run_dir)
    observer.run_finished(results=results, run_dir=run_dir)


@pytest.fixture
def results(finished_run):  # noqa: F811
    return read_json(finished_run, "results.json")


def test_wandb_is_given_settings_curves_and_numbers(results, tmp_path, monkeypatch):
    fake = Recording()
    monkeypatch.setitem(sys.modules, "wandb", fake.module)
    follow(["wandb"], tmp_path, results)
    curve = results["tasks"]["countdown"]["models"]["model"]["pass_at_k"]
    assert (fake.name, fake.ended, fake.settings["k"]) == (tmp_path.name, True, 8)
    assert fake.settings["command"] == results["run"]["command"]
    rows = [row for row in fake.logged if "model/countdown/k" in row]
    assert {str(row["model/countdown/k"]): row["model/countdown/pass_at_k"] for row in rows} == {
        k: point["value"] for k, point in curve.items()
    }
    assert fake.summary["base/countdown/samples"] == 72
    assert fake.summary["stage"] == "sampling"


def test_trackio_is_given_the_same_rows(results, tmp_path, monkeypatch):
    calls = []
    fake = types.SimpleNamespace(
        init=lambda **given: calls.append(given["name"]), log=calls.append, finish=lambda: calls.append("end")
    )
    monkeypatch.setitem(sys.modules, "trackio", fake)
    follow(["trackio"], tmp_path, results)
    assert calls[:2] == [tmp_path.name, {"stage": "sampling"}]
    assert calls[2]["base/countdown/k"] == 1
    assert calls[-2]["model/countdown/samples"] == 72
    assert calls[-1] == "end"


def test_a_run_without_log_asks_nothing_of_any_tracker(results, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "TRACKERS", {})
    follow([], tmp_path, results)


def test_a_missing_library_is_one_line_before_any_sample(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    status, out, err = cli(*WORDS, "--log", "wandb", "-o", tmp_path / "run")
    assert (status, out) == (2, "")
    assert err == "error: --log wandb needs a library that is not installed: pip install wandb\n"
    assert not (tmp_path / "run/samples").exists()


def test_an_unknown_tracker_is_wrong_usage(cli, tmp_path):
    status, out, err = cli(*WORDS, "--log", "tensorboard", "-o", tmp_path / "run")
    assert (status, out) == (2, "")
    assert err.startswith("error: run: --log: 'tensorboard': input should be 'wandb', 'trackio' or 'mlflow'")


def test_a_tracker_whose_server_is_down_costs_one_warning_and_no_run(cli, tmp_path, monkeypatch):
    def refuse(**_):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=refuse))
    status, out, err = cli(*WORDS, "--log", "wandb", "-o", tmp_path / "run")
    assert status == 0, err
    assert "report: " in out
    assert err == (
        "warning: --log wandb fails: ConnectionError: no route to host; the run goes on without it; "
        "`rlvr-harness export DIR --format wandb` sends finished results\n"
    )


def test_a_tracker_that_ends_the_process_ends_only_itself(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **_: sys.exit("no key")))
    follow(["wandb"], tmp_path, results)
    assert "warning: --log wandb fails: SystemExit: no key; the run goes on" in capsys.readouterr().err


def test_a_run_in_the_folder_where_it_was_called_is_named_after_it(results, tmp_path, monkeypatch):
    fake = Recording()
    monkeypatch.setitem(sys.modules, "wandb", fake.module)
    monkeypatch.chdir(tmp_path)
    follow(["wandb"], Path(), results)
    assert fake.name == tmp_path.name


def test_a_tracker_that_hangs_is_left_behind(results, tmp_path, monkeypatch, capsys):
    release = threading.Event()
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **_: release.wait()))
    monkeypatch.setattr(following, "END_WAIT_S", 0.1)
    try:
        follow(["wandb"], tmp_path, results)
    finally:
        monkeypatch.undo()
        release.set()
    assert "--log wandb has not taken the results in 0 s; the run goes on without it" in capsys.readouterr().err


def test_a_tracker_may_be_added_when_a_run_goes_on(cli, tmp_path, monkeypatch):
    fake = Recording()
    monkeypatch.setitem(sys.modules, "wandb", fake.module)
    assert cli(*WORDS, "-o", tmp_path / "run")[0] == 0
    assert cli(*WORDS, "--log", "wandb", "-o", tmp_path / "run")[0] == 0
    assert fake.ended


class Failing:
    """A third party's observer."""

    def __init__(self, error):
        self.error, self.calls = error, []

    @hookimpl
    def run_started(self, run_dir):
        self.calls.append("run_started")
        raise self.error

    @hookimpl
    def run_finished(self, results, run_dir):
        self.calls.append("run_finished")


def observers(*plugins):
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for place, plugin in enumerate(plugins):
        manager.register(plugin, name=f"theirs{place or ''}")
    return Observers(manager.hook)


@pytest.mark.parametrize("first", [0, 1])
def test_observers_are_told_in_the_order_that_they_ask_for(first):
    calls = []
    plugins = [
        types.SimpleNamespace(stage_finished=hookimpl(lambda place=place: calls.append(place), tryfirst=place == first))
        for place in range(2)
    ]
    observers(*plugins).tell("stage_finished", stage="sampling", run_dir=Path())
    assert calls == [first, 1 - first]


def test_an_observer_takes_only_the_facts_that_it_names(tmp_path):
    calls = []
    plugin = types.SimpleNamespace(run_finished=hookimpl(lambda run_dir: calls.append(run_dir)))
    observers(plugin).tell("run_finished", results={}, run_dir=tmp_path)
    assert calls == [tmp_path]


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit("boom")])
def test_an_observer_that_fails_is_named_once_and_asked_no_more(tmp_path, capsys, error):
    plugin = Failing(error)
    told = observers(plugin)
    told.tell("run_started", spec={}, run_dir=tmp_path)
    told.tell("run_finished", results={}, run_dir=tmp_path)
    assert plugin.calls == ["run_started"]
    assert capsys.readouterr().err == (
        f"warning: plugin 'theirs' fails in run_started: {type(error).__name__}: boom; the run goes on without it\n"
    )


def test_an_observer_may_refuse_a_run_before_it_samples(tmp_path):
    with pytest.raises(UsageError, match="not today"):
        observers(Failing(UsageError("not today"))).tell("run_started", spec={}, run_dir=tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_itself_keeps_a_run_offline(results, tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    follow(["wandb"], tmp_path, results)
    assert "warning" not in capsys.readouterr().err
    assert list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_itself_stores_the_curve_over_k(results, tmp_path, monkeypatch, capsys):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    follow(["mlflow"], tmp_path, results)
    assert "warning" not in capsys.readouterr().err
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("rlvr-harness")
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "model/countdown/pass_at_k")
    curve = results["tasks"]["countdown"]["models"]["model"]["pass_at_k"]
    assert {str(point.step): point.value for point in history} == {k: point["value"] for k, point in curve.items()}
    assert (run.info.status, run.data.tags["stage"], run.data.params["k"]) == ("FINISHED", "sampling", "8")
