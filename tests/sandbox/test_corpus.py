"""The two commands: their one-line errors, what they find, and the whole corpus where it lies beside the checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr_sandbox.backends.local import LocalBackend
from rlvr_sandbox.corpus import Corpus
from rlvr_sandbox.errors import TaskInvalid

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = ROOT.parent / "shared" / "attacks"
TASKS = {
    "twice": {"style": "function", "entry": "f", "oracle": "equal", "inputs": [[1], [5]], "expected": [2, 10]},
    "secret": {"style": "function", "entry": "f", "inputs": [[]], "expected": ["@SECRET@"]},
}
RIGHT = "def f(x):\n    return 2 * x\n"


def run(*arguments, cwd=None):
    """The finished process of `python -m rlvr_sandbox`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "sandbox"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "rlvr_sandbox", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)


@pytest.fixture
def folder(tmp_path):
    """folder(**{name: (kind, expect, source)}) -> a corpus folder with the task `twice`, or `secret` by the name."""

    def make(**programs):
        rows = []
        for name, (kind, expect, source) in programs.items():
            (tmp_path / f"{name}.py").write_text(source)
            rows.append(
                {
                    "file": f"{name}.py",
                    "kind": kind,
                    "task": "secret" if "secret" in name else "twice",
                    "expect": expect,
                }
            )
        (tmp_path / "manifest.json").write_text(json.dumps({"programs": rows}))
        (tmp_path / "tasks.json").write_text(json.dumps({"tasks": TASKS}))
        return tmp_path

    return make


@pytest.fixture(scope="module")
def confined():
    isolation = LocalBackend().isolation()
    if isolation.level < 3:
        pytest.skip(f"no namespaces here: {'; '.join(isolation.missing)}")


def one_line_error(done, status, *words):
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), done.stderr
    assert all(word in done.stderr for word in ("error: ", *words)), done.stderr


def test_usage_errors_are_one_line_and_exit_2(folder):
    tasks = folder(good=("correct", "pass", RIGHT)) / "tasks.json"
    program = tasks.with_name("good.py")
    one_line_error(run(), 2, "check|corpus")
    one_line_error(run("check", program), 2, "--task")
    one_line_error(run("check", "gone.py", "--task", "twice", "--tasks", tasks), 2, "gone.py cannot be read")
    one_line_error(run("check", program, "--task", "thrice", "--tasks", tasks), 2, "no task 'thrice'", "twice, secret")
    one_line_error(run("check", program, "--task", "twice", "--tasks", program), 2, "not JSON")
    one_line_error(run("corpus", "nowhere"), 2, "nowhere/tasks.json cannot be read")


def test_an_unknown_backend_is_one_line_and_exits_1(folder):
    tasks = folder(good=("correct", "pass", RIGHT)) / "tasks.json"
    done = run("check", tasks.with_name("good.py"), "--task", "twice", "--tasks", tasks, "--backend", "vm")
    one_line_error(done, 1, "'vm'", "local")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"expect": "maybe"}, "expect is 'maybe'"),
        ({"task": "gone"}, "no task 'gone'"),
        ({"file": None}, "is no program"),
    ],
)
def test_a_broken_manifest_is_refused(folder, change, message):
    path = folder(good=("correct", "pass", RIGHT))
    row = {"file": "good.py", "kind": "correct", "task": "twice", "expect": "pass", **change}
    row = {key: value for key, value in row.items() if value is not None}
    (path / "manifest.json").write_text(json.dumps({"programs": [row]}))
    with pytest.raises(TaskInvalid, match=message):
        Corpus(path)


def test_check_prints_one_line_of_json(folder, confined):
    path = folder(good=("correct", "pass", RIGHT), bad=("wrong", "fail", "def f(x): return x + 1"))
    for name, verdict, reason in (("good", "pass", "passed"), ("bad", "fail", "wrong_answer")):
        done = run("check", path / f"{name}.py", "--task", "twice", "--tasks", path / "tasks.json")
        assert (done.returncode, done.stderr) == (0, "")
        line = json.loads(done.stdout)
        assert (set(line), line["verdict"]) == ({"verdict", "reason", "level", "seconds"}, verdict)
        assert (line["reason"], line["level"]) == (reason, 3)


def test_the_stage_shows_what_an_unconfined_program_does(folder):
    # harmless outside too: each leaves a mark on the stage and nothing else
    honest = f"\n{RIGHT}"
    path = folder(
        good=("correct", "pass", RIGHT),
        drops=("containment", "any", "open('/tmp/rlvr-stage/drop/mark', 'w').close()" + honest),
        connects=("containment", "any", "import socket\nsocket.create_connection(('127.0.0.1', 47611))" + honest),
        kills=("containment", "any", "import os\nos.kill(int(open('/tmp/rlvr-stage/witness.pid').read()), 9)" + honest),
        secret=("containment", "fail", "def f():\n    return open('/tmp/rlvr-stage/secret.txt').read()\n"),
        refused=("correct", "pass", "def f(x): return 0"),
    )
    done = run("corpus", path, "--backend", "unsafe", "--json", path / "out.json")
    assert done.returncode == 1
    rows = {row["file"]: row["problem"] for row in json.loads((path / "out.json").read_text())["programs"]}
    assert rows == {
        "good.py": "",
        "drops.py": "not contained: no_drop",
        "connects.py": "not contained: no_connect",
        "kills.py": "not contained: witness_alive",
        "secret.py": "accepted",
        "refused.py": "refused",
    }
    assert "1 accepted that are wrong, 1 refused that are right, 0 void, 3 not contained" in done.stdout
    assert not Path("/tmp/rlvr-stage").exists()


@pytest.mark.slow
@pytest.mark.skipif(not ATTACKS.is_dir(), reason="the corpus does not lie beside the checkout")
def test_the_whole_corpus_is_judged_soundly_and_contained(confined, tmp_path):
    done = run("corpus", ATTACKS, "--json", tmp_path / "out.json", cwd=tmp_path)
    summary = json.loads((tmp_path / "out.json").read_text())["summary"]
    assert (done.returncode, done.stderr, summary["unsound"]) == (0, "", 0), done.stdout
