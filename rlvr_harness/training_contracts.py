"""What a training backend promises: a plan before anything starts, a process of its own, checkpoints by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rlvr_harness.contracts import LoadedTask
from rlvr_harness.requests import PromptRequest


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """How a task is asked for training problems.

    `prompts`: as for evaluation. `count`: how many are wanted, None for all there are, or as many as the task that
    can make any number thinks enough; a task that has fewer gives those. `seed` decides which.
    """

    prompts: PromptRequest
    count: int | None = None
    seed: int = 0


@runtime_checkable
class TrainableTask(Protocol):
    """A task that has problems to train on, apart from those it evaluates with."""

    @property
    def training_source(self) -> str:
        """Where the training problems come from, in a few words; empty where there are none after all."""

    def load_training(self, request: TrainingRequest) -> LoadedTask:
        """Training problems that the task's own verifier judges. Raises TaskError where the data cannot be had."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Training problems as rendered for a backend: `path` is JSONL, one row a problem.

    Each row has `input` (a prompt, or a list of chat messages where `is_chat`) and `label`
    (`rewards.labels.label_of`); for `sft` also `completion`, a right answer. `digest` is the sha256 of the file.
    `stop`: strings that end a completion in an evaluation with these prompts; a backend cuts at those it can.
    """

    path: Path
    rows: int
    digest: str
    is_chat: bool = False
    tasks: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What is to be trained; every number means the same for every backend.

    `steps`: optimiser steps, on `prompts_per_step` x `samples_per_prompt` rollouts each. `kl`: weight of the KL term
    against the base, 0 for none (then no reference model is held). `clip_low`, `clip_high`: of the policy ratio; None:
    the algorithm's own. `lora_rank` 0 trains all weights. `python`: the interpreter of the backend's own environment.
    `options` are the backend's own, under its own names.
    """

    base: str
    algorithm: str
    output: Path
    steps: int = 150
    prompts_per_step: int = 128
    samples_per_prompt: int = 8
    learning_rate: float = 1e-6
    temperature: float = 1.0
    max_prompt_toks: int = 1024
    max_gen_toks: int = 8192
    kl: float = 0.0
    clip_low: float | None = None
    clip_high: float | None = None
    lora_rank: int = 0
    save_steps: int = 50
    seed: int = 0
    gpus: int = 0
    nodes: int = 1
    python: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What will be run. `command` and `environment` (what is added to the caller's) start the process in `folder`.

    `missing`: what this machine lacks for it, one line each with the way out; nothing starts unless it is empty.
    `notes`: what a user should know; `config`: all settings in words of the backend, as JSON can hold them. Before the
    process starts, the plan is written to OUTPUT/train.json, where the process may read it: `["plan"]["config"]`.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """What one line of a backend's output tells: the step, and numbers by name (reward, kl, entropy, void, ...)."""

    step: int
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A Hugging Face folder, or an adapter's folder, as left after `step` steps."""

    step: int
    path: Path
    is_adapter: bool = False


@runtime_checkable
class TrainingBackend(Protocol):
    """A way to train. It never imports its framework in this process: pins of such frameworks conflict with ours."""

    @property
    def name(self) -> str:
        """Unique among objects of its kind."""

    @property
    def description(self) -> str:
        """One line for `ls`."""

    @property
    def algorithms(self) -> Sequence[str]:
        """Names for `--algorithm`."""

    @property
    def reward_format(self) -> str:
        """Format of `reward export` that it loads."""

    def plan(self, spec: TrainingSpec, data: TrainingData, reward_file: Path) -> TrainingPlan:
        """The plan; raises UsageError for what the backend cannot do. Starts nothing."""

    def progress(self, line: str) -> TrainingProgress | None:
        """What a line of the process's output tells, None for others."""

    def checkpoints(self, output: Path) -> Sequence[Checkpoint]:
        """Finished checkpoints below the output folder, by step; those being written are left out."""
