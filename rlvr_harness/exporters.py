"""The forms that `export` knows, and those of them that are for other people's sites."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rlvr_harness.errors import HarnessError, TaskError, UsageError, first_line
from rlvr_harness.exporting import Export, export_csv, export_lm_eval
from rlvr_harness.logged_numbers import curve_rows, run_settings, summary_numbers
from rlvr_harness.run_store import escape

HUB_DATASET = re.compile(r"([\w.-]+/[\w.-]+)(?:@(?:([0-9a-f]{40})|.*))?")
"""HuggingFaceH4/MATH-500@6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be -> its id and revision; a branch is no revision"""
PROJECT = "rlvr-harness"


def export_hub(export: Export) -> Iterator[Path]:
    """Per model and task `.eval_results/<task>.yaml`, and one model-index for the README of each model."""
    datasets = {task: _dataset(export, task) for task in export.results["tasks"]}
    for role in export.roles:
        folder = export.target / escape(role)
        for task, entry in export.of_role(role):
            yield _write_yaml(
                folder / ".eval_results" / f"{escape(task)}.yaml", _entries(export, task, entry, datasets[task])
            )
        yield _write_yaml(folder / "model-index.yaml", _model_index(export, role, datasets))


def _dataset(export: Export, task: str) -> tuple[str, str | None]:
    """Id and revision of the task's data set on the Hub. Raises UsageError where neither run nor user names one."""
    known = (export.results["run"].get("tasks") or {}).get(task) or {}
    named = export.datasets.get(task) or str(known.get("data_revision") or "")
    found = HUB_DATASET.fullmatch(named)
    if not found:
        raise UsageError(
            f"task '{task}': the run does not say which data set of the Hub it is of; add --dataset {task}=OWNER/NAME"
        )
    return found[1], found[2]


def _notes(export: Export, task: str, entry: Mapping[str, Any], k: str) -> str:
    point, counts = entry["pass_at_k"][k], entry["counts"]["n"]
    fewest, most = min(counts, default=0), max(counts, default=0)
    number = f"n={most}" if fewest == most else f"n={fewest} to {most}"
    interval = "" if point["low"] is None else f", 95 % interval {point['low']:.4f} to {point['high']:.4f}"
    base = export.results["tasks"][task]["models"].get("base")
    against = f", base {base['name']}" if base and base is not entry else ""
    return f"pass@{k} (unbiased), {number} samples a problem{interval}{against}"


def _entries(export: Export, task: str, entry: Mapping[str, Any], of: tuple[str, str | None]) -> Any:
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    dataset, revision = of
    return eval_result_entries_to_yaml(
        [
            EvalResultEntry(
                dataset_id=dataset,
                task_id=f"{task}_pass_at_{k}",
                value=point["value"],
                dataset_revision=revision,
                date=export.results["run"].get("created"),
                notes=_notes(export, task, entry, k),
            )
            for k, point in entry["pass_at_k"].items()
            if point["value"] is not None
        ]
    )


def _model_index(export: Export, role: str, datasets: Mapping[str, Any]) -> Any:
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=datasets[task][0],
            dataset_name=task,
            dataset_revision=datasets[task][1],
            metric_type=f"pass@{k}",
            metric_name=_notes(export, task, entry, k),
            metric_value=point["value"],
        )
        for task, entry in export.of_role(role)
        for k, point in entry["pass_at_k"].items()
        if point["value"] is not None
    ]
    name = next((entry["name"] for _, entry in export.of_role(role)), role)
    return {"model-index": eval_results_to_model_index(name, results)}


def _write_yaml(path: Path, content: Any) -> Path:
    import yaml

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise TaskError(f"{path} cannot be written: {error.strerror}") from error
    return path


def export_wandb(export: Export) -> Iterator[Path]:
    """A Weights & Biases run per model; WANDB_MODE=offline keeps it in the output folder."""
    try:
        import wandb
    except ImportError as error:
        raise _not_installed("wandb") from error
    export.target.mkdir(parents=True, exist_ok=True)
    for role in export.roles:
        try:
            run = wandb.init(
                project=PROJECT,
                name=_run_name(export, role),
                dir=str(export.target),
                config=run_settings(export.results),
            )
            for row in curve_rows(export.results, role):
                run.log(row)
            run.summary.update(summary_numbers(export.results, role))
            run.finish()
        except Exception as error:
            raise _failed("wandb", error, "WANDB_MODE=offline needs no network") from error
        yield Path(run.dir).parent


def export_trackio(export: Export) -> Iterator[Path]:
    """A Trackio run per model; TRACKIO_DIR names the folder of its database."""
    try:
        import trackio
    except ImportError as error:
        raise _not_installed("trackio") from error
    for role in export.roles:
        try:
            trackio.init(project=PROJECT, name=_run_name(export, role), config=run_settings(export.results))
            for row in curve_rows(export.results, role):
                trackio.log(row)
            trackio.log(summary_numbers(export.results, role))
            trackio.finish()
        except Exception as error:
            raise _failed("trackio", error, "is TRACKIO_DIR writable?") from error
    yield Path(os.environ.get("TRACKIO_DIR", Path.home() / ".cache/huggingface/trackio"))


def _run_name(export: Export, role: str) -> str:
    return f"{export.folder.resolve().name}-{role}"


def _not_installed(library: str) -> UsageError:
    return UsageError(f'--format {library} needs a library that is not installed: pip install "{library}"')


def _failed(library: str, error: Exception, way_out: str) -> HarnessError:
    return HarnessError(f"{library} fails: {type(error).__name__}: {first_line(error)}; {way_out}")


EXPORTERS: Mapping[str, Callable[[Export], Iterator[Path]]] = MappingProxyType(
    {
        "lm-eval": export_lm_eval,
        "hub": export_hub,
        "csv": export_csv,
        "wandb": export_wandb,
        "trackio": export_trackio,
    }
)
"""What `export --format` takes; each yields what it wrote."""


def export(what: Export, form: str) -> Iterator[Path]:
    """Writes the results in another program's form; raises UsageError where the target cannot be a folder."""
    try:
        what.target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{what.target} cannot be a folder: {error.strerror}; choose another with -o") from error
    yield from EXPORTERS[form](what)
