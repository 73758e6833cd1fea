"""lm-eval's own `generate_until` tasks as pass@k tasks: our sampler, their filters and `process_results`."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rlvr_harness.contracts import LoadedTask
from rlvr_harness.errors import TaskError, UsageError, first_line
from rlvr_harness.foreign_metric import NO_CHOICE, MetricChoice, MetricRule, Scores, Scoring, choose_rule, describe_rule
from rlvr_harness.lm_eval_bridge import (
    LmEvalDefinition,
    find_lm_eval_definition,
    lm_eval_problems,
    load_lm_eval_task,
    score_response,
)
from rlvr_harness.records import Problem, Sample, Verdict, plain_fields
from rlvr_harness.requests import PromptRequest, WorkLimits
from rlvr_harness.task_files import hash_documents
from rlvr_harness.training_contracts import TrainingRequest

PREFIX = "lm_eval:"
REVISION = "lm-eval "
"""How `data_revision` begins for lm-eval's own tasks."""
PROBED_PROBLEMS = 3
GROUP_KEYS = frozenset({"group", "group_alias", "task", "tag", "aggregate_metric_list", "metadata", "version"})
NOTHING_FOUND = (
    "[invalid]"  # what lm-eval's regex filter gives where its pattern is not in the text: "x" -> "[invalid]"
)


@dataclass(frozen=True)
class LmEvalTask:
    """Any lm-eval `generate_until` task, judged by its own filters and `process_results` as `choice` says."""

    name: str
    include_path: Path | None = None
    choice: MetricChoice = NO_CHOICE
    description: str = "an lm-eval task, judged by its own metric"

    def load(self, request: PromptRequest) -> LoadedTask:
        """The problems with their prompts, and a verifier made of the task's own scoring."""
        file = self._safe_definition()
        return self._loaded(request, file, load_lm_eval_task(self.name, file))

    @property
    def training_source(self) -> str:
        """The split that lm-eval knows as the task's training split; empty where there is none, or it is evaluated."""
        config = load_lm_eval_task(self.name, self._safe_definition()).config
        evaluated = config.test_split or config.validation_split
        split = config.training_split
        return f"split '{split}' of {config.dataset_path}" if split and split != evaluated else ""

    def load_training(self, request: TrainingRequest) -> LoadedTask:
        """All problems of the training split, their ids beginning with its name."""
        file = self._safe_definition()
        task = load_lm_eval_task(self.name, file)
        split = task.config.training_split
        task.set_config("test_split", split)
        loaded = self._loaded(request.prompts, file, task)
        renamed = [replace(problem, problem_id=f"{split}/{problem.problem_id}") for problem in loaded.problems]
        return replace(loaded, problems=renamed)

    def _loaded(self, request: PromptRequest, file: Path, task: Any) -> LoadedTask:
        if task.OUTPUT_TYPE != "generate_until":
            raise _not_generating(self.name, task.OUTPUT_TYPE)
        if getattr(task, "UNSAFE_CODE", False):
            raise _unsafe(self.name)
        notes = list(_notes(self.name, task, request.num_fewshot))
        problems = lm_eval_problems(task, self.name, request)
        scoring, rule = self._scoring(task, problems)
        return LoadedTask(
            problems=problems,
            verifier=LmEvalVerifier(file, rule, f"{task.VERSION} {rule} {_code_hash(file)}"),
            data_revision=f"{REVISION}{task.DATASET_PATH} version {task.VERSION}",
            data_hash=hash_documents([problem.metadata for problem in problems]),
            max_gen_toks=(task.config.generation_kwargs or {}).get("max_gen_toks"),
            notes=(describe_rule(rule, scoring), *notes),
        )

    def members(self) -> list[str]:
        """The names of the tasks that the name stands for: itself, or those of a group or tag.

        Raises UsageError for a group that changes its tasks' options, since the tasks alone are then others.
        """
        definition = self._definition()
        listed = definition.members or definition.config.get("task")
        if definition.file is not None and "group" not in definition.config:
            return [self.name]
        names = [listed] if isinstance(listed, str) else list(listed or ())
        plain = all(isinstance(name, str) for name in names) and not set(definition.config) - GROUP_KEYS
        if not names or not plain:
            tasks = [name if isinstance(name, str) else str(name.get("task")) for name in names]
            raise UsageError(
                f"'{self.name}' is an lm-eval group with options of its own; name the tasks that you mean: "
                f"{', '.join(tasks) or 'it lists none'}"
            )
        found = [LmEvalTask(PREFIX + name, self.include_path).members() for name in names]
        return list(dict.fromkeys(name for part in found for name in part))

    def _definition(self) -> LmEvalDefinition:
        definition = find_lm_eval_definition(self.name.removeprefix(PREFIX), self.include_path)
        if definition is None:
            raise TaskError(f"task '{self.name}': lm-eval has no such task; `rlvr-harness ls tasks` lists ours")
        return definition

    def _safe_definition(self) -> Path:
        """The YAML file, refused before any code that it names is loaded where it already says what it cannot be."""
        definition = self._definition()
        if definition.file is None or "group" in definition.config:
            raise UsageError(f"'{self.name}' is an lm-eval group; name one of its tasks: {', '.join(self.members())}")
        if definition.config.get("unsafe_code", False) is not False:
            raise _unsafe(self.name)
        kind = definition.config.get("output_type", "generate_until")
        if kind != "generate_until":
            raise _not_generating(self.name, kind)
        if any(definition.config.get(f"doc_to_{medium}") for medium in ("image", "audio")):
            raise TaskError(f"task '{self.name}' shows pictures or sound, and lm-eval tasks are sampled as text only")
        return definition.file.resolve()

    def _scoring(self, task: Any, problems: Sequence[Problem]) -> tuple[Scoring, MetricRule]:
        filters = [ensemble.name for ensemble in task._filters]
        listed = [name for name in task.higher_is_better() if isinstance(name, str)]
        lower = frozenset(name for name, higher in task.higher_is_better().items() if higher is False)
        used = self.choice.filter_among(self.name, filters, listed)
        scoring = Scoring(self.name, listed, filters, lower, _probes(self.name, task, used, problems))
        return scoring, choose_rule(scoring, self.choice, used)


