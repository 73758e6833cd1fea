"""Sample efficiency: how many samples the first right answer costs, as a metric and a section of the report."""

from __future__ import annotations

from rlvr_harness import Metric, ReportSection, hookimpl

from rlvr_sample_efficiency.metric import SampleEfficiency
from rlvr_sample_efficiency.section import EfficiencySection


@hookimpl
def provide_metrics() -> list[Metric]:
    """The metric `sample_efficiency`."""
    return [SampleEfficiency()]


@hookimpl
def provide_report_sections() -> list[ReportSection]:
    """Its table."""
    return [EfficiencySection()]
