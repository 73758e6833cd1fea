"""Which tasks have problems to train on, and how those of lm-eval YAML tasks are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rlvr_harness.contracts import LoadedTask, Task
from rlvr_harness.errors import UsageError
from rlvr_harness.lm_eval_bridge import YamlTask
from rlvr_harness.requests import PromptRequest
from rlvr_harness.task_files import TaskFile
from rlvr_harness.training_contracts import TrainableTask, TrainingRequest


@dataclasses.dataclass(frozen=True)
class YamlTraining:
    """The training split that a task's YAML names: `metadata.training_split`, else lm-eval's `training_split`.

    `metadata.training_file` is its local copy under --data_dir. A task that evaluates on that very split trains on the
    rows that it selects; of any other split all rows are training problems, and their ids begin with its name.
    """

    file: TaskFile

    @property
    def training_source(self) -> str:
        """Data set and split; empty where the YAML names no training split."""
        return f"split '{self._split}' of {self.file.source}" if self._split else ""

    def load_training(self, request: TrainingRequest) -> LoadedTask:
        """All problems of the split, whatever `request.count` is."""
        loaded = YamlTask(self._training_file()).load(request.prompts)
        if self._split == self.file.config["test_split"]:
            return loaded
        problems = [
            dataclasses.replace(problem, problem_id=f"{self._split}/{problem.problem_id}")
            for problem in loaded.problems
        ]
        return dataclasses.replace(loaded, problems=problems, chance={})

    @property
    def _split(self) -> str:
        config = self.file.config
        return str(config["metadata"].get("training_split") or config.get("training_split") or "")

    def _training_file(self) -> TaskFile:
        config: dict[str, Any] = {**self.file.config, "test_split": self._split}
        if self._split == self.file.config["test_split"]:
            return self.file
        for key in ("training_split", "validation_split", "fewshot_split"):
            config.pop(key, None)
        metadata = {**config["metadata"], "local_file": config["metadata"].get("training_file")}
        for key in ("keep", "hash_split", "local_each"):
            metadata.pop(key, None)
        return TaskFile(self.file.path, {**config, "metadata": metadata})


@dataclasses.dataclass(frozen=True)
class TrainingView:
    """A task as the prompting stage sees it, whose problems are its training problems."""

    task: Task
    trainable: TrainableTask
    count: int | None
    seed: int

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def description(self) -> str:
        """Where the problems come from."""
        return self.trainable.training_source

    def load(self, request: PromptRequest) -> LoadedTask:
        """The training problems with their prompts."""
        return self.trainable.load_training(TrainingRequest(request, self.count, self.seed))


def trainable(task: Task) -> TrainableTask | None:
    """What gives the task's training problems; None where it has none."""
    found: TrainableTask | None = None
    if isinstance(task, TrainableTask):
        found = task
    elif isinstance(task, YamlTask):
        found = YamlTraining(task.file)
    return found if found is not None and found.training_source else None


def require_trainable(task: Task, others: Sequence[Task]) -> TrainableTask:
    """`trainable`, or a UsageError that names those of the other tasks that have training problems."""
    found = trainable(task)
    if found is None:
        known = ", ".join(sorted(other.name for other in others if trainable(other))) or "none"
        raise UsageError(
            f"task '{task.name}' has no training split, and nothing is trained on what it evaluates with; "
            f"tasks with one: {known}"
        )
    return found
