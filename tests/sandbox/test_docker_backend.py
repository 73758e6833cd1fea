"""With a container engine at hand every promise of level 3: `.ci/docker_engine COMMAND` starts one around a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr_sandbox.backends import open_backend
from rlvr_sandbox.backends.docker_container import LABEL, owner, remove_stale
from rlvr_sandbox.backends.docker_streams import PipedStream
from rlvr_sandbox.conformance import CHECKS, Trial, attempt, values
from rlvr_sandbox.corpus import Corpus, summary
from rlvr_sandbox.jail import tagged
from rlvr_sandbox.records import Exit, Job, Limits, Style

docker_sdk = pytest.importorskip("docker", reason="the docker SDK is not installed (extra `docker`)")

from rlvr_sandbox.backends.docker import DockerBackend, Engine  # noqa: E402

ATTACKS = Path(__file__).resolve().parents[3] / "shared" / "attacks"


def job(program, limits=None, inputs=((1,),), cpu_s=2.0):
    data = [tagged.encode(list(values), 1 << 20) for values in inputs]
    return Job(
        program.encode(), Style.FUNCTION, data, [cpu_s] * len(data), [1 << 20] * len(data), limits or Limits(), "f"
    )


@pytest.fixture(scope="module")
def backend():
    """The suite's own reason is told where there is no engine."""
    made = DockerBackend()
    found = made.isolation()
    if found.level == 0:
        pytest.skip(os.environ.get("DOCKER_ENGINE_REASON") or f"docker: {'; '.join(found.missing)}")
    return made


@pytest.fixture(scope="module")
def client(backend):
    made = docker_sdk.from_env()
    yield made
    made.close()


def ours(client):
    found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [container for container in found if container.labels[LABEL] == owner()]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name.replace(" ", "-"))
def test_the_container_keeps_every_promise(backend, check):
    assert backend.isolation().level == 3
    assert check.run(backend) == ""


def test_on_this_machine_the_stream_goes_past_the_engine(backend):
    box = backend.open()
    try:
        assert isinstance(box.inner._stream, PipedStream)
    finally:
        box.close()


def test_an_image_that_is_not_there_names_the_command_that_builds_it(backend):
    assert "rlvr_sandbox.image" in DockerBackend(Engine(image="rlvr-none")).isolation().advice


def test_a_container_killed_in_mid_run_is_lost_and_leaves_nothing(backend, client):
    box = backend.open()
    seen = []
    (container,) = ours(client)

    def accept(index, run):
        seen.append(run.exit)
        if index == 0:
            container.kill("KILL")
        return True

    box.run(job("import time\ndef f(x):\n time.sleep(x)\n return x", inputs=[(0,), (30,)], cpu_s=20.0), accept)
    assert (seen, box.alive) == ([Exit.RETURNED, Exit.LOST], False)
    box.close()
    assert ours(client) == []


def test_closing_removes_the_container_and_may_be_done_twice(backend, client):
    box = backend.open()
    assert len(ours(client)) == 1
    box.close()
    box.close()
    assert ours(client) == []


def test_a_judge_that_is_killed_leaves_no_container(backend, client, tmp_path):
    program = (
        "import os, signal\nfrom rlvr_sandbox.backends.docker import DockerBackend\n"
        "from rlvr_sandbox.backends.docker_container import owner\n"
        "box = DockerBackend().open()\nprint(owner(), flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    dead = done.stdout.strip()
    assert dead
    remove_stale(client)
    left = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    assert dead not in [container.labels[LABEL] for container in left]


def test_a_job_of_other_limits_gets_a_container_of_its_size(backend, client):
    box = backend.open()
    runs = []
    program = "import os\ndef f(x):\n s = os.statvfs('/tmp')\n return s.f_blocks * s.f_frsize"
    for disk_mb in (64, 8):
        box.run(job(program, Limits(disk_mb=disk_mb)), lambda _, run: runs.append(run) is None)
    assert values(runs) == [64 << 20, 8 << 20]
    assert len(ours(client)) == 1
    box.close()


def test_strict_makes_a_container_for_each_program(backend):
    box = open_backend("docker-strict").open()
    assert box.alive
    box.run(job("def f(x): return x"), lambda *_: True)
    assert not box.alive
    box.close()


_NEST = """
import os
def f(x):
    os.mkdir("/tmp/a")
    os.chdir("/tmp/a")
    for _ in range(3000):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    open("x", "w").close()
    os.chmod(".", 0)
    os.chmod("/tmp/a", 0)
"""
_LEAVE = """
import os
def f(x):
    found = os.listdir("/tmp") + os.listdir("/dev/shm")
    for path in ("/tmp/z", "/dev/shm/z"):
        open(path, "w").close()
        os.chmod(path, 0)
    os.symlink("/etc", "/tmp/l")
    os.mkfifo("/tmp/p")
    return found
"""


def test_whatever_a_program_leaves_behind_the_next_one_finds_nothing(backend):
    runs = attempt(backend, Trial(_NEST, cpu_s=5.0), Trial(_LEAVE), Trial(_LEAVE))
    assert [values(run) for run in runs] == [[None], [[]], [[]]]


@pytest.mark.slow
@pytest.mark.skipif(not ATTACKS.is_dir(), reason="the attack corpus does not lie beside the checkout")
def test_no_attack_of_the_corpus_succeeds_in_a_container(backend):
    counts = summary(list(Corpus(ATTACKS).run("docker", 3)))
    assert {name: counts[name] for name in ("accepted", "refused", "void", "not_contained")} == {
        "accepted": 0,
        "refused": 0,
        "void": 0,
        "not_contained": 0,
    }
