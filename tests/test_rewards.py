"""The reward: the same verdicts as an evaluation, from any thread, in a file and over HTTP, and nothing that raises."""

import asyncio
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rlvr_harness.cli import main
from rlvr_harness.errors import HarnessError, TaskError, UsageError
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample
from rlvr_harness.registry import load_plugins
from rlvr_harness.requests import PromptRequest, WorkLimits
from rlvr_harness.rewards.calling import COUNTS_VARIABLE, Caller, openrlhf_function, trl_function, verl_function
from rlvr_harness.rewards.files import reward_file
from rlvr_harness.rewards.labels import completion_of, label_of, problem_of
from rlvr_harness.rewards.opening import RewardSpec, open_rewards, reward_spec, spec_from_data
from rlvr_harness.rewards.reward import Answer, Reward
from rlvr_harness.rewards.server import RewardServer, ServerLimits, check_address
from rlvr_harness.stages.verifying import VerifierPool

PROBLEM = Problem("t", "p", "Q: 1+1?\n", "2", metadata={"numbers": [1, 1]})
LIMITS = WorkLimits(1.0, 512)


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("verifying_fakes").Scripted


@pytest.fixture
def reward():
    """reward(verifier, workers) -> a Reward that is closed after the test."""
    opened = []

    def make(verifier, workers=2):
        opened.append(Reward(verifier, workers))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def countdown():
    """(problems, labels, completions right and wrong in turn, whether each is right) of the demo's task."""
    registry = load_plugins()
    verifier = registry.get("verifier", "countdown")
    problems = registry.get("task", "countdown").load(PromptRequest(limit=6)).problems
    asked = [(problem, text) for problem in problems for text in (verifier.gold_texts(problem)[0], "nonsense")]
    return (
        [problem for problem, _ in asked],
        [label_of(problem) for problem, _ in asked],
        [text for _, text in asked],
        [True, False] * 6,
    )


@pytest.fixture(scope="module")
def spec():
    return reward_spec(load_plugins(), ["countdown"], RewardSpec({}, workers=1, end_tokens=("</s>", "<pad>")))


def test_a_label_holds_all_that_a_verifier_asks_of_a_problem():
    assert problem_of(label_of(PROBLEM)) == Problem("t", "p", "", "2", metadata={"numbers": [1, 1]})
    assert problem_of(json.loads(label_of(PROBLEM))) == problem_of(label_of(PROBLEM))


@pytest.mark.parametrize(
    "label", ["", "42", "[]", '{"task": "t"}', None, 3, '{"task":1,"problem_id":1,"reference":1,"metadata":3}']
)
def test_what_is_no_label_is_named(label):
    with pytest.raises(TaskError, match="names no problem; labels are"):
        problem_of(label)


def test_metadata_that_is_no_json_is_named():
    with pytest.raises(TaskError, match="problem p: its metadata cannot be written as JSON"):
        label_of(Problem("t", "p", "", "2", metadata={"picture": object()}))


@pytest.mark.parametrize(
    ("query", "prompt", "completion"),
    [
        ("Q?A", "Q?", "A"),
        ("<s>Q?A</s>", "Q?", "A"),
        ("<s> Q?A</s><pad><pad>", "Q?", "A"),
        ("Q?Q?A", "Q?", "Q?A"),
        ("other A</s>", "Q?", "other A"),
        ("A</s> B", None, "A</s> B"),
        ("A</s>", None, "A"),
        ("</s>", "", ""),
    ],
)
def test_the_completion_is_cut_out_of_what_a_trainer_decodes(query, prompt, completion):
    assert completion_of(query, prompt, ("</s>", "<pad>", "")) == completion


def test_verdicts_are_those_of_an_evaluation(reward, countdown):
    problems, _, texts, right = countdown
    verifier = load_plugins().get("verifier", "countdown")
    found = reward(verifier).verdicts([Answer(p, t) for p, t in zip(problems, texts, strict=True)])
    with VerifierPool(verifier) as pool:
        for number, (problem, text) in enumerate(zip(problems, texts, strict=True)):
            sample = Sample(problem.task, "m", problem.problem_id, number, 0, text, FinishReason.STOP, 1)
            pool.submit(problem, [sample])
        judged = sorted(pool.drain(), key=lambda verdict: verdict.index)
    assert [(v.outcome, v.answer, v.reason) for v in found] == [(v.outcome, v.answer, v.reason) for v in judged]
    assert [v.outcome is Outcome.RIGHT for v in found] == right


