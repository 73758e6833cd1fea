# mypy: disable-error-code="empty-body"
"""The hooks a plugin may implement. Each `provide_*` returns a list of named objects; the core picks by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy

from rlvr_harness.contracts import Importer, Metric, ReportSection, Sampler, Task, Trainer, Verifier
from rlvr_harness.sandbox_contracts import Sandbox
from rlvr_harness.training_contracts import TrainingBackend

PROJECT = "rlvr_harness"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def provide_tasks() -> list[Task]:
    """Called once when plugins load; return the tasks this plugin offers."""


@hookspec
def provide_verifiers() -> list[Verifier]:
    """Called once when plugins load; return the verifiers this plugin offers."""


@hookspec
def provide_samplers() -> list[Sampler]:
    """Called once when plugins load; return the samplers (engines) this plugin offers."""


@hookspec
def provide_sandboxes() -> list[Sandbox]:
    """Called once when plugins load; return the sandboxes this plugin offers."""


@hookspec
def provide_trainers() -> list[Trainer | TrainingBackend]:
    """Called once when plugins load; return the trainers and the backends of `train` that this plugin offers."""


@hookspec
def provide_metrics() -> list[Metric]:
    """Called once when plugins load; return the metrics this plugin offers."""


@hookspec
def provide_report_sections() -> list[ReportSection]:
    """Called once when plugins load; return the report sections this plugin offers."""


@hookspec
def provide_importers() -> list[Importer]:
    """Called once when plugins load; return the importers of foreign results this plugin offers."""


@hookspec
def run_started(spec: Mapping[str, Any], run_dir: Path) -> None:
    """Called before the first sample of a run, with the resolved RunSpec as plain data; observe only."""


@hookspec
def stage_finished(stage: str, run_dir: Path) -> None:
    """Called after a stage has been written to the run folder, as yet after 'sampling' alone; observe only."""


@hookspec
def run_finished(results: Mapping[str, Any], run_dir: Path) -> None:
    """Called after results.json has been written, with its content; observe only."""
