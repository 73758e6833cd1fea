"""What is kept, for how long, and what counts as the same question."""

import threading
from dataclasses import replace

import pytest

from rlvr_sandbox.cache import Cache, Entry
from rlvr_sandbox.judge import Judge
from rlvr_sandbox.pool import Batch
from rlvr_sandbox.preparing import prepare
from rlvr_sandbox.records import Exit, Judgement, Limits, Ruling
from rlvr_sandbox.records import TestRun as Run

PASSED = Entry(Judgement(Ruling.PASS, "passed", 3, 0.1))


def test_one_program_is_run_once_for_one_task(fake, twice):
    backend = fake()
    with Judge(backend, workers=1) as judge:
        for _ in range(5):
            judge.judge("def f(x):\n    return 2 * x\n", twice)
    assert len(backend.boxes[0].programs) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"expected": [2, 11]},
        {"expected": [2, 10.0]},
        {"inputs": [[1], [6]]},
        {"entry": "g"},
        {"prelude": "import math\n"},
        {"oracle": "close"},
        {"settings": {"atol": 1e-3}},
        {"limits": Limits(cpu_s=1.0)},
        {"limits_s": [1.0, 2.0]},
    ],
)
def test_the_key_tells_tasks_apart(twice, change):
    assert prepare(twice).key("p", "3.11") != prepare(replace(twice, **change)).key("p", "3.11")


def test_the_key_tells_programs_and_interpreters_apart_and_nothing_else(twice):
    key = prepare(twice).key("p", "3.11")
    assert key == prepare(replace(twice, name="another name")).key("p", "3.11")
    assert len({key, prepare(twice).key("p ", "3.11"), prepare(twice).key("p", "3.12")}) == 3


@pytest.mark.parametrize(
    "ruling, reason, lasting",
    [
        (Ruling.PASS, "passed", True),
        (Ruling.FAIL, "wrong_answer", True),
        (Ruling.FAIL, "raised: SyntaxError", True),
        (Ruling.FAIL, "raised: ValueError", True),
        (Ruling.FAIL, "raised: MemoryError", False),
        (Ruling.FAIL, "timeout", False),
        (Ruling.FAIL, "memory", False),
        (Ruling.FAIL, "died", False),
        (Ruling.VOID, "sandbox_lost: pipe", False),
    ],
)
def test_only_what_would_come_out_again_is_kept(ruling, reason, lasting):
    cache = Cache()
    cache.get_or_run(b"k", lambda: Entry(Judgement(ruling, reason, 3, 0.0)))
    assert len(cache) == lasting


def test_a_timeout_is_judged_anew_each_time(fake, told, twice):
    backend = fake(told(Run(Exit.TIMEOUT, cpu_s=6.0)))
    with Judge(backend, workers=1) as judge:
        judge.judge("p", twice)
        judge.judge("p", twice)
    assert backend.boxes[0].programs == ["p", "p"]


def test_the_least_recently_used_verdict_goes_first():
    cache = Cache(2)
    for key in (b"a", b"b", b"a", b"c"):
        cache.get_or_run(key, lambda: PASSED)
    asked = []
    for key in (b"a", b"b"):
        cache.get_or_run(key, lambda key=key: asked.append(key) or PASSED)
    assert asked == [b"b"]


def test_equal_questions_at_the_same_time_share_one_run():
    cache, runs = Cache(0), []
    begun, go_on = threading.Event(), threading.Event()

    def run():
        runs.append(1)
        begun.set()
        assert go_on.wait(20)
        return PASSED

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(cache.get_or_run(b"k", run))) for _ in range(3)]
    threads[0].start()
    assert begun.wait(20)
    for thread in threads[1:]:
        thread.start()
    while cache.hits < 2:
        threading.Event().wait(0.01)
    go_on.set()
    for thread in threads:
        thread.join()
    assert (len(runs), answers) == (1, [PASSED] * 3)


def test_an_error_reaches_all_who_asked_and_is_not_kept():
    cache = Cache()
    with pytest.raises(ZeroDivisionError):
        cache.get_or_run(b"k", lambda: 1 / 0)
    assert cache.get_or_run(b"k", lambda: PASSED) is PASSED


def test_verdicts_of_a_bad_batch_are_dropped_and_no_longer_taken_in():
    cache, bad, good = Cache(), Batch(), Batch()
    cache.get_or_run(b"1", lambda: replace(PASSED, batch=bad))
    cache.get_or_run(b"2", lambda: replace(PASSED, batch=good))
    bad.good = False
    cache.drop(bad)
    cache.get_or_run(b"3", lambda: replace(PASSED, batch=bad))
    assert len(cache) == 1
