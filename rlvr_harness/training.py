"""What `train` does: problems, reward and plan into a folder, the backend's process, its checkpoints."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlvr_harness.demo_models import resolve_path
from rlvr_harness.errors import HarnessError, UsageError
from rlvr_harness.parts.disk import FolderLock
from rlvr_harness.registry import Registry, load_plugins
from rlvr_harness.rewarding import choose_reward
from rlvr_harness.rewards.files import reward_file, write_whole
from rlvr_harness.training_contracts import Checkpoint, TrainingBackend, TrainingData, TrainingPlan, TrainingSpec
from rlvr_harness.training_problems import TrainingChoice, TrainingProblems, traced_problems, training_problems
from rlvr_harness.training_process import Follower, count_void, run_process, stderr_or_none
from rlvr_harness.training_record import check_same, record_of, write_record

SUPERVISED = "sft"
"""The algorithm that learns from given right answers, not from a reward."""
VOID_SHARE = 0.01
"""Share of answers without verdict from which on a training is not what it says: told loudly."""


@dataclass(frozen=True)
class TrainingWish:
    """`settings`: fields of TrainingSpec as asked for. `judging`: sandbox, sandbox_level and workers of the reward."""

    backend: str
    algorithm: str
    choice: TrainingChoice
    output: Path
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    judging: Mapping[str, Any]


@dataclass(frozen=True)
class _Ready:
    """A training that may start."""

    backend: TrainingBackend
    spec: TrainingSpec
    problems: TrainingProblems
    data: TrainingData
    record: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return self.spec.output

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Those that lie in the folder now."""
        return self.backend.checkpoints(self.folder)


def train(wish: TrainingWish, dry_run: bool, quiet: bool, warn: Callable[[str], None] | None = None) -> Iterator[str]:
    """Trains, or goes on where an earlier call with the same options ended; the lines to be printed.

    Raises HarnessError for what the backend lacks, and where its process fails.
    """
    tell = warn or _to_stderr
    registry = load_plugins()
    ready, plan = _prepare(wish, registry)
    for line in (*ready.problems.notes, *(f"warning: {overlap.line()}" for overlap in ready.problems.overlaps)):
        tell(line)
    yield from _plan_lines(ready, plan)
    if plan.missing:
        raise HarnessError(f"training with {wish.backend} cannot start here: " + "; ".join(plan.missing))
    if dry_run:
        return
    lock = FolderLock(wish.output)
    try:
        yield from _run(ready, wish, registry, (quiet, tell))
    finally:
        lock.close()


def _run(
    ready: _Ready, wish: TrainingWish, registry: Registry, telling: tuple[bool, Callable[[str], None]]
) -> Iterator[str]:
    quiet, tell = telling
    begun = check_same(ready.folder, ready.record)
    last = max((one.step for one in ready.checkpoints()), default=0) if begun else 0
    if last >= ready.spec.steps:
        tell(f"{ready.folder} is trained already, to step {last:,}")
    else:
        if begun:
            tell(f"going on from step {last:,}")
        plan = _plan(ready, wish, registry, ready.folder)
        write_record(ready.folder, ready.record, plan)  # last, so that it never names files that are not there
        follower = Follower(ready.folder, ready.spec.steps, stderr_or_none(quiet))
        run_process(plan, ready.folder, follower, ready.backend.progress)
    found = ready.checkpoints()
    if not found:
        raise HarnessError(f"training left no checkpoint in {ready.folder}; see {ready.folder / 'train.log'}")
    yield from _end_lines(found)
    void, asked = count_void(ready.folder)
    if asked and void / asked > VOID_SHARE:
        tell(
            f"warning: {void:,} of {asked:,} completions ({void / asked:.1%}) got NO VERDICT and taught nothing; "
            f"what failed is in {ready.folder / 'train.log'}; do not trust these checkpoints before it is mended"
        )


