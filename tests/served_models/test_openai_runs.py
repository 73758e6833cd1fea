"""Whole runs with the `openai` sampler: the command line against a server on loopback."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rlvr_harness.run_reader import read_samples

SECRET = "sk-loopback-5f1c0a-secret"
MAIN = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]
PROBLEMS, K = 3, 16

pytestmark = pytest.mark.slow


def words(server, folder, *more):
    found = ["run", "--model", "tiny", "--sampler", "openai", "--tasks", "countdown", "--limit", PROBLEMS, "--k", K]
    args = f"base_url={server.url},n_per_request=4,concurrency=2,retry_wait=0.01,max_length=512"
    return [str(word) for word in (*found, "--model_args", args, "--workers", 1, "-o", folder, *more)]


def keys(folder):
    return sorted((sample.problem_id, sample.index) for sample in read_samples(folder, "countdown", "model"))


def wait_until(happened, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)


def test_a_run_ends_with_results_and_the_key_is_written_nowhere(serve, harness, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    done = harness(*words(serve(key=SECRET), tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert len(keys(tmp_path / "run")) == PROBLEMS * K
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["tasks"]["countdown"]["models"]["model"]["samples"] == PROBLEMS * K
    written = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert len(written) > 5
    assert [file for file in written if SECRET.encode() in file.read_bytes()] == []
    assert SECRET not in done.stdout + done.stderr


def used(folder):
    return {role: model["usage"] for role, model in json.loads((folder / "run.json").read_text())["models"].items()}


def test_use_adds_up_over_parts_of_a_run_and_notes_reach_the_results(serve, harness, tmp_path):
    server, folder = serve(refuses={"top_k": "unknown field 'top_k'"}), tmp_path / "run"
    prices = words(server, folder, "--base", "tiny")
    prices[prices.index("--model_args") + 1] += ",price_in=1000000,price_out=0"
    assert harness(*prices).returncode == 0
    first, answered = used(folder), len(server.bodies)
    assert sum(usage["requests"] for usage in first.values()) == answered
    assert all(usage["cost"] == usage["prompt_tokens"] > 0 for usage in first.values())
    done = harness("topup", folder, "--n", 2 * K)
    assert done.returncode == 0, done.stderr
    second = used(folder)
    assert sum(usage["requests"] for usage in second.values()) == len(server.bodies) > answered
    for role, usage in second.items():
        assert usage["cost"] == usage["prompt_tokens"] > first[role]["prompt_tokens"]
    results = json.loads((folder / "results.json").read_text())
    assert results["run"]["models"]["model"]["usage"] == second["model"]
    warnings = results["tasks"]["countdown"]["comparison"]["fairness"]["warnings"]
    for role in ("base", "model"):
        assert len([text for text in warnings if text.startswith(f"{role}: the server refuses top_k")]) == 1


def test_a_refused_key_is_not_repeated_to_the_user(serve, harness, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    done = harness(*words(serve(key="another"), tmp_path / "run"))
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stderr and SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_was_killed_is_completed_by_resume(serve, harness, tmp_path):
    server, folder = serve(delay_s=0.15), tmp_path / "run"
    command = [*MAIN, *words(server, folder, "--batch_size", "8")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(server.bodies) > 4, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(keys(folder)) < PROBLEMS * K
    server.behaviour.delay_s = 0.0
    done = harness("resume", folder)
    assert done.returncode == 0, done.stderr
    assert keys(folder) == sorted((id_, index) for id_ in {key[0] for key in keys(folder)} for index in range(K))
    assert len({key[0] for key in keys(folder)}) == PROBLEMS


def test_the_keyboard_ends_a_run_whose_server_hangs(serve, tmp_path):
    server = serve(delay_s=30.0)
    process = subprocess.Popen([*MAIN, *words(server, tmp_path / "run")], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: server.bodies, process)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=30)[1]
    assert time.monotonic() - asked < 10.0
    assert "resume" in errors and "Traceback" not in errors


def test_a_constant_seed_is_one_line(serve, harness, tmp_path):
    done = harness(*words(serve(seeds="constant"), tmp_path / "run", "--quiet"))
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert "same answer to every request" in done.stderr and "Traceback" not in done.stderr
