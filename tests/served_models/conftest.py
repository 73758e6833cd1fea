"""A server of OpenAI's API on the loopback interface that can be told to misbehave."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rlvr_harness import ModelRequest, SamplingLaw

KEY = "sk-loopback-5f1c0a-secret"
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def text_of(*parts):
    """A few words that depend on all the parts."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return " ".join(WORDS[byte % 10] for byte in digest[: 3 + digest[31] % 6])


class Drop(Exception):
    """Close the connection without an answer."""


@dataclass
class Behaviour:
    """What the server does; `script` answers the first requests instead, with (status, headers, bytes) or Drop."""

    script: list = field(default_factory=list)
    model: str = "tiny"
    key: str | None = None
    context: int | None = 4096
    refuses: dict = field(default_factory=dict)
    """Field -> message of the 400 that a request with it gets; None: a message that names nothing."""
    most_choices: int | None = None
    seeds: str = "honoured"
    """honoured | ignored | constant | copied (n copies of one completion)."""
    usage: bool = True
    delay_s: float = 0.0
    finish_reason: str | None = "stop"
    message: dict | None = None
    longest_prompt: int | None = None
    too_large_n: int | None = None


class Server:
    """The server, with all bodies that it was sent."""

    def __init__(self, behaviour):
        self.behaviour, self.bodies, self.headers = behaviour, [], []
        self.most_at_once = self.at_once = 0
        self._lock, self._count = threading.Lock(), itertools.count()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16

            def log_message(self, *_):
                """Keeps stderr clean."""

            def do_GET(self):
                outer.headers.append(dict(self.headers))
                row = {"id": behaviour.model, "owned_by": "test"}
                row |= {"max_model_len": behaviour.context} if behaviour.context else {}
                self.reply(200 if self.path == "/v1/models" else 404, {"data": [row]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.headers.append(dict(self.headers))
                try:
                    status, headers, content = outer.answer(self.path, body, self.headers)
                except Drop:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send(status, headers, content)

            def reply(self, status, data):
                self.send(status, {}, json.dumps(data).encode())

            def send(self, status, headers, content):
                try:
                    self.send_response(status)
                    for name, value in ({"Content-Length": str(len(content))} | headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                    self.close_connection |= "Content-Length" in headers  # a body that is cut short
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path, body, headers):
        behaviour = self.behaviour
        with self._lock:
            self.bodies.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            scripted = behaviour.script.pop(0) if behaviour.script else None
        time.sleep(behaviour.delay_s)
        with self._lock:
            self.at_once -= 1
        if scripted is Drop:
            raise Drop
        if scripted is not None:
            return scripted
        if behaviour.key and headers.get("Authorization") != f"Bearer {behaviour.key}":
            sent = headers.get("Authorization", "").removeprefix("Bearer ")
            return error(401, f"Incorrect API key provided: {sent}")
        if path not in ("/v1/completions", "/v1/chat/completions"):
            return error(404, f"no route {path}")
        if body["model"] != behaviour.model:
            return error(404, f"The model `{body['model']}` does not exist")
        refused = next((name for name in behaviour.refuses if name in body), None)
        if refused is not None:
            return error(400, behaviour.refuses[refused] or "bad request")
        if behaviour.too_large_n and body.get("n", 1) > behaviour.too_large_n:
            return error(400, f"n must be at most {behaviour.too_large_n}")
        prompt = body.get("prompt") or json.dumps(body.get("messages"))
        if behaviour.longest_prompt and len(prompt) > behaviour.longest_prompt:
            return error(400, "This model's maximum context length is 64 tokens; you requested 99")
        return 200, {}, json.dumps(self.completion(path, body, prompt)).encode()

    def completion(self, path, body, prompt):
        behaviour = self.behaviour
        law = [body.get(name) for name in ("temperature", "top_p", "top_k")]
        asked = body.get("n", 1)
        rows = []
        for number in range(min(asked, behaviour.most_choices or asked)):
            turn = {
                "honoured": (body.get("seed"), number) if "seed" in body else (next(self._count),),
                "ignored": (next(self._count),),
                "constant": (number,),
                "copied": (body.get("seed"),),
            }[behaviour.seeds]
            text = text_of(prompt, law, turn)
            row = {"index": number, "finish_reason": behaviour.finish_reason}
            if "chat" in path:
                row["message"] = behaviour.message or {"role": "assistant", "content": text}
            else:
                row["text"] = text
            if body.get("logprobs"):
                token = [{"logprob": -0.5}] * len(text.split())
                chat = {"content": token}
                row["logprobs"] = chat if "chat" in path else {"token_logprobs": [-0.5] * len(text.split())}
            rows.append(row)
        texts = [row.get("text") or str(row["message"].get("content")) for row in rows]
        answer = {"object": "text_completion", "choices": rows[::-1]}
        if behaviour.usage:
            total = sum(len(text.split()) for text in texts)
            answer["usage"] = {"prompt_tokens": len(prompt.split()), "completion_tokens": total}
        return answer


def error(status, message, **fields):
    return status, {}, json.dumps({"error": {"message": message, **fields}}).encode()


@pytest.fixture
def serve():
    """serve(**behaviour) -> a running server; all are stopped when the test ends."""
    servers = []

    def start(**behaviour):
        servers.append(Server(Behaviour(**behaviour)))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def open_served(monkeypatch):
    """open_served(server, model="tiny", **model_args) -> the `openai` sampler's model, closed when the test ends."""
    from rlvr_openai.sampler import OpenAISampler

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    opened = []

    def open_(server, model="tiny", **args):
        args = {"base_url": server.url, "max_retries": 3, "retry_wait": 0.001, "n_per_request": 4, **args}
        opened.append(OpenAISampler().open(ModelRequest("model", model, args=args)))
        return opened[-1]

    yield open_
    for model in opened:
        model.close()


@pytest.fixture(scope="session")
def law():
    return SamplingLaw(temperature=0.6, top_p=0.95, max_gen_toks=32)


@pytest.fixture(scope="session")
def faults():
    """Scripted answers by name."""
    return {
        "drop": Drop,
        "500": error(500, "boom"),
        "503": error(503, "loading"),
        "truncated": (200, {}, b'{"choices": [{"index": 0, "te'),
        "no choices": (200, {}, b'{"choices": []}'),
        "error inside": (200, {}, b'{"error": {"message": "upstream", "code": 502}}'),
        "busy": (429, {"Retry-After": "0.2"}, b'{"error": {"message": "slow down"}}'),
        "come back tomorrow": (429, {"Retry-After": "86400"}, b'{"error": {"message": "daily quota"}}'),
        "no credit": error(429, "You exceeded your current quota", code="insufficient_quota"),
        "cut body": (200, {"Content-Length": "4000"}, b'{"choices": ['),
        "aborted": (200, {}, b'{"choices": [{"index": 0, "text": "x", "finish_reason": "abort"}]}'),
    }
