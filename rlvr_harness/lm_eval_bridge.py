"""The only importer of lm_eval: task definitions, prompts, model loading and results files come through here.

Known to work with lm-eval 0.4.13; the names used are those that `tests/test_lm_eval_contract.py` lists and holds.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr_harness.contracts import LoadedTask
from rlvr_harness.errors import ModelError, TaskError, first_line
from rlvr_harness.lm_eval_view import lm_eval_view, quiet_lm_eval
from rlvr_harness.pictures import marked, with_pictures
from rlvr_harness.records import Problem, plain_fields
from rlvr_harness.requests import Documents, PromptRequest
from rlvr_harness.task_files import (
    TaskFile,
    as_dataset,
    check_fields,
    check_unique,
    hash_documents,
    packaged_task_folder,
    read_rows,
    stop_strings,
    with_policy,
)

LM_EVAL_EXCEPTIONS = (ValueError, TypeError, KeyError, AttributeError, OSError, RuntimeError, AssertionError)


@dataclass(frozen=True)
class YamlTask:
    """A task of ours: an lm-eval YAML whose `metadata` names verifier, problem ids and local data file."""

    file: TaskFile

    @property
    def name(self) -> str:
        """The task's name, as in the YAML."""
        return self.file.name

    @property
    def description(self) -> str:
        """One line for `ls tasks`."""
        return self.file.description

    def load(self, request: PromptRequest, documents: Documents | None = None) -> LoadedTask:
        """The problems, their prompts rendered by lm-eval; of the documents given, else of those the YAML names."""
        if documents is not None:
            config, revision = dict(self.file.config), documents.revision
            rows: list[dict[str, Any]] | None = [dict(row) for row in documents.rows]
        else:
            config, revision = self.file.config_for(request.data_dir)
            rows = read_rows(config, self.file, request.data_dir)
        definition = self.file.worded(config, request.profile)
        if rows is not None:
            split = definition["test_split"]
            definition |= {"dataset_path": None, "dataset_name": None, "dataset_kwargs": None, "metadata": None}
            definition["custom_dataset"] = lambda **_: {split: as_dataset(rows, self.name)}
        elif self.file.selection.fields:
            definition["process_docs"] = self._selected
        field = self.file.image_field
        task = _configured_task(definition, self.name, request.data_dir)
        asked = marked(self.name, request) if field else request
        problems = lm_eval_problems(task, self.name, asked, self.file.problem_id_field)
        if field:
            rows = [instance.doc for instance in task.instances]
            problems = with_pictures(problems, rows, field, self.file.picture_folder(request.data_dir))
        check_fields(docs := [problem.metadata for problem in problems], self.file)
        return LoadedTask(
            problems=[with_policy(problem, request.profile) for problem in problems],
            verifier=self.file.verifier,
            data_revision=revision,
            data_hash=hash_documents(docs),
            max_gen_toks=task.config.generation_kwargs.get("max_gen_toks"),
            chance=self.file.chances({p.problem_id: p.metadata for p in problems}),
            chance_label=self.file.chance_label,
            image_field=field,
            notes=documents.notes if documents else (),
        )

    def _selected(self, dataset: Any) -> Any:
        selection = self.file.selection
        columns = dataset.select_columns(selection.fields).to_dict()
        return dataset.select(selection.rows(columns))


def yaml_task(path: Path) -> YamlTask:
    """A task defined by an lm-eval YAML file with a `metadata` block of ours (see `task_files`)."""
    return YamlTask(TaskFile.read(path))


def packaged_task(name: str) -> YamlTask:
    """A task that ships with the harness under `tasks/<name>/<name>.yaml`."""
    return yaml_task(packaged_task_folder(name) / f"{name}.yaml")


@dataclass(frozen=True)
class LmEvalDefinition:
    """A task's YAML file and what stands in it (functions still as text), or the members of a group or tag."""

    file: Path | None
    config: Mapping[str, Any]
    members: tuple[str, ...] = ()