def _prepare(wish: TrainingWish, registry: Registry) -> tuple[_Ready, TrainingPlan]:
    """The training, and its plan as a trial elsewhere made it; nothing is written into its folder."""
    backend = find_backend(registry, wish.backend)
    if wish.algorithm not in backend.algorithms:
        known = ", ".join(backend.algorithms)
        raise UsageError(f"backend '{backend.name}' has no algorithm '{wish.algorithm}'; there are: {known}")
    supervised = wish.algorithm == SUPERVISED
    if supervised != (wish.choice.traces is not None):
        raise UsageError(
            "--algorithm sft learns from --traces RUN[:MODEL], the right samples of a run; they go together"
        )
    if not supervised and not wish.choice.tasks:
        raise UsageError("name at least one task with --tasks")
    problems = (traced_problems if supervised else training_problems)(wish.choice, registry)
    output = wish.output.resolve()
    data = problems.data(output / "data" / "train.jsonl")
    base = resolve_path(wish.choice.base)
    spec = TrainingSpec(
        base=str(Path(base).resolve()) if Path(base).is_dir() else base,
        algorithm=wish.algorithm,
        output=output,
        max_prompt_toks=problems.longest_prompt,
        max_gen_toks=problems.max_gen_toks,
        seed=wish.choice.seed,
        options=dict(wish.options),
        **wish.settings,
    )
    if data.rows < spec.prompts_per_step:
        raise UsageError(
            f"there are {data.rows:,} training problems, fewer than the {spec.prompts_per_step:,} of a step; "
            "lower --prompts_per_step"
        )
    record = record_of((backend.name, wish.choice), spec, problems, data)
    ready = _Ready(backend, spec, problems, data, record)
    with tempfile.TemporaryDirectory(prefix="rlvr-train-") as scratch:
        plan = _moved(_plan(ready, wish, registry, Path(scratch)), scratch, str(output))
    return ready, plan


def _plan(ready: _Ready, wish: TrainingWish, registry: Registry, folder: Path) -> TrainingPlan:
    """Writes data and reward into the folder, as a backend reads both to plan with, and the backend's plan for it."""
    data = dataclasses.replace(ready.data, path=folder / ready.data.path.relative_to(ready.folder))
    write_whole(data.path, ready.problems.text())
    if wish.algorithm != SUPERVISED:
        paths = {"include_path": wish.choice.include_path, "data_dir": wish.choice.data_dir}
        reward = choose_reward(registry, ready.problems.tasks, wish.choice.base, {**wish.judging, **paths})
        text = reward_file(ready.backend.reward_format, reward, version("rlvr-harness"))
        write_whole(folder / "reward.py", text)
    return ready.backend.plan(dataclasses.replace(ready.spec, output=folder), data, folder / "reward.py")


def _moved(plan: TrainingPlan, source: str, target: str) -> TrainingPlan:
    """The plan as it will be in the folder that it was not made in: what can be told before anything is written."""

    def moved(words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.replace(source, target) for word in words)

    return dataclasses.replace(
        plan, command=moved(plan.command), missing=moved(plan.missing), notes=moved(plan.notes), folder=None
    )


def find_backend(registry: Registry, name: str) -> TrainingBackend:
    """The training backend of that name. Raises UsageError for a trainer that takes no such orders."""
    found = registry.get("trainer", name)
    if not isinstance(found, TrainingBackend):
        known = ", ".join(one.name for one in registry.all("trainer") if isinstance(one, TrainingBackend)) or "none"
        raise UsageError(f"trainer '{name}' trains its own models only; backends of `train` are: {known}")
    return found


def _plan_lines(ready: _Ready, plan: TrainingPlan) -> Iterator[str]:
    spec = ready.spec
    rollouts = spec.prompts_per_step * spec.samples_per_prompt
    per_step = f"{spec.prompts_per_step:,} traces" if spec.algorithm == SUPERVISED else f"{rollouts:,} rollouts"
    yield f"{spec.algorithm} with {ready.backend.name}: {spec.steps:,} steps on {per_step} each, from {spec.base}"
    yield f"data: {ready.data.rows:,} rows of {', '.join(ready.data.tasks)} (sha256 {ready.data.digest[:12]})"
    if spec.algorithm != SUPERVISED:
        yield f"prompts of up to {spec.max_prompt_toks:,} tokens, completions of up to {spec.max_gen_toks:,}"
    yield from (f"note: {note}" for note in plan.notes)
    yield from (f"missing: {lack}" for lack in plan.missing)
    yield f"command: {' '.join(plan.command)}"


def _end_lines(found: Sequence[Checkpoint]) -> Iterator[str]:
    for one in sorted(found, key=lambda checkpoint: checkpoint.step):
        yield f"checkpoint\t{one.step}\t{one.path}{'  (adapter)' if one.is_adapter else ''}"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
