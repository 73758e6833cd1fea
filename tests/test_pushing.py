"""Evaluation results into a repository of the Hub: first what would be uploaded, then the upload to a server here."""

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.small_runs import finished_run  # noqa: F401

TOKEN = "hf_not_a_real_token"


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as a commit of small files asks for."""

    refusing = False

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        if self.refusing:
            return self.answer(403, {"error": f"token {TOKEN} may not write here"})
        if "/preupload/" in self.path:
            files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
            return self.answer(200, {"files": [{**one, "shouldIgnore": False, "oid": None} for one in files]})
        commit = {"commitOid": "c" * 40, "commitUrl": f"http://{self.headers['Host']}/me/model/commit/{'c' * 40}"}
        return self.answer(200, {**commit, "pullRequestUrl": "http://hub/me/model/discussions/1"})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(params=[False])
def hub(request):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHub", (Hub,), {"refusing": request.param}))
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def offline(cli, finished_run, tmp_path, monkeypatch):  # noqa: F811
    """offline(*words) -> (exit status, stdout, stderr) of an export for the Hub in this process, which reaches none."""

    def run(*words, token=TOKEN):
        monkeypatch.setenv("HF_TOKEN", token)
        given = ["--format", "hub", "--dataset", "countdown=me/data", "-o", tmp_path / "out"]
        return cli("export", finished_run, *given, *words)

    return run


@pytest.fixture
def export(finished_run, tmp_path):  # noqa: F811
    """export(*words, server) -> the finished process of an export for the Hub that the server stands for."""

    def run(*words, server):
        address = f"http://127.0.0.1:{server.server_port}"
        environment = {**os.environ, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": address}
        words = [
            "export",
            finished_run,
            "--format",
            "hub",
            "--dataset",
            "countdown=me/data",
            "-o",
            tmp_path / "out",
            *words,
        ]
        command = [sys.executable, "-c", "from rlvr_harness.cli import main; main()", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_without_yes_it_is_said_what_would_be_uploaded_and_nothing_is(offline, tmp_path):
    status, out, err = offline("--push", "me/model", token="")
    size = (tmp_path / "out/model/.eval_results/countdown.yaml").stat().st_size
    assert (status, err) == (0, "")
    assert out.splitlines()[-2:] == [
        f"would upload .eval_results/countdown.yaml ({size:,} bytes) to me/model",
        "nothing was uploaded: add --yes to do it, and --pull_request where the model is another's",
    ]


def test_with_yes_the_files_arrive_as_they_were_written(export, hub, tmp_path):
    done = export("--push", "base=me/model", "--yes", server=hub)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("pushed: http://127.0.0.1:")
    assert {authorization for _, authorization, _ in hub.asked} == {f"Bearer {TOKEN}"}
    path, _, body = hub.asked[-1]
    assert path.startswith("/api/models/me/model/commit/main")
    lines = [json.loads(line) for line in body.splitlines()]
    (sent,) = (line["value"] for line in lines if line["key"] == "file")
    assert sent["path"] == ".eval_results/countdown.yaml"
    assert base64.b64decode(sent["content"]) == (tmp_path / "out/base/.eval_results/countdown.yaml").read_bytes()


def test_a_pull_request_is_asked_for_as_one(export, hub):
    done = export("--push", "me/model", "--yes", "--pull_request", server=hub)
    assert done.returncode == 0, done.stderr
    assert "create_pr=1" in hub.asked[-1][0]
    assert done.stdout.splitlines()[-1] == "pushed: http://hub/me/model/discussions/1"


@pytest.mark.parametrize("hub", [True], indirect=True)
def test_a_refused_upload_is_one_line_without_the_token(export, hub, tmp_path):
    done = export("--push", "me/model", "--yes", server=hub)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: --push me/model: the Hub takes no upload: ")
    assert done.stderr.count("\n") == 1
    assert TOKEN not in done.stderr
    assert not [path for path in (tmp_path / "out").rglob("*.yaml") if TOKEN in path.read_text()]


def test_offline_an_upload_is_one_line(offline):
    status, out, err = offline("--push", "me/model", "--yes")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "the Hub takes no upload: OfflineModeIsEnabled" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--push", "me/model", "--yes"], "--push needs a token that may write to me/model, in the variable HF_TOKEN"),
        (["--push", "me/m\u00f6del"], "--push me/m\u00f6del: give a repository of the Hub as OWNER/NAME"),
        (["--push", "model"], "--push model: give a repository of the Hub as OWNER/NAME, or ROLE=OWNER/NAME"),
        (["--push", "rl=me/model"], "--push: the run has no model 'rl'; it has base, model"),
        (["--yes"], "--push, --yes and --pull_request belong to --format hub --push OWNER/NAME"),
        (["--format", "csv", "--push", "me/model"], "belong to --format hub"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(offline, words, message):
    status, out, err = offline(*words, token="")
    assert (status, out) == (2, "")
    assert message in err
