"""Whole runs with the models side by side end as runs that sample them one after another, whatever happens to them."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest

from rlvr_harness.run_reader import read_json, read_samples, read_verdicts

ROLES = ("base", "model")
MAIN = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]
FEW, MANY = 64, 8192
"""Samples of a problem: for runs that end, and for runs that are stopped."""

pytestmark = pytest.mark.slow


def words(folder, device, *more, k=FEW, plan="fixed"):
    pair = ("--model", "demo/rlvr", "--base", "demo/base", "--tasks", "countdown", "--limit", 6, "--k", k)
    fixed = ("--batch_size", 64, "--threads", 1, "--workers", 1, "--quiet", "--plan", plan, "--devices", device)
    return [str(word) for word in ("run", *pair, *fixed, *more, "-o", folder)]


def start(*arguments):
    return subprocess.Popen([*MAIN, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def complete(*arguments):
    process = start(*arguments)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors


def wait_for(happened, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert happened()


def samples(folder, role):
    return {(s.problem_id, s.index, s.text, s.seed) for s in read_samples(folder, "countdown", role)}


def verdicts(folder, role):
    rows = read_verdicts(folder, "countdown", role, "countdown")
    return {(each.problem_id, each.index, each.outcome, each.answer) for each in rows}


def engines(process):
    """The processes that sample: spawned, while those of verifiers are forked."""
    found = []
    for child in psutil.Process(process.pid).children():
        try:
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def has_samples(folder, role):
    return any((folder / "samples" / "countdown" / role).glob("part-*"))


def alike(folder, other):
    """All that is not a time, a path or a device."""
    for role in ROLES:
        assert samples(folder, role) == samples(other, role)
        assert verdicts(folder, role) == verdicts(other, role)
    assert known(read_json(folder, "results.json")) == known(read_json(other, "results.json"))


def known(results):
    """results.json without what tells one run of the same spec from another."""
    run = {key: value for key, value in results["run"].items() if key not in ("created", "timings", "command")}
    run["spec"] = {key: value for key, value in run.get("spec", {}).items() if key not in ("output_path", "device")}
    return json.dumps(results | {"run": run}, indent=1)


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory):
    """in_turn(k, plan) -> folder of a run of one model after the other."""
    made = {}

    def run(k=FEW, plan="fixed", *more):
        if (k, plan, more) not in made:
            made[k, plan, more] = tmp_path_factory.mktemp("in_turn") / "run"
            complete(*words(made[k, plan, more], "cpu", *more, k=k, plan=plan))
        return made[k, plan, more]

    return run


@pytest.mark.parametrize("plan", ["fixed", "sequential"])
def test_models_side_by_side_end_with_the_samples_and_results_of_models_in_turn(in_turn, tmp_path, plan):
    complete(*words(tmp_path / "run", "cpu/cpu", plan=plan))
    alike(tmp_path / "run", in_turn(FEW, plan))
    record = read_json(tmp_path / "run", "run.json")
    assert record["threads"] == 1
    assert list(record["models"]) == list(ROLES)
    assert {each["device"] for each in record["models"].values()} == {"cpu"}


def test_a_model_goes_on_while_the_engine_of_the_other_stands_still(in_turn, tmp_path):
    folder = tmp_path / "run"
    process = start(*words(folder, "cpu/cpu", k=512))
    wait_for(lambda: all(has_samples(folder, role) for role in ROLES), process)
    held = engines(process)
    assert len(held) == 2
    held[0].suspend()
    before = {role: len(samples(folder, role)) for role in ROLES}
    wait_for(lambda: any(len(samples(folder, role)) == 6 * 512 for role in ROLES), process)
    after = {role: len(samples(folder, role)) for role in ROLES}
    held[0].resume()
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    assert max(after.values()) == 6 * 512 > max(before.values())
    assert min(after.values()) < 6 * 512
    alike(folder, in_turn(512))
    assert not any(each.is_running() for each in held)


def test_a_run_whose_engine_is_killed_names_model_and_device_and_is_completed(in_turn, tmp_path):
    folder = tmp_path / "run"
    process = start(*words(folder, "cpu/cpu", k=512))
    wait_for(lambda: all(has_samples(folder, role) for role in ROLES), process)
    both = engines(process)
    both[1].kill()
    (error,) = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 1
    assert error.startswith(("error: base, on --devices cpu: ", "error: model, on --devices cpu: "))
    assert "device cpu: the process that samples there has ended (exit code -9)" in error
    assert not any(each.is_running() for each in both)
    assert 0 < len(samples(folder, "base")) < 6 * 512
    complete("resume", folder, "--quiet")
    alike(folder, in_turn(512))


def test_ctrl_c_stops_all_models_and_resume_goes_on_with_devices_of_either_form(in_turn, tmp_path):
    folder = tmp_path / "run"
    process = start(*words(folder, "cpu/cpu", k=MANY))
    wait_for(lambda: all(has_samples(folder, role) for role in ROLES), process)
    both = engines(process)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert errors.splitlines() == [f"stopped; nothing finished is lost: rlvr-harness resume {folder}"]
    assert not any(each.is_running() for each in both)
    drawn = {role: samples(folder, role) for role in ROLES}
    again = start("resume", folder, "--quiet", "--devices", "cpu")
    wait_for(lambda: len(samples(folder, "base")) > len(drawn["base"]), again)
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=60)
    assert again.returncode == 143
    assert all(drawn[role] <= samples(folder, role) for role in ROLES)


def test_ctrl_c_while_the_models_are_opened_leaves_no_process(tmp_path):
    folder = tmp_path / "run"
    process = start(*words(folder, "cpu/cpu", k=MANY))
    wait_for(lambda: len(engines(process)) == 2, process)
    both = engines(process)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    assert not any(each.is_running() for each in both)


def test_a_run_that_is_killed_leaves_no_engine_and_is_completed(in_turn, tmp_path):
    folder = tmp_path / "run"
    process = start(*words(folder, "cpu/cpu", k=512, plan="sequential"))
    wait_for(lambda: all(has_samples(folder, role) for role in ROLES), process)
    both = engines(process)
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(both, timeout=10)[1]
    complete("resume", folder, "--quiet", "--devices", "cpu/cpu")
    alike(folder, in_turn(512, "sequential"))


def test_a_topped_up_run_equals_one_that_was_longer(in_turn, tmp_path):
    folder = tmp_path / "run"
    complete(*words(folder, "cpu"))
    complete("topup", folder, "--n", 128, "--quiet", "--devices", "cpu/cpu")
    assert read_json(folder, "run.json")["spec"]["device"] == "cpu/cpu"
    for role in ROLES:
        assert samples(folder, role) == samples(in_turn(128), role)


def test_a_budget_ends_sampling_at_the_same_stage(in_turn, tmp_path):
    # 18 tokens a sample: stage 16 takes 2 models x 6 problems x 16 x 18 = 3.5k, stage 32 at most as much, 64 twice that
    folder, budget = tmp_path / "run", ("--budget", "8k")
    complete(*words(folder, "cpu/cpu", *budget, plan="sequential"))
    alike(folder, in_turn(FEW, "sequential", *budget))
    assert read_json(folder, "run.json")["tasks"]["countdown"]["plan"]["stages"] == [16, 32]


def test_devices_of_another_kind_are_refused_when_a_run_goes_on(in_turn):
    process = start("resume", in_turn(), "--devices", "0/1")
    assert "--devices 0/1: the samples of this run were drawn on cpu" in process.communicate(timeout=60)[1]
    assert process.returncode == 2
