"""Control groups: found in both versions' layouts, and kept by the kernel where this user may make them."""

import subprocess
import sys
from pathlib import Path

import pytest

from rlvr_sandbox.control_groups import ControlGroup, hierarchies

V1 = "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\ncgroup /sys/fs/cgroup/m cgroup rw,relatime,memory 0 0\n"
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"


def test_version_1_has_a_tree_for_each_controller():
    own = "8:pids:/a\n4:memory:/b/c\n0::/\n"
    assert hierarchies(V1, own) == {"pids": Path("/sys/fs/cgroup/pids/a"), "memory": Path("/sys/fs/cgroup/m/b/c")}


def test_version_2_has_one_tree():
    assert set(hierarchies(V2, "0::/user.slice/x\n").values()) == {Path("/sys/fs/cgroup/user.slice/x")}


def test_version_1_goes_before_an_empty_tree_of_version_2():
    assert hierarchies(V2 + V1, "8:pids:/\n4:memory:/\n0::/\n")["pids"] == Path("/sys/fs/cgroup/pids")


def test_nothing_is_found_where_nothing_is_mounted():
    assert hierarchies("tmpfs /tmp tmpfs rw 0 0\n", "0::/\n") == {}


@pytest.fixture
def group():
    made = ControlGroup.make()
    if made is None or "cgroup_pids" not in made.mechanisms:
        pytest.skip("this user may make no control group here")
    yield made
    made.remove()


def test_the_kernel_bounds_the_processes_of_a_group_and_it_can_be_taken_away(group):
    group.limit(processes=2, memory_mb=256)
    program = (
        "import os, sys, time\nsys.stdin.readline()\nmade = 0\ntry:\n    while made < 100:\n"
        "        if os.fork() == 0:\n            time.sleep(20)\n            os._exit(0)\n        made += 1\n"
        "except OSError:\n    pass\nprint(made, flush=True)\nos.killpg(0, 9)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    group.add(child.pid)
    printed, _ = child.communicate("go\n", timeout=20)
    assert int(printed) == 9
    folders = list(group._folders.values())
    group.remove()
    assert not any(folder.exists() for folder in folders)
