"""A run killed at any moment is completed to the very samples of a run that was left alone."""

import random
import signal
import subprocess
import sys
import time

import pytest

from rlvr_harness.records import Outcome
from rlvr_harness.run_reader import read_json, read_samples, read_verdicts

K = 1024
"""Samples of a problem: enough that sampling lasts for several commits."""
ROLES = ("base", "model")
MAIN = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def words(make_checkpoint):
    """Words of a run of 6 problems x 2 models x K samples, in units of 64; the folder follows."""
    base, model = make_checkpoint(seed=11), make_checkpoint(seed=12)
    words = ["run", "--model", model, "--base", base, "--tasks", "countdown", "--limit", 6, "--k", K]
    words += ["--batch_size", 64, "--threads", 1, "--workers", 1, "--quiet", "-o"]
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


def test_ten_kills_lose_no_sample_and_repeat_none(words, undisturbed, tmp_path):
    folder = tmp_path / "run"
    moments = random.Random(0)
    partly_done = 0
    for kill in [kill_before_the_first_commit, kill_around_a_commit, kill_while_starting, kill_around_a_commit] * 2 + [
        kill_around_a_commit,
        kill_before_the_first_commit,
    ]:
        process = start("resume", folder, "--quiet") if (folder / "run.json").exists() else start(*words, folder)
        kill(process, folder, moments)
        process.kill()
        process.communicate()
        partly_done += 0 < len(samples(folder)) < len(samples(undisturbed))
    assert partly_done >= 3, "the kills came too late to show anything: raise K"
    complete(*words, folder)
    assert samples(folder) == samples(undisturbed)
    assert verdicts(folder) == verdicts(undisturbed)
    assert read_json(folder, "results.json")["tasks"] == read_json(undisturbed, "results.json")["tasks"]


def test_every_sample_is_there_once_and_judged(undisturbed):
    stored = [s for role in ROLES for s in read_samples(undisturbed, "countdown", role)]
    assert len(stored) == len(samples(undisturbed)) == 6 * 2 * K
    assert len(verdicts(undisturbed)) == 6 * 2 * K
    assert Outcome.VOID not in {outcome for _, _, _, outcome, _ in verdicts(undisturbed)}


def test_a_run_of_fewer_samples_holds_the_first_ones(words, undisturbed, tmp_path):
    complete(*with_k(words, 64), tmp_path / "run")
    assert samples(tmp_path / "run") == {each for each in samples(undisturbed) if each[2] < 64}


def test_ctrl_c_keeps_what_is_sampled_and_says_how_to_go_on(words, tmp_path):
    folder = tmp_path / "run"
    process = start(*with_k(words, 8 * K), folder)
    wait_for(lambda: list(folder.rglob("samples/**/part-*")), process)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert f"rlvr-harness resume {folder}" in errors
    assert "Traceback" not in errors
    assert len(samples(folder)) > 0
