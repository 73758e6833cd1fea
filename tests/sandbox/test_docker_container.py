"""What containers are asked for, what is sent to them, and what is said where there is no engine."""

import json
import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest

from rlvr_sandbox.backends import docker_container, docker_pipes
from rlvr_sandbox.backends.docker_container import Plan, Size, arguments, jail_code, owner, remove_stale
from rlvr_sandbox.backends.docker_seccomp import NEEDED_TO_START, profile
from rlvr_sandbox.backends.docker_streams import AttachedStream
from rlvr_sandbox.errors import SandboxUnavailable
from rlvr_sandbox.image import contents
from rlvr_sandbox.jail import seccomp, wire
from rlvr_sandbox.records import Job, Limits, Style

pytest.importorskip("docker", reason="the docker SDK is not installed (extra `docker`)")

from rlvr_sandbox.backends.docker import DockerBackend, Engine

ROOT = Path(__file__).resolve().parents[2]
SIZE = Size(memory_mb=512, disk_mb=16, processes=32)


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
    (shown,) = arguments(Plan("img"), SIZE, 1000, {}, Path("/pipes"))["mounts"]
    assert (shown["Source"], shown["Target"], shown["ReadOnly"]) == ("/pipes", docker_pipes.INSIDE, True)


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
    assert SIZE.suits(Job(b"", Style.FUNCTION, [], [], [], limits)) is suits


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


def test_the_image_holds_the_interpreter_its_library_and_the_modules_and_nothing_else_that_is_installed():
    files = contents(["numpy"])
    stdlib = sysconfig.get_path("stdlib")
    assert files[os.path.realpath(sys.executable)] == Path(os.path.realpath(sys.executable))
    assert {f"{stdlib}/os.py", f"{stdlib}/site-packages/numpy/__init__.py"} <= set(files)
    assert any(Path(path).name.startswith("libc.so") for path in files)
    installed = {path.partition("site-packages/")[2].partition("/")[0] for path in files if "site-packages/" in path}
    assert installed <= {"numpy", "numpy.libs"}