def test_failures_of_the_harness_give_no_reward_and_are_counted(scripted, reward):
    judging = reward(scripted(LIMITS))
    texts = ["right", "wrong", "quick", "raise", "die", "nonsense", "refuse", "hang"]
    found = judging.rewards([Answer(PROBLEM, text) for text in texts])
    assert found == [1.0, 0.0, 0.0, None, None, None, None, None]
    assert judging.counts() == {"right": 1, "wrong": 2, "void": 5}
    assert judging.rewards([Answer(PROBLEM, "right again")]) == [1.0]


def test_a_verifier_that_is_called_here_may_raise_too(scripted, reward, caplog):
    judging = reward(scripted())
    assert judging.rewards([Answer(PROBLEM, text) for text in ("raise", "right", "raise", "nonsense")]) == [
        *(None, 1.0, None, None)
    ]
    assert len([record for record in caplog.records if "ZeroDivisionError: two" in record.getMessage()]) == 1


def test_equal_answers_of_all_threads_are_judged_once(scripted, reward, tmp_path):
    log = tmp_path / "calls"
    judging = reward(scripted(LIMITS, str(log)))
    asked = [Answer(PROBLEM, f"right {n % 10}") for n in range(200)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda part: judging.rewards(asked[part::8]), range(8)))
    assert found == [[1.0] * 25] * 8
    assert len(log.read_text().splitlines()) == 10


def test_two_threads_that_wait_for_each_other_both_end(scripted, reward):
    judging = reward(scripted(LIMITS))
    forward = [Answer(PROBLEM, f"right {n}") for n in range(40)]
    with ThreadPoolExecutor(2) as threads:
        parts = [threads.submit(judging.rewards, asked) for asked in (forward, forward[::-1])]
        assert [part.result(timeout=60) for part in parts] == [[1.0] * 40] * 2


def test_what_was_void_is_asked_anew(scripted, reward, tmp_path):
    log = tmp_path / "calls"
    judging = reward(scripted(None, str(log)))
    for _ in range(2):
        assert judging.rewards([Answer(PROBLEM, "raise")]) == [None]
    assert len(log.read_text().splitlines()) == 4  # two attempts each


def test_closing_ends_calls_under_way_without_an_error(scripted, reward):
    judging = reward(scripted(WorkLimits(30.0, 512)))
    found = []
    asking = threading.Thread(target=lambda: found.extend(judging.rewards([Answer(PROBLEM, "hang")])))
    asking.start()
    while judging._pool is None:
        time.sleep(0.01)
    judging.close()
    asking.join(30)
    assert found == [None]
    assert judging.rewards([Answer(PROBLEM, "right")]) == [None]


def test_a_spec_survives_being_written(spec):
    assert spec_from_data(json.loads(json.dumps(spec.as_data()))) == spec
    assert spec.verifiers == {"countdown": ("countdown", load_plugins().get("verifier", "countdown").version)}


def test_another_version_of_the_verifier_is_refused():
    with pytest.raises(HarnessError, match=r"verifier 'countdown' is version .* here, and 0\.0 was exported"):
        open_rewards(RewardSpec({"countdown": ("countdown", "0.0")}))


@pytest.mark.parametrize(("tasks", "fault"), [([], "at least one task"), (["no-such-task"], "no-such-task")])
def test_tasks_that_cannot_be_judged_are_refused(tasks, fault):
    with pytest.raises(HarnessError, match=fault):
        reward_spec(load_plugins(), tasks, RewardSpec({}))


def test_labels_that_are_none_give_no_verdict_and_are_counted(spec, countdown):
    _, labels, texts, _ = countdown
    rewards = open_rewards(spec)
    foreign = label_of(Problem("other", "p", "", "2"))
    found = rewards.judge([texts[0], texts[0], "x"], [labels[0], "junk", foreign])
    assert [one and one.outcome for one in found] == [Outcome.RIGHT, None, None]
    assert sum(rewards.void.values()) == 2
    rewards.close()


