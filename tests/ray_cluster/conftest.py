"""Fixtures of the tests with a real Ray, which are skipped where it is not installed; see .ci/ray_environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
# The fakes are modules of their own, since Ray's actors import them by name.
sys.path[:0] = [path for path in (str(HERE), str(HERE.parent)) if path not in sys.path]
MAIN = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]


def pytest_collection_modifyitems(items):
    """Deprecations inside Ray are not ours to mend."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("default"))
            if importlib.util.find_spec("ray") is None and "without_ray" not in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs ray: make an environment with .ci/ray_environment"))


def pytest_configure(config):
    config.addinivalue_line("markers", "without_ray: runs where ray is not installed too")


@pytest.fixture(scope="session")
def workers_path():
    """The environment of programs whose Ray actors load this checkout and the fakes of these tests."""
    paths = [ROOT, ROOT / "plugins", ROOT / "sandbox", ROOT / "tests", HERE]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


@pytest.fixture
def run(workers_path):
    """run(*words) -> the finished process of `rlvr-harness`."""

    def call(*words, timeout=240):
        command = [*MAIN, *map(str, words)]
        return subprocess.run(
            command,
            **{"env": workers_path, "text": True, "timeout": timeout, "stdin": subprocess.DEVNULL},
            capture_output=True,
            check=False,
        )

    return call


@pytest.fixture
def start(workers_path):
    """start(*words) -> the process of `rlvr-harness` in a group of its own, output as text."""
    begun = []

    def call(*words):
        process = subprocess.Popen(
            [*MAIN, *map(str, words)],
            **{"env": workers_path, "text": True, "stdin": subprocess.DEVNULL, "start_new_session": True},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        begun.append(process)
        return process

    yield call
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def cluster(workers_path):
    """A Ray in this process, with two CPUs and the fakes of these tests within reach of its actors."""
    import ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = workers_path["PYTHONPATH"]
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200 * 2**20,
    )
    yield ray
    ray.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
