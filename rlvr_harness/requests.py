"""What the parts of a run ask of one another, as frozen data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr_harness.profiles import PromptProfile
from rlvr_harness.records import Problem

ChatMessage = Mapping[str, str]
ChatRenderer = Callable[..., str]
"""(messages, add_generation_prompt=True) -> prompt."""


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """How a task is asked to build its problems; the same for every model of a run.

    `chat_renderer` turns (messages, add_generation_prompt) into a prompt and is None for plain completion prompts.
    `data_dir` holds local copies of data sets; `limit` keeps the first problems.
    """

    num_fewshot: int = 0
    seed: int = 0
    limit: int | None = None
    data_dir: Path | None = None
    system_instruction: str | None = None
    chat_renderer: ChatRenderer | None = None
    profile: PromptProfile | None = None
    tokenizer_name: str = ""


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """Hard limits for one call of a verifier, enforced by killing its worker process."""

    wall_s: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class SandboxChoice:
    """Where programs of the models may run: a sandbox by name, and the isolation level that it must reach."""

    name: str = "local"
    level: int = 3


@dataclass(frozen=True, slots=True)
class Documents:
    """A task's documents where its YAML cannot fetch them; `revision` names their source, `notes` are for the user."""

    rows: Sequence[Mapping[str, Any]]
    revision: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingLaw:
    """Every parameter of the sampling distribution, always sent explicitly. top_k = 0 and min_p = 0 mean off."""

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_gen_toks: int = 16384


def check_law(law: Mapping[str, Any]) -> None:
    """Raises ValueError for a parameter outside its range."""
    ranges = {
        "temperature": (0.0, 100.0),
        "top_p": (1e-6, 1.0),
        "top_k": (0, 1e9),
        "min_p": (0.0, 1.0),
        "repetition_penalty": (1e-3, 100.0),
        "max_gen_toks": (1, 1e9),
    }
    for key, value in law.items():
        low, high = ranges[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"gen_kwargs: {key}={value} is outside {low:g} to {high:g}")
    for key in ("top_k", "max_gen_toks"):
        if key in law and not isinstance(law[key], int):
            raise ValueError(f"gen_kwargs: {key}={law[key]} is not a whole number")


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a sampler needs to open one model. `args` are the sampler's own, as in `--model_args`.

    `eos_tokens`: the tokens to stop at, as text, in place of those the checkpoint declares; None: the declared ones.
    Only a sampler whose profiles are `ComparableProfile`s is given them. `beside`: how many other models of the run are
    sampled at the same time, on other devices; only a `SideBySideSampler` is asked for that.
    """

    role: str
    path: str
    args: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    eos_tokens: tuple[str, ...] | None = None
    beside: int = 0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is recorded of an opened model; hashes are sha256, None where there is nothing to hash."""

    revision: str | None
    weight_hash: str | None
    dtype: str
    device: str
    parameters: int | None = None
    eos_token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Samples `indices` of one problem, with one seed each; seeds[j] belongs to indices[j]."""

    problem: Problem
    indices: tuple[int, ...]
    seeds: tuple[int, ...]


WorkUnit = tuple[SampleRequest, ...]
"""What is generated together. Its composition never depends on what was done before, so a repeat is bit-identical."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Verified counts of one model on one task, aligned with `problem_ids`; n and c are per problem."""

    problem_ids: tuple[str, ...]
    n: tuple[int, ...]
    c: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import: one file per model role, for one task."""

    task: str
    files: Mapping[str, Path]
