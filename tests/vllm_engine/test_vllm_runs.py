"""Whole runs with `--sampler vllm`, through the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

ENGINE = "dtype=float32,max_num_seqs=32,kv_cache_memory_bytes=268435456"
PROGRAM = "from rlvr_harness.cli import main; main()"


@pytest.fixture
def words(checkpoint, tmp_path):
    """words(n, limit) -> the arguments of a run of two tiny models on Countdown."""

    def make(n, limit):
        models = ["--model", checkpoint(1), "--base", checkpoint(2)]
        law = "temperature=1,top_p=1,max_gen_toks=16"
        sizes = ["--tasks", "countdown", "--plan", "fixed", "--k", n, "--limit", limit]
        rest = ["--sampler", "vllm", "--model_args", ENGINE, "--gen_kwargs", law, "-o", tmp_path / "run"]
        return [str(word) for word in ("run", *models, *sizes, *rest)]

    return make


def stored(folder, model):
    """(problem_id, index) -> text of every stored sample; an index that is stored twice fails."""
    rows = [row for part in sorted((folder / "samples/countdown" / model).glob("part-*.parquet")) for row in read(part)]
    found = {(row["problem_id"], row["index"]): row["text"] for row in rows}
    assert len(found) == len(rows)
    return found


def read(part):
    return pq.read_table(part, columns=["problem_id", "index", "text"]).to_pylist()


def test_a_run_samples_verifies_and_reports(harness, words, tmp_path):
    done = harness(*words(n=16, limit=3))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run/results.json").read_text())
    for model in ("base", "model"):
        counted = results["tasks"]["countdown"]["models"][model]
        assert (counted["samples"], counted["void"]) == (48, 0)
        assert len(set(stored(tmp_path / "run", model).values())) > 24
    assert (tmp_path / "run/report.html").is_file()


def test_a_killed_run_is_completed_to_the_same_samples(harness, words, tmp_path):
    arguments = words(n=256, limit=6)
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 240
        while not list((tmp_path / "run/samples").rglob("part-*.parquet")):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    before = {model: stored(tmp_path / "run", model) for model in ("base", "model")}
    assert 0 < sum(map(len, before.values())) < 2 * 6 * 256
    done = harness("resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    for model in ("base", "model"):
        after = stored(tmp_path / "run", model)
        problems = {problem for problem, _ in after}
        assert len(problems) == 6
        assert set(after) == {(problem, index) for problem in problems for index in range(256)}
        assert {key: after[key] for key in before[model]} == before[model]
