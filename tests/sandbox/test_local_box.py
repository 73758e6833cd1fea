"""A box on this machine: what is left after failures, how it wears out, and what it says where it cannot work."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest

from rlvr_sandbox.backends.local import LocalBackend, open_zygote, zygote_command
from rlvr_sandbox.conformance import survivors, values
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.jail import tagged
from rlvr_sandbox.records import Exit, Job, Limits, Style

SANDBOX = Path(__file__).resolve().parents[2] / "sandbox"


@pytest.fixture(scope="module")
def backend():
    made = LocalBackend()
    if made.isolation().level < 3:
        pytest.skip(f"no namespaces here: {'; '.join(made.isolation().missing)}")
    return made


@pytest.fixture
def box(backend):
    made = backend.open()
    yield made
    made.close()


def job(program, inputs=((1,),), style=Style.FUNCTION, cpu_s=2.0, **limits):
    encoded = [i if style is Style.STDIN else tagged.encode(list(i), 1 << 20) for i in inputs]
    caps = [1 << 20] * len(encoded)
    return Job(program.encode(), style, encoded, [cpu_s] * len(encoded), caps, Limits(**limits), "f")


def run(box, *arguments, **options):
    runs = []
    box.run(job(*arguments, **options), lambda _, seen: runs.append(seen) is None)
    return runs


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


MARKED = "import ctypes, os, time\nctypes.CDLL(None).prctl(15, b'rlvrcheck', 0, 0, 0)\n"
SPAWNING = MARKED + "for _ in range(3):\n if os.fork() == 0:\n  os.setsid()\n  time.sleep(60)\ndef f(x): time.sleep(60)"


@pytest.mark.parametrize("which", ["the process that was started", "the zygote", "the forking process"])
def test_killing_any_process_of_the_box_loses_the_job_and_leaves_nothing(backend, which):
    box = backend.open()
    zygote = children(box.worker.pid)[0]
    pids = {"the process that was started": box.worker.pid, "the zygote": zygote}
    victim = pids.get(which) or children(zygote)[0]
    killer = threading.Timer(0.1, os.kill, (victim, signal.SIGKILL))
    killer.start()
    runs = run(box, SPAWNING, cpu_s=20.0)
    killer.join()
    assert [r.exit for r in runs] == [Exit.LOST]
    assert not box.alive
    assert survivors() == []


def test_a_lost_box_loses_the_next_job_too(box):
    box.close()
    box.close()
    assert [r.exit for r in run(box, "def f(x): return x")] == [Exit.LOST]


def test_a_box_is_worn_out_after_its_programs():
    box = LocalBackend(programs=2).open()
    run(box, "def f(x): return x")
    assert box.alive
    run(box, "def f(x): return x")
    assert not box.alive
    box.close()


def test_sixty_programs_leave_no_descriptor_process_or_mount(box):
    zygote = children(box.worker.pid)[0]

    def seen():
        mounts = len(Path(f"/proc/{zygote}/mounts").read_text().splitlines())
        forker = children(zygote)
        return mounts, forker, [len(list(Path(f"/proc/{p}/fd").iterdir())) for p in (os.getpid(), zygote, *forker)]

    run(box, "def f(x): return x")
    before = seen()
    for program in ("def f(x): return x", SPAWNING.replace("def f(x): time.sleep(60)", "def f(x): 1 / 0")) * 30:
        run(box, program)
    assert seen() == before
    assert survivors() == []


def test_a_failed_test_is_the_last_one_run(box):
    runs = run(box, "def f(x): return 1 // x", [(1,), (0,), (1,)])
    assert [r.exit for r in runs] == [Exit.RETURNED, Exit.RAISED]
    assert runs[1].detail == "ZeroDivisionError"


def test_cpu_time_of_all_tests_together_is_bounded(box):
    spin = "import time\ndef f(x):\n until = time.process_time() + 0.3\n while time.process_time() < until: pass"
    runs = run(box, spin, [(1,)] * 5, total_cpu_s=0.8)
    assert [r.exit for r in runs] == [Exit.RETURNED, Exit.RETURNED, Exit.TIMEOUT]


def test_cpu_time_of_scripts_adds_up_over_the_tests(box):
    spin = "import time\nwhile time.process_time() < 0.3: pass"
    runs = run(box, spin, [b""] * 5, Style.STDIN, total_cpu_s=0.8)
    assert [r.exit for r in runs] == [Exit.RETURNED, Exit.RETURNED, Exit.TIMEOUT]


def test_sleeping_costs_no_cpu_time(box):
    (slept,) = run(box, "import time\ndef f(x): time.sleep(0.3)", cpu_s=0.2)
    assert slept.exit is Exit.RETURNED
    assert slept.wall_s >= 0.25  # the supervisor hears of the start a moment after it
    assert slept.cpu_s < 0.1


def test_every_program_gets_the_same_order_of_sets(backend, box):
    program = "def f(x): return list({'a', 'b', 'c', 'd', 'e', 'f'})"
    other = backend.open()
    try:
        assert values(run(box, program)) == values(run(other, program))
    finally:
        other.close()


def test_random_numbers_differ_between_programs(box):
    program = "import random\ndef f(x): return random.random()"
    assert values(run(box, program)) != values(run(box, program))


def test_numpy_is_there_and_other_packages_are_not(box):
    assert values(run(box, "import numpy\ndef f(x): return int(numpy.arange(4).sum())")) == [6]
    assert run(box, "import pytest\ndef f(x): return 1")[0].detail == "ModuleNotFoundError"
    # Folders of installed packages may hold data sets with their answers.
    look = "import os\ndef f(p): return os.listdir(p) if os.path.exists(p) else []"
    folders = [(str(Path(os.__file__).parent / "site-packages"),), (sysconfig.get_path("purelib"),)]
    assert values(run(box, look, folders)) == [[], []]


def test_a_signal_is_named_in_the_detail(box):
    (crashed,) = run(box, "import ctypes\ndef f(x): ctypes.string_at(0)")
    assert (crashed.exit, crashed.detail) == (Exit.DIED, f"signal {signal.SIGSEGV.value}")


LEVEL = "from rlvr_sandbox.backends.local import LocalBackend as B\n"
LEVEL += "i = B().isolation()\nprint(i.level, i.missing, i.advice)"


def isolation_as(*prefix):
    """What the backend says of itself under another python, started through `prefix`."""
    python = "/usr/bin/python3"
    shown = subprocess.run([python, "-c", "import enum; enum.StrEnum"], check=False, capture_output=True)
    if shown.returncode:
        pytest.skip("needs a Python 3.11 at /usr/bin/python3 that every user can read")
    environment = {"PYTHONPATH": str(SANDBOX), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*prefix, python, "-c", LEVEL], check=True, capture_output=True, text=True, env=environment)
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user")
def test_an_ordinary_user_gets_level_3_as_well(backend):
    try:
        said = isolation_as("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"another user cannot read this checkout: {error.stderr[-200:]}")
    assert said.startswith("3 ")


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare of util-linux")
def test_without_namespaces_the_level_is_lower_and_says_why(backend):
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    said = isolation_as("unshare", "-Ur", "sh", "-c", forbid, "sh")
    assert int(said[0]) < 3
    assert "namespaces: " in said
    assert "`docker` backend" in said


def test_on_another_system_the_docker_backend_is_named(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    isolation = LocalBackend().isolation()
    assert isolation.level == 0
    assert "`docker` backend" in isolation.missing[0]


def test_an_error_in_the_judge_ends_the_box_and_is_not_swallowed(box):
    def fail(index, seen):
        raise ZeroDivisionError("the judge's own")

    with pytest.raises(ZeroDivisionError, match="the judge's own"):
        box.run(job("def f(x): return x", [(1,), (2,)]), fail)
    assert not box.alive


def test_what_keeps_a_zygote_from_starting_is_told(backend):
    with pytest.raises(SandboxUnavailable, match=r"did not start.*No module named 'jail'"):
        open_zygote([*zygote_command()[:-1], "/nowhere"], {"confinement": "namespaces"}, 1)


def test_a_preloaded_module_costs_the_program_no_import():
    box = LocalBackend(preload=["numpy"]).open()
    try:
        assert values(run(box, "import sys\nhad = 'numpy' in sys.modules\ndef f(x): return had")) == [True]
    finally:
        box.close()


@pytest.mark.parametrize("preload", [(), ("json",)], ids=["bare fork", "fork with hooks"])
def test_two_programs_do_not_draw_the_same_random_numbers(backend, preload):
    box = LocalBackend(preload=preload).open()
    try:
        drawn = [values(run(box, "import random\ndef f(x):\n    return random.random()")) for _ in range(2)]
    finally:
        box.close()
    assert drawn[0] != drawn[1] and all(0 <= numbers[0] < 1 for numbers in drawn)


def test_each_program_has_the_limits_of_its_own_job_up_and_down(box):
    program = "import resource\ndef f(x):\n    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]"
    seen = [values(run(box, program, open_files=files))[0] for files in (64, 64, 128, 32, 64)]
    assert seen == [64, 64, 128, 32, 64]


def test_one_box_takes_functions_and_scripts_by_turns(box):
    for _ in range(2):
        assert values(run(box, "def f(x):\n    return x + 1")) == [2]
        (ran,) = run(box, "print(int(input()) + 1)", [b"4"], style=Style.STDIN)
        assert (ran.exit, ran.output) == (Exit.RETURNED, b"5\n")


@pytest.mark.parametrize("style", list(Style))
def test_a_program_cannot_sleep_through_all_of_its_tests(box, style):
    function, script = "import time\ndef f(x): time.sleep(0.4)", "import time\ntime.sleep(0.4)"
    inputs = [(1,)] * 9 if style is Style.FUNCTION else [b""] * 9
    program = function if style is Style.FUNCTION else script
    runs = run(box, program, inputs, style, cpu_s=0.9, total_cpu_s=1.0, wall_factor=1.0, wall_slack_s=0.1)
    assert 2 <= len(runs) <= 5
    assert [seen.exit for seen in runs] == [Exit.RETURNED] * (len(runs) - 1) + [Exit.TIMEOUT]


def test_a_program_that_is_given_no_processor_is_not_out_of_time(backend):
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # for the box and the processes that keep it waiting
    hog = [sys.executable, "-c", "while True: pass"]
    # In sessions of their own: the kernel may share out a core by sessions first.
    hogs = [subprocess.Popen(hog, start_new_session=True) for _ in range(5)]
    try:
        box = backend.open()
        try:
            spin = "import time\ndef f(x):\n    while time.process_time() < 0.5: pass"
            (seen,) = run(box, spin, cpu_s=1.0, wall_factor=1.0, wall_slack_s=0.0)
        finally:
            box.close()
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        os.sched_setaffinity(0, cores)
    assert (seen.exit, seen.wall_s > 1.0) == (Exit.RETURNED, True)
