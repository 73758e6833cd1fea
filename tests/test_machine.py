"""What tells about the machine and the shell: `doctor`, `--version`, `--help` and completion."""

import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rlvr_harness import doctor
from tests.test_layers import HEAVY


def test_every_line_of_doctor_says_ok_or_what_a_lack_costs(cli):
    status, out, err = cli("doctor")
    assert (status, err) == (0, "")
    lines = [line.split("\t") for line in out.splitlines()]
    assert {mark for mark, _ in lines} <= {"ok", "no"}
    for subject in ("python", "GPU", "memory", "disk", "hub", "plugins", "embedded", "vllm", "ray", "trl", "sandbox"):
        assert any(text.startswith(subject) for _, text in lines), subject
    assert all("; " in text for mark, text in lines if mark == "no")


def test_doctor_does_not_ask_the_hub_offline(cli):
    assert "hub: not asked, HF_HUB_OFFLINE is set; models and data sets come from local folders" in cli("doctor")[1]


@pytest.mark.parametrize("module", doctor.OPTIONAL)
def test_an_absent_engine_is_told_with_its_extra(module, monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    extra, use = doctor.OPTIONAL[module]
    assert doctor._optional(module) == f'no\t{extra}: absent; {use}; pip install "rlvr-harness[{extra}]"'


def test_a_server_that_answers_anything_is_reachable():
    class Refusing(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(403)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert doctor._unreachable(f"http://127.0.0.1:{server.server_port}") is None
        answering.join()


def test_a_closed_port_is_not_reachable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert "refused" in doctor._unreachable(f"http://127.0.0.1:{taken.getsockname()[1]}")


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(doctor, "HUB_WAIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert doctor._unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}") is not None


@pytest.mark.parametrize("place", ["hub.local", "http://a b", "http://[1"])
def test_a_hub_that_is_no_address_is_told_as_such(place):
    assert doctor._unreachable(place) not in (None, f"no answer in {doctor.HUB_WAIT_S:.0f} s")


def test_a_server_that_speaks_no_http_is_not_reachable():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-hello\r\n")
            connection.close()

        answering = threading.Thread(target=answer)
        answering.start()
        assert "SSH-2.0-hello" in doctor._unreachable(f"http://127.0.0.1:{server.getsockname()[1]}")
        answering.join()


def test_a_stored_token_counts_as_one(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("hf_x")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(doctor, "_unreachable", lambda url: None)
    assert doctor._hub().endswith(" answers, with a token")


def test_a_torch_that_does_not_load_is_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert doctor._torch().startswith("no\tGPU: torch does not load (import of torch halted")


def test_a_mere_folder_is_no_engine(monkeypatch, tmp_path):
    (tmp_path / "ray").mkdir()
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert doctor._optional("ray").startswith("no\tray: absent; ")


def test_version_names_the_harness_and_what_decides_samples(cli):
    status, out, _ = cli("--version")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].startswith("rlvr-harness, version 0.")
    assert {"python", "lm-eval", "torch", "transformers"} <= {line.split()[0] for line in lines[1:]}


def test_help_loads_nothing_heavy():
    program = (
        "import sys\nfrom rlvr_harness.cli import main\nmain(['--help'], exit_with=lambda status: None)\n"
        f"print('loaded:', *[m for m in {(*HEAVY, 'pyarrow', 'numpy')} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
    assert "Compare an RLVR checkpoint" in done.stdout


def completed(shell, typed):
    """What the shell is offered after `typed`: the values, in order."""
    words = ["rlvr-harness", *typed]
    words_variable = words[-1] if shell == "fish" else str(len(words) - 1)
    environment = {
        **os.environ,
        "_RLVR_HARNESS_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(words[:-1] if shell == "fish" else words),
        "COMP_CWORD": words_variable,
    }
    command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    if shell == "zsh":
        return lines[1::3]
    return [line.partition(",")[2].partition("\t")[0] for line in lines]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_and_options(shell):
    assert "run" in completed(shell, ["ru"])
    assert set(completed(shell, ["run", "--mod"])) >= {"--model", "--model_args"}
    assert completed(shell, ["ls", "ta"]) == ["tasks"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_for_the_shell_names_the_command(shell):
    environment = {**os.environ, "_RLVR_HARNESS_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "_RLVR_HARNESS_COMPLETE" in done.stdout
    assert "rlvr-harness" in done.stdout
