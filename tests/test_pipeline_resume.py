"""A run killed at any moment is completed to the very samples of a run that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest

from rlvr_harness.records import Outcome
from rlvr_harness.run_reader import read_json, read_samples, read_verdicts

K = 1024
"""Samples of a problem: enough that sampling lasts for several commits."""
LOST_AT_MOST_S = 2.5
"""Two seconds, and the unit of 64 samples that was under way when they were over."""
ROLES = ("base", "model")
MAIN = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words(make_checkpoint):
    """Words of a run of 6 problems x 2 models x K samples, in units of 64; the folder follows."""
    base, model = make_checkpoint(seed=11), make_checkpoint(seed=12)
    words = ["run", "--model", model, "--base", base, "--tasks", "countdown", "--limit", 6, "--k", K]
    words += ["--batch_size", 64, "--threads", 1, "--workers", 1, "--quiet", "--plan", "fixed", "-o"]
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def in_stages():
    """Words of a run of the demo pair in stages; so many right ones stop a problem that most go on for long."""
    words = ["run", "--model", "demo/rlvr", "--base", "demo/base", "--limit", 8, "--k", K, "--stop_after", 200]
    words += ["--batch_size", 64, "--threads", 1, "--workers", 1, "--quiet", "--plan", "sequential", "-o"]
    return [str(word) for word in words]


def with_k(words, k):
    place = words.index("--k") + 1
    return [*words[:place], str(k), *words[place + 1 :]]


def start(*words):
    return subprocess.Popen([*MAIN, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def complete(*words):
    """Runs to the end."""
    process = start(*words)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors


def wait_for(happened, process, seconds=60):
    """Waits until something has happened or the process has ended."""
    deadline = time.monotonic() + seconds
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def samples(folder):
    return {(role, s.problem_id, s.index, s.text) for role in ROLES for s in read_samples(folder, "countdown", role)}


def verdicts(folder):
    return {
        (role, verdict.problem_id, verdict.index, verdict.outcome, verdict.answer)
        for role in ROLES
        for verdict in read_verdicts(folder, "countdown", role, "countdown")
    }


@pytest.fixture(scope="module")
def staged(in_stages, tmp_path_factory):
    """Folder of a run in stages that nothing interrupted."""
    folder = tmp_path_factory.mktemp("staged") / "run"
    complete(*in_stages, folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(words, tmp_path_factory):
    """Folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    complete(*words, folder)
    return folder


def kill_while_starting(process, folder, moments):
    time.sleep(moments.uniform(0.0, 3.0))


def kill_before_the_first_commit(process, folder, moments):
    written = (folder / "run.json").stat().st_mtime_ns if (folder / "run.json").exists() else 0
    wait_for(lambda: (folder / "run.json").exists() and (folder / "run.json").stat().st_mtime_ns > written, process)
    time.sleep(moments.uniform(0.0, 2.0))


def kill_around_a_commit(process, folder, moments):
    before = len(list(folder.rglob("part-*")))
    wait_for(lambda: len(list(folder.rglob("part-*"))) > before, process)
    time.sleep(moments.uniform(0.0, 0.02))


def test_kills_of_a_run_with_a_fixed_plan_lose_no_sample_and_repeat_none(words, undisturbed, tmp_path):
    folder = tmp_path / "run"
    moments = random.Random(0)
    partly_done = 0
    for kill in [kill_before_the_first_commit, kill_around_a_commit, kill_while_starting, kill_around_a_commit]:
        process = start("resume", folder, "--quiet") if (folder / "run.json").exists() else start(*words, folder)
        kill(process, folder, moments)
        process.kill()
        process.communicate()
        partly_done += 0 < len(samples(folder)) < len(samples(undisturbed))
    assert partly_done, "the kills came too late to show anything: raise K"
    complete(*words, folder)
    assert samples(folder) == samples(undisturbed)
    assert verdicts(folder) == verdicts(undisturbed)
    assert read_json(folder, "results.json")["tasks"] == read_json(undisturbed, "results.json")["tasks"]


def parts(folder, kind):
    return list(folder.glob(f"{kind}/**/part-*"))


def kill_while_sampling(process, folder, moments):
    before = len(parts(folder, "samples"))
    wait_for(lambda: len(parts(folder, "samples")) > before, process)
    time.sleep(moments.uniform(0.0, 3.0))


def kill_while_verifying(process, folder, moments):
    wait_for(lambda: parts(folder, "verdicts"), process)
    time.sleep(moments.uniform(0.0, 0.2))


def kill_while_reporting(process, folder, moments):
    wait_for(lambda: (folder / "results.json").exists(), process)
    time.sleep(moments.uniform(0.0, 1.0))


def forget_verdicts(folder):
    """As if they had never been written: the next run has them all to work out."""
    for part in parts(folder, "verdicts"):
        part.unlink()


