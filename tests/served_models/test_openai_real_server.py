"""The `openai` sampler against a server that others wrote: `transformers serve` with the embedded checkpoint.

The server comes with `pip install "transformers[serving]"`; without it these tests are skipped.
"""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import rlvr_harness
from rlvr_harness.run_reader import read_samples

NEEDED = ("fastapi", "uvicorn", "openai")
SERVE = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve"]
MAIN = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]
START_S = 240.0
"""The server imports torch and transformers before it listens, which takes a minute on a busy machine."""
PROBLEMS, K = 2, 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED),
        reason='no server to test with: pip install "transformers[serving]"',
    ),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The embedded base model, told to draw: `transformers serve` takes this from the checkpoint alone."""
    folder = tmp_path_factory.mktemp("served") / "base"
    shutil.copytree(Path(rlvr_harness.__file__).parent / "demo" / "base", folder)
    config = folder / "generation_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"do_sample": True, "top_k": 0}))
    return folder


@pytest.fixture(scope="module")
def address(checkpoint, tmp_path_factory):
    """Address of a running server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "serve.log"
    words = [*SERVE, str(checkpoint), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    try:
        deadline = time.monotonic() + START_S
        while not _listens(port):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _listens(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def command(address, checkpoint, folder):
    found = ["run", "--model", checkpoint, "--sampler", "openai", "--tasks", "countdown", "--limit", PROBLEMS, "--k", K]
    found += ["--model_args", f"base_url={address},concurrency=2,tokenizer={checkpoint},max_length=64", "-o", folder]
    return [*MAIN, *(str(word) for word in (*found, "--workers", 1, "--batch_size", 2))]


def keys(folder):
    return sorted((sample.problem_id, sample.index) for sample in read_samples(folder, "countdown", "model"))


def test_a_run_killed_on_the_way_is_completed_to_the_same_samples(address, checkpoint, tmp_path):
    left_alone, killed = tmp_path / "left_alone", tmp_path / "killed"
    done = subprocess.run(command(address, checkpoint, left_alone), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(keys(left_alone)) == PROBLEMS * K
    found = list(read_samples(left_alone, "countdown", "model"))
    assert len({sample.text for sample in found}) > 2
    assert all(0 < sample.n_tokens <= 64 for sample in found)

    process = subprocess.Popen(
        command(address, checkpoint, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(killed.glob("samples/*/*/part-*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = subprocess.run([*MAIN, "resume", str(killed)], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert keys(killed) == keys(left_alone)
