"""Time that the judge takes over an answer is not the program's."""

import time

import pytest

from rlvr_sandbox.backends import open_backend
from rlvr_sandbox.jail import tagged
from rlvr_sandbox.records import Exit, Job, Limits, Style

# One answer fills every pipe on the way to the judge.
PROGRAM = b"def f(x):\n    return 'x' * 3_000_000\n"
LIMITS = Limits(cpu_s=0.2, wall_factor=1.0, wall_slack_s=0.5)


def test_a_program_is_not_charged_for_a_judge_that_is_slow_to_take_its_answers():
    backend = open_backend("local")
    if backend.isolation().level == 0:
        pytest.skip("no local sandbox on this system")
    inputs = [tagged.encode([number], 100) for number in range(4)]
    job = Job(PROGRAM, Style.FUNCTION, inputs, [0.2] * 4, [1 << 23] * 4, LIMITS, entry="f")
    exits = []

    def accept(index, run):
        exits.append(run.exit)
        time.sleep(1.0)  # as decoding some megabytes does on a busy machine; the program's wall time is 0.7 s
        return True

    box = backend.open()
    try:
        box.run(job, accept)
    finally:
        box.close()
    assert exits == [Exit.RETURNED] * 4