def find_lm_eval_definition(name: str, include_path: Path | None) -> LmEvalDefinition | None:
    """What lm-eval knows under this name in `include_path`, else built in; None where it knows nothing.

    Only files that mention the name are read, since building lm-eval's whole index takes 20 s; for a group or tag that
    is built in there is no way around it.
    """
    from lm_eval.tasks import TaskManager

    folders = [(include_path, True)] if include_path else []
    files, grouped = _mentions(name)
    folders += [(folder, False) for folder in dict.fromkeys(file.parent for file in files)]
    folders += [(_built_in(), True)] if grouped else []
    with quiet_lm_eval():
        for folder, whole in folders:
            entry = TaskManager(include_path=str(folder), include_defaults=False).task_index.get(name)
            if entry is None or not (whole or entry.kind.name in ("TASK", "PY_TASK")):
                continue
            members = entry.tags if entry.kind.name == "TAG" else ()
            return LmEvalDefinition(entry.yaml_path, entry.cfg or {}, tuple(sorted(members)))
    return None


def is_lm_eval_name(name: str) -> bool:
    """Whether a task file of lm-eval's names this task, group or tag."""
    return any(_mentions(name))


def load_lm_eval_task(name: str, file: Path) -> Any:
    """lm-eval's task of a YAML file, with its data. Raises TaskError."""
    from lm_eval.tasks import TaskManager

    with quiet_lm_eval():
        try:
            (task,) = TaskManager(include_defaults=False).load([str(file)])["tasks"].values()
        except (*LM_EVAL_EXCEPTIONS, ImportError) as error:
            raise _load_error(name, error) from error
    return task


def score_response(task: Any, filter_name: str, text: str, doc: Mapping[str, Any], prompt: str) -> tuple[Any, Any]:
    """(what one filter of the task reads in a single response, what `process_results` gives for it)."""
    from lm_eval.api.instance import Instance

    instance = Instance("generate_until", dict(doc), (prompt, {}), 0, resps=[text])
    with quiet_lm_eval():
        next(one for one in task._filters if one.name == filter_name).apply([instance])
        response = instance.filtered_resps[filter_name]
        return response, task.process_results(dict(doc), [response])


def _built_in() -> Path:
    import lm_eval

    return Path(lm_eval.__file__).parent / "tasks"


def _mentions(name: str) -> tuple[list[Path], bool]:
    """(built-in YAML files that define a task of this name, whether one may belong to a group or tag of this name)."""
    value = rb"\s*[\"']?" + re.escape(name.encode()) + rb"[\"']?\s*$"
    task = re.compile(rb"^\s*(?:- )?task:" + value, re.MULTILINE)
    group = re.compile(rb"^\s*(?:(?:- )?(?:group|tag):|-)" + value, re.MULTILINE)
    texts = ((path, path.read_bytes()) for path in sorted(_built_in().rglob("*.yaml")))
    found = [(path, text) for path, text in texts if name.encode() in text]
    files = [path for path, text in found if task.search(text)]
    return files, any(group.search(text) for _, text in found)


def open_lm(name: str, model_args: Mapping[str, Any], device: str | None = None) -> Any:
    """A model opened by lm-eval's own name (`hf`, ...) and arguments; for `hf` an HFLM with .model and .tokenizer.

    Raises ModelError with the cause and the way out.
    """
    from lm_eval.api.registry import get_model

    with quiet_lm_eval():
        try:
            model_class = get_model(name)
        except (ValueError, KeyError) as error:
            raise ModelError(f"lm-eval knows no model type '{name}'") from error
        try:
            return model_class.create_from_arg_obj(dict(model_args), {"device": device} if device else {})
        except (*LM_EVAL_EXCEPTIONS, ImportError) as error:
            raise ModelError(
                f"cannot open model '{model_args.get('pretrained', name)}': {first_line(error)}"
            ) from error


def lm_eval_model_names() -> list[str]:
    """The model types that lm-eval itself can open."""
    from lm_eval.models import MODEL_MAPPING

    return sorted(MODEL_MAPPING)


