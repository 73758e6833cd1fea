"""The plugin `template` of rlvr-harness: a task, its verifier, a metric and a report section."""

from __future__ import annotations

from rlvr_harness import Metric, ReportSection, Task, Verifier, hookimpl

from rlvr_template.metric import SolvedMetric
from rlvr_template.section import SolvedSection
from rlvr_template.task import LastStepTask
from rlvr_template.verifier import StepVerifier


@hookimpl
def provide_tasks() -> list[Task]:
    """The task `template`."""
    return [LastStepTask()]


@hookimpl
def provide_verifiers() -> list[Verifier]:
    """The verifier of its answers."""
    return [StepVerifier()]


@hookimpl
def provide_metrics() -> list[Metric]:
    """How many problems were solved at all."""
    return [SolvedMetric()]


@hookimpl
def provide_report_sections() -> list[ReportSection]:
    """The metric as a table."""
    return [SolvedSection()]