@dataclass(frozen=True)
class LmEvalVerifier:
    """An lm-eval task's own scoring, sample by sample, in worker processes that load the task from its file."""

    file: Path
    rule: MetricRule
    version: str
    name: str = "lm-eval"
    description: str = "the lm-eval task's own filters and process_results"

    @property
    def limits(self) -> WorkLimits:
        """A regular expression of the task may hang on a text. The first call of a worker also loads task and data."""
        return WorkLimits(wall_s=60.0, memory_mb=8192)

    def verdict_key(self, problem: Problem, sample: Sample) -> str:
        """The text itself: nothing is known of what the task reads in it."""
        return sample.text

    def quick(self, problem: Problem, sample: Sample) -> Verdict | None:
        """None: every text goes through the task."""
        return None

    def verify(self, problem: Problem, sample: Sample) -> Verdict:
        """As the rule says of this text alone; the answer is what the rule's filter reads in it."""
        task = _task_at(self.rule.task, self.file)
        document = _document(task, problem)
        with redirect_stdout(sys.stderr):
            response, scores = score_response(task, self.rule.filter, sample.text, document, problem.prompt)
        answer = None if response == NOTHING_FOUND else str(response)
        if self.rule.is_right(scores):
            return Verdict.right(sample, answer)
        return Verdict.wrong(sample, answer, "mismatch" if answer is not None else "no_answer")


@cache
def _task_at(name: str, file: Path) -> Any:
    """Loaded once in a process: a worker judges many samples of it."""
    from datasets.utils import tqdm

    # Its own lock is a semaphore between processes, which a worker that is ended leaves behind with a warning.
    tqdm.set_lock(threading.RLock())
    return load_lm_eval_task(name, file)


def _document(task: Any, problem: Problem) -> Mapping[str, Any]:
    """The task's own document of the problem, with the fields that are no JSON; else what is stored of it."""
    documents = task.task_docs if hasattr(task, "task_docs") else task.eval_docs
    if problem.problem_id.isdecimal() and int(problem.problem_id) < len(documents):
        own = dict(documents[int(problem.problem_id)])
        if json.dumps(plain_fields(own)) == json.dumps(dict(problem.metadata)):
            return own
    return problem.metadata


def _probes(name: str, task: Any, filter_name: str, problems: Sequence[Problem]) -> list[Scores]:
    """The scores of texts on which any scoring should work, to see its metrics before the first sample."""
    found: list[Scores] = []
    fault: Exception | None = None
    for problem in problems[:PROBED_PROBLEMS]:
        gold = problem.reference
        for text in (gold, "", f"{gold} and {gold}"):
            try:
                with redirect_stdout(sys.stderr):
                    found.append(score_response(task, filter_name, text, _document(task, problem), problem.prompt)[1])
            except Exception as error:  # noqa: BLE001  (a task's own code is called; one text may be beyond it)
                fault = error
    if fault is not None and not found:
        raise TaskError(
            f"task '{name}': filter '{filter_name}' and process_results fail on the task's own gold answer "
            f"({type(fault).__name__}: {first_line(fault)}); mend the task, or choose another filter with "
            "--metric NAME,FILTER"
        ) from fault
    return found


def _notes(name: str, task: Any, num_fewshot: int) -> Iterator[str]:
    repeats = task.config.repeats or 1
    if repeats > 1:
        yield f"task '{name}': its {repeats} repeats are ignored, every sample is judged by itself"
    own = task.config.num_fewshot or 0
    if own != num_fewshot:
        yield f"task '{name}': lm-eval shows {own} worked examples, this run {num_fewshot}; see --num_fewshot"


def _code_hash(file: Path) -> str:
    """Eight digits of what decides a verdict and lies in the task's folder: its YAML files and Python modules."""
    digest = hashlib.sha256()
    for path in sorted([*file.parent.glob("*.yaml"), *file.parent.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _unsafe(name: str) -> TaskError:
    return TaskError(f"task '{name}' runs model-written code outside a sandbox; use a task of ours instead")


def _not_generating(name: str, kind: str) -> TaskError:
    return TaskError(f"task '{name}' is '{kind}'; pass@k needs an lm-eval generate_until task")