def load(path):
    found = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_files_of_all_frameworks_and_the_server_agree_with_the_evaluation(spec, countdown, tmp_path):
    problems, labels, texts, right = countdown
    modules = {}
    for framework in ("openrlhf", "trl", "verl"):
        (tmp_path / f"{framework}.py").write_text(reward_file(framework, spec, "0"))
        modules[framework] = load(tmp_path / f"{framework}.py")
    wanted = [float(one) for one in right]
    prompts = [problem.prompt for problem in problems]
    queries = [f"<s>{prompt}{text}</s>" for prompt, text in zip(prompts, texts, strict=True)]
    answer = modules["openrlhf"].reward_func(queries, prompts, labels)
    assert answer["rewards"].tolist() == answer["scores"].tolist() == wanted
    assert answer["extra_logs"]["void"].tolist() == [0.0] * 12
    assert modules["trl"].rlvr_reward(completions=texts, label=labels, prompts=prompts) == wanted
    chats = [[{"role": "assistant", "content": text}] for text in texts]
    assert modules["trl"].rlvr_reward(completions=chats, label=labels) == wanted
    scores = [
        modules["verl"].compute_score("t", text, label)["score"] for text, label in zip(texts, labels, strict=True)
    ]
    assert scores == wanted
    body = {"query": queries, "labels": labels, "prompts": prompts}
    assert served(spec, ("post", "/", body))[0][1]["rewards"] == wanted


def test_nothing_that_a_framework_sends_makes_a_reward_raise(spec):
    texts, labels = ["x", "\ud800", ""], ["junk", "{}", None]
    answer = openrlhf_function(spec.as_data())(texts, ["p"] * 3, labels)
    assert (answer["rewards"].tolist(), answer["extra_logs"]["void"].tolist()) == ([0.0] * 3, [1.0] * 3)
    assert trl_function(spec.as_data())(completions=texts, label=labels) == [None] * 3
    assert verl_function(spec.as_data())("t", "x", "junk") == {"score": 0.0, "void": 1.0}
    assert trl_function(spec.as_data())(completions=["a"], label=[]) == [None]


def test_counts_of_each_process_are_kept_where_asked(spec, countdown, tmp_path, monkeypatch):
    _, labels, texts, _ = countdown
    monkeypatch.setenv(COUNTS_VARIABLE, str(tmp_path / "counts"))
    caller = Caller(spec.as_data())
    caller.values([*texts, "x"], [*labels, "junk"])
    caller.close()
    (path,) = (tmp_path / "counts").glob(f"*-{os.getpid()}.json")
    kept = json.loads(path.read_text())
    assert kept["tasks"] == {"countdown": {"right": 6, "wrong": 6, "void": 0}}
    assert list(kept["labels"].values()) == [1]


def test_counts_that_cannot_be_kept_take_no_reward_away(spec, countdown, tmp_path, monkeypatch, caplog):
    _, labels, texts, _ = countdown
    (tmp_path / "counts").write_text("in the way")
    monkeypatch.setenv(COUNTS_VARIABLE, str(tmp_path / "counts"))
    caller = Caller(spec.as_data())
    assert caller.values(texts[:2], labels[:2]) == [1.0, 0.0]
    caller.close()
    assert "cannot be kept" in caplog.text


