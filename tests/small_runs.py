"""A finished run of the embedded models in seconds, for what is done with runs afterwards."""

import shutil

import pytest

from rlvr_harness import app
from rlvr_harness.run_spec import parse_spec

OPTIONS = {"model": "demo/rlvr", "base": "demo/base", "tasks": "countdown", "k": 8, "n": 12, "limit": 6, "threads": 1}


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """12 samples of 6 Countdown problems by demo/base and demo/rlvr; not to be written."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    app.run(parse_spec({**OPTIONS, "output_path": str(folder)}), quiet=True)
    return folder


@pytest.fixture
def run_folder(finished_run, tmp_path):
    """A copy of the finished run, to be written."""
    return shutil.copytree(finished_run, tmp_path / "run")


__all__ = ["OPTIONS", "finished_run", "run_folder"]
