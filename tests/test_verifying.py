import importlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rlvr_harness.contracts import WorkLimits
from rlvr_harness.errors import TaskError
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample
from rlvr_harness.stages.verifying import VerifierPool

HERE = Path(__file__).parent
LIMITS = WorkLimits(wall_s=20.0, memory_mb=512)
PROBLEM = Problem("t", "p", "prompt", "gold")

STOPPABLE = """
from verifying_fakes import Scripted
from rlvr_harness.contracts import WorkLimits
from rlvr_harness.records import FinishReason, Problem, Sample
from rlvr_harness.stages.verifying import VerifierPool

def main():
    with VerifierPool(Scripted(WorkLimits(30.0, 512), "{log}")) as pool:
        pool.submit(Problem("t", "p", "", ""), [Sample("t", "m", "p", 0, 0, "hang", FinishReason.STOP, 1)])
        list(pool.drain())

"""


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("verifying_fakes").Scripted


def samples(*texts, finish_reason=FinishReason.STOP):
    return [Sample("t", "m", "p", index, 0, text, finish_reason, 1) for index, text in enumerate(texts)]


def verdicts(verifier, *texts, workers=1):
    with VerifierPool(verifier, workers) as pool:
        pool.submit(PROBLEM, samples(*texts))
        return sorted(pool.drain(), key=lambda verdict: verdict.index)


def outcomes(found):
    return [(verdict.outcome.value, verdict.reason) for verdict in found]


def calls(log):
    return [line.split()[0] for line in log.read_text().splitlines()]


def wait_until_gone(pids):
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
        assert time.monotonic() < deadline, f"still running: {pids}"
        time.sleep(0.05)


@pytest.mark.parametrize("limits", [None, LIMITS])
def test_equal_answers_are_verified_once(scripted, tmp_path, limits):
    log = tmp_path / "log"
    found = verdicts(scripted(limits, str(log)), "right", "wrong", "right", "right")
    assert outcomes(found) == [("right", "match"), ("wrong", "mismatch"), ("right", "match"), ("right", "match")]
    assert [verdict.index for verdict in found] == [0, 1, 2, 3]
    assert sorted(calls(log)) == ["right", "wrong"]


def test_answers_of_different_problems_are_verified_apart(scripted, tmp_path):
    log = tmp_path / "log"
    with VerifierPool(scripted(None, str(log))) as pool:
        for problem_id in ("a", "b"):
            pool.submit(
                Problem("t", problem_id, "", ""), [Sample("t", "m", problem_id, 0, 0, "right", FinishReason.STOP, 1)]
            )
        assert {verdict.problem_id for verdict in pool.drain()} == {"a", "b"}
    assert calls(log) == ["right", "right"]


def test_a_quick_verdict_starts_no_worker(scripted, tmp_path):
    log = tmp_path / "log"
    assert outcomes(verdicts(scripted(LIMITS, str(log)), "quick")) == [("wrong", "quick")]
    assert not log.exists()


def test_a_cheap_verifier_runs_in_this_process(scripted, tmp_path):
    log = tmp_path / "log"
    verdicts(scripted(None, str(log)), "right")
    assert log.read_text().split() == ["right", str(os.getpid())]


def test_a_costly_verifier_runs_elsewhere(scripted, tmp_path):
    log = tmp_path / "log"
    verdicts(scripted(LIMITS, str(log)), "right")
    assert log.read_text().split()[1] != str(os.getpid())


def test_a_call_out_of_time_is_tried_again_then_void(scripted, tmp_path):
    log = tmp_path / "log"
    found = verdicts(scripted(WorkLimits(wall_s=0.3, memory_mb=512), str(log)), "hang", "right")
    assert outcomes(found) == [("void", "verifier_timeout"), ("right", "match")]
    assert calls(log).count("hang") == 2


def test_a_call_out_of_time_is_tried_again_alone_after_all_others(scripted, tmp_path):
    log = tmp_path / "log"
    texts = ["hang 1", "hang 2", *(f"right {number}" for number in range(6))]
    verdicts(scripted(WorkLimits(wall_s=0.3, memory_mb=512), str(log)), *texts, workers=2)
    made = [line.rsplit(maxsplit=1)[0] for line in log.read_text().splitlines()]
    assert sorted(made[-2:]) == ["hang 1", "hang 2"]
    assert len(made) == 10