def seconds_lost(process, folder):
    """Age of the youngest samples part where the run is killed; what was finished after it is to be drawn again."""
    process.kill()
    now = time.time()
    process.communicate()
    return now - max((part.stat().st_mtime for part in parts(folder, "samples")), default=now)


def test_twenty_kills_of_a_run_in_stages_change_nothing(in_stages, staged, tmp_path):
    moments = random.Random(1)
    folders, lost, partly_done = [tmp_path / "run-0"], [], 0
    kinds = [kill_while_sampling, kill_around_a_commit, kill_while_starting, kill_while_verifying, kill_while_reporting]
    for kill in kinds * 4:
        if (folders[-1] / "report.html").exists():
            folders.append(tmp_path / f"run-{len(folders)}")
        folder = folders[-1]
        if kill is kill_while_verifying:
            forget_verdicts(folder)
        process = start("resume", folder, "--quiet") if (folder / "run.json").exists() else start(*in_stages, folder)
        kill(process, folder, moments)
        sampling = process.poll() is None and not (folder / "results.json").exists()
        age = seconds_lost(process, folder)
        partly_done += 0 < len(samples(folder)) < len(samples(staged))
        if kill is kill_while_sampling and sampling and len(samples(folder)) < len(samples(staged)):
            lost.append(age)
    assert partly_done >= 3, "the kills came too late to show anything: raise K"
    assert lost
    assert max(lost) <= LOST_AT_MOST_S
    for folder in folders:
        complete(*in_stages, folder)
        assert samples(folder) == samples(staged)
        assert verdicts(folder) == verdicts(staged)
        assert len(stored_rows(folder)) == len(samples(staged))
        assert read_json(folder, "results.json")["tasks"] == read_json(staged, "results.json")["tasks"]


def stored_rows(folder):
    """(role, problem, index) of every row on disk, doubled ones included."""
    tables = ((role, pq.read_table(part)) for role in ROLES for part in parts(folder, f"samples/countdown/{role}"))
    return [(role, row["problem_id"], row["index"]) for role, table in tables for row in table.to_pylist()]


def test_a_run_in_stages_draws_only_what_its_verdicts_ask_for(staged):
    right = Counter((role, problem) for role, problem, _, outcome, _ in verdicts(staged) if outcome is Outcome.RIGHT)
    drawn = Counter((role, problem) for role, problem, _, _ in samples(staged))
    stages = read_json(staged, "run.json")["tasks"]["countdown"]["plan"]["stages"]
    assert stages == [16, 32, 64, 128, 256, 512, 1024]
    assert set(drawn.values()) <= set(stages)
    assert {number < K for number in drawn.values()} == {True, False}
    assert all(number == K or right[problem] >= 200 for problem, number in drawn.items())


def test_a_topped_up_run_in_stages_equals_one_that_was_longer_from_the_start(in_stages, staged, tmp_path):
    folder = tmp_path / "run"
    complete(*with_k(in_stages, 128), folder)
    few = samples(folder)
    assert read_json(folder, "run.json")["tasks"]["countdown"]["plan"]["stages"] == [16, 32, 64, 128]
    complete("topup", folder, "--n", K, "--k", K, "--quiet")
    assert few < samples(folder) == samples(staged)
    assert read_json(folder, "results.json")["tasks"] == read_json(staged, "results.json")["tasks"]


def test_every_sample_is_there_once_and_judged(undisturbed):
    stored = [s for role in ROLES for s in read_samples(undisturbed, "countdown", role)]
    assert len(stored) == len(samples(undisturbed)) == 6 * 2 * K
    assert len(verdicts(undisturbed)) == 6 * 2 * K
    assert Outcome.VOID not in {outcome for _, _, _, outcome, _ in verdicts(undisturbed)}


def test_a_run_of_fewer_samples_holds_the_first_ones(words, undisturbed, tmp_path):
    complete(*with_k(words, 64), tmp_path / "run")
    assert samples(tmp_path / "run") == {each for each in samples(undisturbed) if each[2] < 64}


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_sampled_and_says_how_to_go_on(words, tmp_path, stop):
    folder = tmp_path / "run"
    process = start(*with_k(words, 8 * K), folder)
    wait_for(lambda: list(folder.rglob("samples/**/part-*")), process)
    process.send_signal(stop)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if stop is signal.SIGINT else 143)
    assert errors.splitlines() == [f"stopped; nothing finished is lost: rlvr-harness resume {folder}"]
    assert len(samples(folder)) > 0


def test_a_second_ctrl_c_ends_a_run_at_once(words, tmp_path):
    folder = tmp_path / "run"
    process = start(*with_k(words, 8 * K), folder)
    wait_for(lambda: list(folder.rglob("samples/**/part-*")), process)
    os.kill(process.pid, signal.SIGSTOP)  # both signals are there before the first is dealt with
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(timeout=5) in (130, 143)
    process.communicate()