def generate_texts(lm: Any, prompts: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The text for each (prompt, generation options) by the model's `generate_until`. Raises ModelError."""
    from lm_eval.api.instance import Instance

    quiet = {"disable_tqdm": True} if "disable_tqdm" in inspect.signature(lm.generate_until).parameters else {}
    requests = [Instance("generate_until", {}, (text, dict(o)), row) for row, (text, o) in enumerate(prompts)]
    with quiet_lm_eval():
        try:
            return [str(text) for text in lm.generate_until(requests, **quiet)]
        except LM_EVAL_EXCEPTIONS as error:
            raise ModelError(f"lm-eval's {type(lm).__name__} fails to generate: {first_line(error)}") from error


def write_lm_eval_results(results: Mapping[str, Any], role: str, folder: Path) -> Path:
    """The pass@k of one model as an lm-eval results file under `folder`; returns the file written."""
    from lm_eval.loggers import EvaluationTracker

    path = results["run"].get("models", {}).get(role, {}).get("path", role)
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args(
        model_source="rlvr-harness",
        model_args=f"pretrained={path}",
        system_instruction=None,
        chat_template=None,
        fewshot_as_multiturn=False,
    )
    before = set(folder.rglob("results_*.json"))
    tracker.save_results_aggregated(lm_eval_view(results, role), samples=None)
    written = set(folder.rglob("results_*.json")) - before
    if not written:
        raise TaskError(f"lm-eval wrote no results file to {folder}; check that the folder is writable")
    return written.pop()


def _configured_task(definition: dict[str, Any], name: str, data_dir: Path | None) -> Any:
    from lm_eval.api.task import ConfigurableTask

    with quiet_lm_eval():
        try:
            return ConfigurableTask(config=definition)
        except LM_EVAL_EXCEPTIONS as error:
            raise _load_error(name, error) from error


def _load_error(name: str, error: Exception) -> TaskError:
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.errors import HfHubHTTPError

    unreachable = (ConnectionError, TimeoutError, DatasetNotFoundError, HfHubHTTPError)
    if isinstance(error, unreachable) or "offline" in str(error).lower():
        return TaskError(
            f"task '{name}': its data set cannot be fetched from the hub ({first_line(error)}); "
            "check the network, or give local copies with --data_dir DIR"
        )
    return TaskError(f"task '{name}' cannot be loaded: {type(error).__name__}: {first_line(error)}")


def lm_eval_problems(task: Any, name: str, request: PromptRequest, id_field: str | None = None) -> list[Problem]:
    """The task's problems with the prompts that lm-eval builds for the request."""
    chat = request.chat_renderer
    task.set_config("num_fewshot", request.num_fewshot)
    task.set_fewshot_seed(request.seed)
    with quiet_lm_eval():
        try:
            task.build_all_requests(
                limit=request.limit,
                rank=0,
                world_size=1,
                system_instruction=request.system_instruction,
                apply_chat_template=chat is not None,
                fewshot_as_multiturn=chat is not None and request.num_fewshot > 0,
                chat_template=chat,
                tokenizer_name=request.tokenizer_name,
            )
        except LM_EVAL_EXCEPTIONS as error:
            raise _load_error(name, error) from error
    problems = [_problem(task, name, instance, id_field) for instance in task.instances]
    check_unique(name, [problem.problem_id for problem in problems])
    return problems


def _problem(task: Any, name: str, instance: Any, id_field: str | None) -> Problem:
    doc = dict(instance.doc)
    if id_field is not None and doc.get(id_field) is None:
        raise TaskError(f"task '{name}': row {instance.doc_id} lacks the field '{id_field}'")
    target = task.doc_to_target(instance.doc)
    return Problem(
        task=name,
        problem_id=str(instance.doc_id if id_field is None else doc[id_field]),
        prompt=instance.args[0],
        reference=target if isinstance(target, str) else json.dumps(target),
        stop=stop_strings(instance.args[1].get("until")),
        metadata=plain_fields(doc),
    )