def test_a_file_exported_by_the_command_line_works_in_another_process(countdown, tmp_path, capsys):
    path = tmp_path / "reward.py"
    statuses = []
    words = ["reward", "export", "--tasks", "countdown", "--format", "verl", "-o", str(path), "--base", "demo/base"]
    main(words, exit_with=statuses.append)
    assert (statuses, capsys.readouterr().out.strip()) == ([0], str(path))
    _, labels, texts, _ = countdown
    program = (
        "import importlib.util, sys, json\n"
        f"found = importlib.util.spec_from_file_location('r', {str(path)!r})\n"
        "module = importlib.util.module_from_spec(found); found.loader.exec_module(module)\n"
        "texts, labels = json.load(sys.stdin)\n"
        "print([module.compute_score('d', t, l)['score'] for t, l in zip(texts, labels)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps([texts[:2], labels[:2]]), capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == "[1.0, 0.0]", done.stderr
    assert "</s>" in path.read_text()


def served(spec, *calls, token=None, limits=None, rewards=None):
    """(status, JSON or text) of each (method, path, body[, headers]), one after the other, from a server."""
    from aiohttp.test_utils import TestClient, TestServer

    async def ask():
        server = RewardServer(rewards or open_rewards(spec), token, limits)
        found = []
        async with TestClient(TestServer(server.application())) as client:
            for method, path, body, *headers in calls:
                sent = {"json": body} if not isinstance(body, bytes) else {"data": body}
                answer = await client.request(method, path, **sent, headers=headers[0] if headers else None)
                kind = answer.headers["Content-Type"]
                found.append((answer.status, await (answer.json() if "json" in kind else answer.text())))
        return found

    return asyncio.run(ask())


def test_the_server_tells_verdicts_health_and_metrics(spec, countdown):
    _, labels, texts, _ = countdown
    asked = {"texts": [*texts[:2], "x"], "labels": [*labels[:2], "junk"]}
    verdicts, health, metrics = served(
        spec, ("post", "/v1/verdicts", asked), ("get", "/health", None), ("get", "/metrics", None)
    )
    assert [one and one["outcome"] for one in verdicts[1]["verdicts"]] == ["right", "wrong", None]
    assert health[1]["status"] == "ok"
    assert 'rlvr_reward_verdicts_total{task="countdown",outcome="right"} 1' in metrics[1].splitlines()
    assert "rlvr_reward_unknown_labels_total 1" in metrics[1].splitlines()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{", "JSON|Expecting"),
        ([], "expected an object with query, labels, prompts"),
        ({"query": "x", "labels": []}, "'query' is not a list of strings"),
        ({"query": ["x"], "labels": []}, "'labels' is not a list of 1 labels"),
        ({"query": ["x"], "labels": ["l"], "prompts": []}, "'prompts' is not a list of 1 prompts"),
        (b"\xff\xfe", "."),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(spec, body, fault):
    import re

    ((status, told),) = served(spec, ("post", "/", body))
    assert status == 400
    assert re.search(fault, told["error"])


def test_a_token_is_asked_of_all_but_health(spec):
    asked = {"texts": [], "labels": []}
    good = {"Authorization": "Bearer secret"}
    found = served(
        spec,
        ("post", "/v1/verdicts", asked),
        ("post", "/v1/verdicts", asked, {"Authorization": "Bearer secreT"}),
        ("post", "/v1/verdicts", asked, good),
        ("post", "/v1/verdicts?token=secret", asked),
        ("get", "/metrics", None),
        ("get", "/health", None),
        token="secret",
    )
    assert [status for status, _ in found] == [401, 401, 200, 200, 401, 200]


@pytest.mark.parametrize(("host", "token", "refused"), [
    ("127.0.0.1", None, False), ("localhost", None, False), ("::1", None, False),
    ("0.0.0.0", None, True), ("0.0.0.0", "t", False), ("example", None, True),
])  # fmt: skip
def test_others_may_reach_the_server_with_a_token_only(host, token, refused):
    if refused:
        with pytest.raises(UsageError, match="RLVR_HARNESS_REWARD_TOKEN"):
            check_address(host, token)
    else:
        check_address(host, token)


class Slow:
    """Rewards that take as long as the test wants."""

    def __init__(self, spec):
        self.spec, self.by_task, self.void, self.go = spec, {}, {}, threading.Event()

    def judge(self, texts, labels, prompts):
        self.go.wait(30)
        return [None] * len(texts)

    def close(self):
        pass


def test_a_server_with_too_much_to_do_says_so_and_loses_nothing(spec):
    from aiohttp.test_utils import TestClient, TestServer

    slow = Slow(spec)

    async def ask():
        server = RewardServer(slow, limits=ServerLimits(queue=10))
        async with TestClient(TestServer(server.application())) as client:
            body = {"texts": ["x"] * 8, "labels": ["l"] * 8}
            first = asyncio.ensure_future(client.post("/v1/verdicts", json=body))
            while (await (await client.get("/health")).json())["under_way"] < 8:
                await asyncio.sleep(0.01)
            second = await client.post("/v1/verdicts", json=body)
            slow.go.set()
            answered = await first
            third = await client.post("/v1/verdicts", json=body)
            return second, answered, third, len((await answered.json())["verdicts"])

    second, answered, third, count = asyncio.run(ask())
    assert (second.status, second.headers["Retry-After"]) == (429, "1")
    assert (answered.status, count, third.status) == (200, 8, 200)


def test_a_request_larger_than_the_queue_is_taken_when_nothing_else_is_under_way(spec, countdown):
    _, labels, texts, _ = countdown
    asked = {"texts": texts, "labels": labels}
    ((status, told),) = served(spec, ("post", "/v1/verdicts", asked), limits=ServerLimits(queue=3))
    assert (status, len(told["verdicts"])) == (200, 12)
