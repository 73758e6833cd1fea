"""Whole runs with `--executor ray`, through the command line."""

import os
import signal
import socket
import time

import psutil
import pytest

from rlvr_harness.run_reader import read_json, read_samples, read_verdicts

ARGS = "sampler_actors=2,cpus_per_actor=0.5,verifier_actors=1"
MODELS = ["run", "--model", "demo/rlvr", "--base", "demo/base", "--quiet", "--threads", 1, "--workers", 1]
ROLES = ("base", "model")


def words(folder, k, limit, *more):
    return [*MODELS, "--limit", limit, "--k", k, "--batch_size", 64, "--stop_after", 20, *more, "-o", folder]


def on_ray(args=ARGS):
    return ["--executor", "ray", "--executor_args", args]


def content(folder):
    """(role, problem, index) -> text, outcome and answer; what is stored twice fails."""
    found = {}
    for role in ROLES:
        rows = [((role, s.problem_id, s.index), s.text) for s in read_samples(folder, "countdown", role)]
        assert len(dict(rows)) == len(rows)
        verdicts = {(role, v.problem_id, v.index): (v.outcome, v.answer) for v in read_verdicts_of(folder, role)}
        assert verdicts.keys() == dict(rows).keys()
        found |= {key: (text, *verdicts[key]) for key, text in rows}
    return found


def read_verdicts_of(folder, role):
    name = read_json(folder, "run.json")["tasks"]["countdown"]["verifier"]
    return read_verdicts(folder, "countdown", role, name)


def actors_of(run, kind):
    """Processes of this kind of actor among those that the run has started."""
    found = []
    for process in psutil.Process(run.pid).children(recursive=True):
        try:
            if any(f"ray::{kind}" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for(look, run, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def parts(folder):
    return list((folder / "samples").rglob("part-*.parquet"))


@pytest.mark.slow
def test_a_run_on_ray_has_the_texts_and_verdicts_of_a_local_one(run, tmp_path):
    local = run(*words(tmp_path / "local", 64, 6))
    spread = run(*words(tmp_path / "ray", 64, 6, *on_ray()))
    assert (local.returncode, spread.returncode) == (0, 0), spread.stderr
    found = content(tmp_path / "ray")
    assert found == content(tmp_path / "local")
    assert len(found) > 6 * 2 * 16
    execution = read_json(tmp_path / "ray", "run.json")["execution"]
    assert (execution["executor"], len(execution["sampler_actors"])) == ("ray", 2)


@pytest.mark.slow
def test_a_run_whose_actors_are_killed_ends_with_the_same_set(run, start, tmp_path):
    long = ("--plan", "fixed")
    spread = start(*words(tmp_path / "ray", 512, 6, *long, *on_ray()))
    wait_for(lambda: parts(tmp_path / "ray"), spread)
    actors_of(spread, "Judge")[0].kill()
    wait_for(lambda: actors_of(spread, "Engine"), spread)[0].kill()
    _, errors = spread.communicate(timeout=300)
    assert spread.returncode == 0, errors
    assert "sampler actor" in errors and "its work is done again" in errors
    assert run(*words(tmp_path / "local", 512, 6, *long)).returncode == 0
    assert content(tmp_path / "ray") == content(tmp_path / "local")


@pytest.mark.slow
def test_ctrl_c_ends_all_actors_and_resume_completes_the_run(run, start, tmp_path):
    spread = start(*words(tmp_path / "ray", 512, 6, "--plan", "fixed", *on_ray()))
    wait_for(lambda: parts(tmp_path / "ray"), spread)
    everything = psutil.Process(spread.pid).children(recursive=True)
    os.killpg(spread.pid, signal.SIGINT)
    errors = spread.communicate(timeout=60)[1]
    assert spread.returncode == 130, errors
    assert "rlvr-harness resume" in errors
    assert psutil.wait_procs(everything, timeout=20)[1] == []
    resumed = run("resume", tmp_path / "ray", "--quiet", "--executor", "local")
    assert resumed.returncode == 0, resumed.stderr
    assert len(content(tmp_path / "ray")) == 2 * 6 * 512


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_a_run_that_resumes_to_the_same_set(run, start, tmp_path):
    long = ("--plan", "fixed")
    spread = start(*words(tmp_path / "ray", 512, 4, *long, *on_ray()))
    wait_for(lambda: parts(tmp_path / "ray"), spread)
    os.kill(spread.pid, signal.SIGKILL)
    spread.wait()
    stored = sum(1 for role in ROLES for _ in read_samples(tmp_path / "ray", "countdown", role))
    assert 0 < stored < 2 * 4 * 512
    resumed = run("resume", tmp_path / "ray", "--quiet", "--executor_args", ARGS)
    assert resumed.returncode == 0, resumed.stderr
    assert run(*words(tmp_path / "local", 512, 4, *long)).returncode == 0
    assert content(tmp_path / "ray") == content(tmp_path / "local")


@pytest.mark.slow
def test_too_small_a_cluster_is_refused_and_leaves_no_folder(run, tmp_path):
    done = run(*words(tmp_path / "run", 16, 2, *on_ray("sampler_actors=999,wait_s=1")))
    assert done.returncode == 1
    assert "no room for 999 sampler actors" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_cluster_that_nobody_runs_is_told_at_once(run, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(*words(tmp_path / "run", 16, 2, *on_ray(f"address={address}")), timeout=60)
    assert done.returncode == 1
    assert f"no Ray cluster answers at address={address}" in done.stderr


@pytest.mark.slow
def test_a_port_where_no_ray_answers_is_told_within_a_minute(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        done = run(*words(tmp_path / "run", 16, 2, *on_ray(f"address={address}")), timeout=90)
    assert done.returncode == 1
    assert f"no Ray cluster answers at address={address}" in done.stderr