def test_a_dead_worker_is_void_and_the_others_are_not(scripted, tmp_path):
    log = tmp_path / "log"
    found = verdicts(scripted(LIMITS, str(log)), "right 1", "die", "right 2", "wrong", workers=2)
    assert outcomes(found) == [("right", "match"), ("void", "worker_lost"), ("right", "match"), ("wrong", "mismatch")]
    assert calls(log).count("die") == 2


def test_memory_above_the_limit_is_void(scripted):
    assert outcomes(verdicts(scripted(LIMITS), "bloat", "right")) == [("void", "verifier_error"), ("right", "match")]


@pytest.mark.parametrize("limits", [None, LIMITS])
def test_an_exception_is_void_and_named_once_in_one_line(scripted, caplog, limits):
    with caplog.at_level(logging.WARNING):
        found = verdicts(scripted(limits), "raise 1", "raise 2", "right")
    assert outcomes(found) == [("void", "verifier_error"), ("void", "verifier_error"), ("right", "match")]
    message = "verifier 'scripted' failed on p sample 0, verdict void: ZeroDivisionError: two lines"
    assert [record.getMessage() for record in caplog.records] == [message]


@pytest.mark.parametrize("limits", [None, LIMITS])
def test_what_is_not_a_verdict_is_void(scripted, limits):
    assert outcomes(verdicts(scripted(limits), "nonsense")) == [("void", "verifier_error")]


@pytest.mark.parametrize("limits", [None, LIMITS])
def test_a_fault_of_the_task_stops_the_run(scripted, limits):
    with pytest.raises(TaskError, match="lacks a field"):
        verdicts(scripted(limits), "refuse")


def test_a_sample_the_engine_failed_on_is_void(scripted):
    with VerifierPool(scripted()) as pool:
        pool.submit(PROBLEM, samples("right", finish_reason=FinishReason.ERROR))
        assert outcomes(pool.ready()) == [("void", "sampler_error")]


def test_a_pool_whose_idle_workers_died_starts_new_ones(scripted, tmp_path):
    log = tmp_path / "log"
    with VerifierPool(scripted(LIMITS, str(log))) as pool:
        pool.submit(PROBLEM, samples("right 1"))
        assert outcomes(pool.drain()) == [("right", "match")]
        worker = int(log.read_text().split()[2])
        os.kill(worker, signal.SIGKILL)
        wait_until_gone([worker])
        pool.submit(PROBLEM, samples("right 2", "wrong"))
        assert sorted(outcomes(pool.drain())) == [("right", "match"), ("wrong", "mismatch")]


def test_verdicts_do_not_depend_on_order_or_workers(scripted):
    texts = ["right 1", "wrong 1", "right 2", "wrong 2", "right 1"]
    one = {text: verdict.outcome for text, verdict in zip(texts, verdicts(scripted(LIMITS), *texts), strict=True)}
    backwards = texts[::-1]
    two = {t: v.outcome for t, v in zip(backwards, verdicts(scripted(LIMITS), *backwards, workers=2), strict=True)}
    assert one == two == {t: Outcome(t.split()[0]) for t in texts}


def test_submit_waits_while_too_much_is_under_way(scripted):
    texts = [f"right {number}" for number in range(200)]
    with VerifierPool(scripted(LIMITS)) as pool:
        pool.submit(PROBLEM, samples(*texts))
        assert len(pool.ready()) > 100
        assert len(list(pool.drain())) < 100


def test_leaving_the_pool_ends_its_workers(scripted, tmp_path):
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt), VerifierPool(scripted(LIMITS, str(log))) as pool:
        pool.submit(PROBLEM, samples("right", "hang"))
        while len(log.read_text().splitlines() if log.exists() else []) < 2:
            time.sleep(0.02)
        raise KeyboardInterrupt
    wait_until_gone([int(line.split()[1]) for line in log.read_text().splitlines()])


def test_workers_that_cannot_start_are_an_error_not_endless_voids(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(STOPPABLE.format(log="") + "main()\n")
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    found = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60)
    assert found.returncode == 1
    assert "VerifierLost: no worker of verifier 'scripted' starts" in found.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_program_leaves_no_workers(tmp_path, stop):
    log, script = tmp_path / "log", tmp_path / "guarded.py"
    script.write_text(STOPPABLE.format(log=log) + 'if __name__ == "__main__":\n    main()\n')
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    with subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL) as program:
        while not (log.exists() and log.read_text().endswith("\n")):
            assert program.poll() is None
            time.sleep(0.02)
        program.send_signal(stop)
        program.wait(timeout=30)
    wait_until_gone([int(log.read_text().split()[1])])
