"""The real single-turn executor of OpenRLHF 0.11.2 with an exported reward: as a file, and over HTTP."""

import asyncio
import importlib
import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlvr_harness.registry import load_plugins
from rlvr_harness.requests import PromptRequest
from rlvr_harness.rewards.calling import COUNTS_VARIABLE
from rlvr_harness.rewards.files import reward_file
from rlvr_harness.rewards.labels import label_of
from rlvr_harness.rewards.opening import RewardSpec, open_rewards, reward_spec
from rlvr_harness.rewards.server import RewardServer


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        import training_fakes
    finally:
        sys.path.pop(0)
    return training_fakes.unpacked("openrlhf", tmp_path_factory.mktemp("site"))


@pytest.fixture
def executor_class(site, monkeypatch):
    """The real class. Only the packages' own __init__, which load DeepSpeed, are left out."""
    for name in ("openrlhf", "openrlhf.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(site.joinpath(*name.split(".")))]
        monkeypatch.setitem(sys.modules, name, package)
    yield importlib.import_module("openrlhf.utils.agent").SingleTurnAgentExecutor
    for name in [name for name in sys.modules if name.startswith("openrlhf.utils.")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def countdown():
    """(problem, right completion) of the demo's task, and what judges it."""
    registry = load_plugins()
    problem = registry.get("task", "countdown").load(PromptRequest(limit=1)).problems[0]
    right = registry.get("verifier", "countdown").gold_texts(problem)[0]
    return problem, right, reward_spec(registry, ["countdown"], RewardSpec({}, workers=1, end_tokens=("</s>",)))


class Characters:
    """A tokenizer with a token a character, and one end token."""

    def __call__(self, text, add_special_tokens, return_tensors):
        import torch

        return {"input_ids": torch.tensor([[ord(sign) for sign in text]])}

    def decode(self, tokens, skip_special_tokens):
        assert not skip_special_tokens
        return "".join("</s>" if token == 0 else chr(token) for token in tokens)


class Engine:
    """Answers every prompt with one text."""

    def __init__(self, text, finish="stop"):
        self._text, self._finish = text, finish

    async def generate(self, tokens, sampling_params, multi_modal_data=None):
        ended = [0] if self._finish == "stop" else []
        answer = SimpleNamespace(
            token_ids=[*map(ord, self._text), *ended], text=self._text, finish_reason=self._finish, logprobs=None
        )
        return SimpleNamespace(outputs=[answer])


def answered(executor, problem, text, label=None, finish="stop"):
    """What the trainer gets for one completion."""
    limits = SimpleNamespace(max_tokens=64, logprobs=None)
    label = label_of(problem) if label is None else label
    return executor.execute(problem.prompt, label, limits, 4096, Characters(), Engine(text, finish))


def as_experience(output):
    """The tensors that OpenRLHF makes of a reward (trainer/ppo_utils/samples_generator.py)."""
    import torch

    return torch.tensor([output["reward"]]), torch.tensor([output["scores"]])[0].item()


def test_an_exported_file_gives_the_executor_its_rewards(executor_class, countdown, tmp_path, monkeypatch):
    problem, right, spec = countdown
    (tmp_path / "counts").mkdir()
    monkeypatch.setenv(COUNTS_VARIABLE, str(tmp_path / "counts"))
    file = tmp_path / "reward.py"
    file.write_text(reward_file("openrlhf", spec, "0"))
    executor = executor_class(str(file))
    try:

        async def ask():
            texts = (right, "nonsense", right)
            return await asyncio.gather(*(answered(executor, problem, text) for text in texts))

        found = asyncio.run(ask())
        assert [as_experience(one)[1] for one in found] == [1.0, 0.0, 1.0]
        assert [one["reward"].item() for one in found] == [1.0, 0.0, 1.0]
        assert [one["extra_logs"]["void"].item() for one in found] == [0.0, 0.0, 0.0]
        lost = asyncio.run(answered(executor, problem, right, label="no label"))
        assert (lost["reward"].item(), lost["extra_logs"]["void"].item()) == (0.0, 1.0)
        assert asyncio.run(answered(executor, problem, right, finish="length"))["truncated"]
    finally:
        executor.reward_func.__closure__[0].cell_contents.close()
    (counts,) = (tmp_path / "counts").glob("*.json")
    told = json.loads(counts.read_text())
    assert sum(told["tasks"]["countdown"].values()) >= 3
    assert sum(told["labels"].values()) == 1


def test_the_server_gives_the_executor_its_rewards(executor_class, countdown):
    from aiohttp import web

    problem, right, spec = countdown

    async def ask():
        runner = web.AppRunner(RewardServer(open_rewards(spec)).application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        executor = executor_class([f"http://127.0.0.1:{port}/get_reward"])
        try:
            texts = ((right, None), ("nonsense", None), (right, "no label"))
            return [await answered(executor, problem, text, label) for text, label in texts]
        finally:
            await runner.cleanup()

    found = asyncio.run(ask())
    assert [one["reward"] for one in found] == [[1.0], [0.0], [0.0]]
    assert [as_experience(one)[1] for one in found] == [1.0, 0.0, 0.0]
    assert [one["extra_logs"]["void"] for one in found] == [[0.0], [0.0], [1.0]]
