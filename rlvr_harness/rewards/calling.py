"""What exported reward files call: each framework's own arguments in, its own return value out, and never an error."""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvr_harness.errors import first_line
from rlvr_harness.records import Verdict
from rlvr_harness.rewards.opening import Rewards, RewardSpec, open_rewards, spec_from_data
from rlvr_harness.rewards.reward import reward_of
from rlvr_harness.training_environments import REWARD_COUNTS_VARIABLE

_LOG = logging.getLogger(__name__)
COUNTS_VARIABLE = REWARD_COUNTS_VARIABLE
_COUNTS_S = 2.0


class Caller:
    """The rewards of an exported file, opened with the first call and shared by all threads of the process."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        """`spec` as `RewardSpec.as_data` wrote it. Raises HarnessError at once where it cannot be had here."""
        self._spec: RewardSpec = spec_from_data(spec)
        self._lock = threading.Lock()
        self._rewards: Rewards | None = open_rewards(self._spec)
        self._process = os.getpid()
        self._written = 0.0
        atexit.register(self.close)

    def verdicts(
        self, texts: Sequence[str], labels: Sequence[object], prompts: Sequence[str] | None = None
    ) -> list[Verdict | None]:
        """See `Rewards.judge`; whatever goes wrong gives no verdict, and is logged."""
        try:
            found = self._ready().judge(texts, labels, prompts)
            self._write_counts()
        except Exception as error:  # noqa: BLE001  (an error here would end the training run, or be swallowed by it)
            _LOG.exception("no reward for %d completions: %s", len(texts), first_line(error))
            return [None] * len(texts)
        return found

    def values(
        self, texts: Sequence[str], labels: Sequence[object], prompts: Sequence[str] | None = None
    ) -> list[float | None]:
        """1.0, 0.0, or None where there is no verdict."""
        return [None if one is None else reward_of(one) for one in self.verdicts(texts, labels, prompts)]

    def close(self) -> None:
        """Ends the workers."""
        with self._lock:
            rewards, self._rewards = self._rewards, None
            own = self._process == os.getpid()
        if rewards is not None and own:
            self._write_counts(rewards)
            rewards.close()

    def _ready(self) -> Rewards:
        """The rewards of this process: worker processes do not outlive a fork."""
        with self._lock:
            if self._rewards is None or self._process != os.getpid():
                self._rewards, self._process = open_rewards(self._spec), os.getpid()
            return self._rewards

    def _write_counts(self, rewards: Rewards | None = None) -> None:
        folder, rewards = os.environ.get(COUNTS_VARIABLE), rewards or self._rewards
        if not folder or rewards is None or (time.monotonic() - self._written < _COUNTS_S and rewards is self._rewards):
            return
        self._written = time.monotonic()
        counts = {task: dict(reward.counts()) for task, reward in rewards.by_task.items()}
        faults = dict(rewards.void.most_common(10))
        path = Path(folder) / f"{socket.gethostname()}-{self._process}.json"
        partial = path.with_suffix(".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"tasks": counts, "labels": faults}), encoding="utf-8")
            partial.replace(path)
        except OSError as error:  # counts that cannot be kept are no reason to give no reward
            _LOG.warning("counts of rewards cannot be kept in %s: %s", folder, error.strerror)


def openrlhf_function(spec: Mapping[str, Any]) -> Callable[..., dict[str, Any]]:
    """`reward_func(queries, prompts, labels)` of OpenRLHF 0.11: tensors of the batch's length.

    OpenRLHF cannot take a completion out of a batch: one without verdict gets 0.0, and 1.0 under `void` in its logs.
    """
    caller = Caller(spec)

    def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
        import torch

        values = caller.values(queries, labels, prompts)
        given = torch.tensor([value or 0.0 for value in values])
        void = torch.tensor([float(value is None) for value in values])
        return {"rewards": given, "scores": given, "extra_logs": {"void": void}}

    return reward_func


def trl_function(spec: Mapping[str, Any]) -> Callable[..., list[float | None]]:
    """A reward function of TRL: None for a completion without verdict, which TRL leaves out of its reward."""
    caller = Caller(spec)

    def rlvr_reward(completions: Sequence[Any], label: Sequence[str], **_: object) -> list[float | None]:
        texts = [one if isinstance(one, str) else "".join(turn["content"] for turn in one) for one in completions]
        return caller.values(texts, label)

    return rlvr_reward


def verl_function(spec: Mapping[str, Any]) -> Callable[..., dict[str, Any]]:
    """`compute_score(data_source, solution_str, ground_truth, extra_info)` of verl.

    A completion without verdict gets 0.0, and 1.0 as `void`.
    """
    caller = Caller(spec)

    def compute_score(
        data_source: str, solution_str: str, ground_truth: str, extra_info: object = None, **_: object
    ) -> dict[str, Any]:
        value = caller.values([solution_str], [ground_truth])[0]
        return {"score": value or 0.0, "void": float(value is None)}

    return compute_score
