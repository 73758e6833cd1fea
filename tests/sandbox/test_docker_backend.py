"""What containers are asked for, what is said where there is no engine, and with one every promise of the level."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rlvr_sandbox.backends import docker_container
from rlvr_sandbox.backends.docker_container import AttachedStream, Plan, Size, arguments, jail_code, owner, remove_stale
from rlvr_sandbox.backends.docker_seccomp import NEEDED_TO_START, profile
from rlvr_sandbox.box import Isolation
from rlvr_sandbox.conformance import CHECKS, Trial, attempt, values
from rlvr_sandbox.corpus import Corpus, summary
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.jail import seccomp, tagged, wire
from rlvr_sandbox.records import Exit, Job, Limits, Style

docker_sdk = pytest.importorskip("docker", reason="the docker SDK is not installed (extra `docker`)")

from rlvr_sandbox.backends.docker import DockerBackend, Engine  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = ROOT.parent / "shared" / "attacks"
SIZE = Size(memory_mb=512, disk_mb=16, processes=32)


def job(program, limits=None, inputs=((1,),), cpu_s=2.0):
    data = [tagged.encode(list(values), 1 << 20) for values in inputs]
    return Job(
        program.encode(), Style.FUNCTION, data, [cpu_s] * len(data), [1 << 20] * len(data), limits or Limits(), "f"
    )


def asked(plan=None):
    return arguments(plan or Plan("img"), SIZE, 1000, {"a": "b"})


def test_a_container_has_no_network_no_rights_and_nothing_to_write_but_two_bounded_folders():
    given = asked()
    assert (given["network_mode"], given["read_only"], given["user"]) == ("none", True, "0:0")
    assert (given["cap_drop"], given["cap_add"]) == (["ALL"], ["SETUID", "SETGID", "KILL"])
    assert "no-new-privileges:true" in given["security_opt"]
    assert given["tmpfs"]["/tmp"] == "size=16m,mode=1777,nr_inodes=16384"
    assert set(given["tmpfs"]) == {"/tmp", docker_container.SCRATCH}
    assert not {"volumes", "mounts", "privileged", "devices", "pid_mode"} & set(given)


def test_a_container_is_bounded_a_little_above_its_programs():
    given = asked()
    assert (given["mem_limit"], given["memswap_limit"]) == ("800m", "800m")  # 512 + 16 + 16 of /dev/shm + 256 of ours
    assert given["pids_limit"] == 40
    assert {u.name: (u.soft, u.hard) for u in given["ulimits"]} == {
        "nofile": (1024, 1024),
        "nproc": (256, 256),
        "core": (0, 0),
    }


def test_a_container_ends_with_the_judge_and_logs_nothing():
    given = asked()
    assert (given["stdin_open"], given["auto_remove"], given["log_config"].type) == (True, True, "none")
    assert given["environment"] == {"PYTHONHASHSEED": "0"}


def test_runtime_and_profile_are_passed_as_the_plan_says():
    assert asked()["runtime"] is None
    assert asked(Plan("img", runtime="runsc"))["runtime"] == "runsc"
    assert json.loads(asked()["security_opt"][1].removeprefix("seccomp=")) == profile()
    assert asked(Plan("img", own_profile=False))["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize(
    "limits, suits",
    [
        (Limits(memory_mb=512, disk_mb=16, processes=32), True),
        (Limits(memory_mb=100, disk_mb=16, processes=1), True),
        (Limits(memory_mb=513, disk_mb=16), False),
        (Limits(memory_mb=512, disk_mb=16, processes=33), False),
        (Limits(memory_mb=512, disk_mb=15), False),
    ],
)
def test_a_container_suits_jobs_of_its_disk_and_no_more_memory_or_processes(limits, suits):
    assert SIZE.suits(job("", limits)) is suits


def test_the_profile_is_made_of_the_programs_deny_list():
    rules = profile()["syscalls"]
    plain = {rule["errnoRet"]: set(rule["names"]) for rule in rules if "args" not in rule}
    assert plain == {1: set(seccomp.DENIED) - {"execve"}, 38: set(seccomp.ABSENT) - {"memfd_create"}}
    assert NEEDED_TO_START == ("execve", "memfd_create")
    bits = [rule["args"][0]["value"] for rule in rules if rule["names"] == ["clone"]]
    assert sum(bits) == seccomp.NEW_NAMESPACES and all(bit.bit_count() == 1 for bit in bits)
    assert profile()["defaultAction"] == "SCMP_ACT_ALLOW"


def test_the_profile_file_is_the_profile():
    text = (ROOT / "sandbox" / "seccomp.json").read_text()
    assert json.loads(text) == profile(), "run: python -m rlvr_sandbox.backends.docker_seccomp > sandbox/seccomp.json"


def test_the_jails_code_is_importable_by_a_python_that_has_nothing_else(tmp_path):
    (tmp_path / "jail.zip").write_bytes(jail_code())
    program = "import sys; sys.path = [p for p in sys.path if 'python3' in p] + [sys.argv[1]]; from jail import zygote"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "jail.zip")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_attached_stream_is_unwrapped_whatever_the_pieces():
    read, write = os.pipe()
    message = wire.frame(b"H", b"hello") + wire.frame(b"D", b"")
    wrapped = b"".join(
        bytes([kind, 0, 0, 0]) + len(part).to_bytes(4, "big") + part
        for kind, part in [(1, message[:3]), (2, b"Traceback"), (1, b""), (1, message[3:])]
    )
    stream = AttachedStream(read)
    writer = threading.Thread(target=lambda: [os.write(write, wrapped[i : i + 1]) for i in range(len(wrapped))])
    writer.start()
    assert stream.receive(10.0) == (b"H", b"hello")
    assert stream.receive(10.0) == (b"D", b"")
    writer.join()
    os.close(write)
    assert stream.words == "Traceback"
    with pytest.raises(wire.Broken, match="gone"):
        stream.receive(10.0)
    stream.close()


class FakeContainer:
    def __init__(self, label):
        self.labels, self.removed = {docker_container.LABEL: label}, False

    def remove(self, force, v):
        self.removed = True


class FakeClient:
    def __init__(self, *labels):
        self.all = [FakeContainer(label) for label in labels]
        self.containers = self

    def list(self, **_):
        return self.all


def test_only_containers_of_dead_judges_of_this_machine_are_removed():
    realm, pid, _ = owner().split("/")
    client = FakeClient(owner(), f"{realm}/{pid}/1", f"{realm}/4194999/7", "another machine/1/1", "")
    remove_stale(client)
    assert [container.removed for container in client.all] == [False, True, True, False, False]


def test_without_an_engine_the_reason_and_the_way_out_are_told(tmp_path):
    backend = DockerBackend(Engine(base_url=f"unix://{tmp_path}/none.sock"))
    found = backend.isolation()
    assert found.level == 0 and "no engine answers" in found.missing[0]
    assert "DOCKER_HOST" in found.advice
    with pytest.raises(SandboxUnavailable, match=r"no engine answers.*DOCKER_HOST"):
        backend.open()


def test_without_the_sdk_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "docker", None)
    found = DockerBackend().isolation()
    assert (found.level, "docker SDK" in found.missing[0]) == (0, True)
    assert 'pip install "rlvr-harness[docker]"' in found.advice


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1:notaport", "ftp://x"])
def test_an_address_that_is_none_is_no_crash(address):
    assert DockerBackend(Engine(base_url=address)).isolation().level == 0


# From here on with an engine: .ci/docker_engine starts one.


@pytest.fixture(scope="module")
def backend():
    """The suite's own reason is told where there is no engine."""
    made = DockerBackend()
    found: Isolation = made.isolation()
    if found.level == 0:
        pytest.skip(os.environ.get("DOCKER_ENGINE_REASON") or f"docker: {'; '.join(found.missing)}")
    return made


@pytest.fixture(scope="module")
def client(backend):
    made = docker_sdk.from_env()
    yield made
    made.close()


def ours(client):
    found = client.containers.list(all=True, filters={"label": docker_container.LABEL}, ignore_removed=True)
    return [container for container in found if container.labels[docker_container.LABEL] == owner()]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name.replace(" ", "-"))
def test_the_container_keeps_every_promise(backend, check):
    assert backend.isolation().level == 3
    assert check.run(backend) == ""


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
    left = client.containers.list(all=True, filters={"label": docker_container.LABEL}, ignore_removed=True)
    assert dead not in [container.labels[docker_container.LABEL] for container in left]


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
    box = DockerBackend(Engine(strict=True)).open()
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
