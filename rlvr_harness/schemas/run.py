"""run.json, schema `rlvr-harness/run/1.x`: what was run, with what, and how far it has got."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rlvr_harness.schemas.shapes import Count, Fraction, NotNegative, Open, Positive, Shape

RunSchema = Annotated[str, Field(pattern=r"^rlvr-harness/run/1(\.[0-9]+)?$")]


class Law(Shape):
    """The sampling law that every request of a task was sent with."""

    temperature: NotNegative
    top_p: Fraction
    top_k: Count
    min_p: Fraction
    repetition_penalty: NotNegative
    max_gen_toks: Positive


class TaskRecord(Shape):
    """One task: its data, its prompts, who judges and how it is sampled."""

    problems: Count
    data_revision: str | None
    data_hash: str
    prompt_hash: str
    verifier: str
    verifier_version: str
    longest_prompt: Count
    sampling: Law
    plan: Open
    sandbox: Open | None = None


class ModelRecord(Shape):
    """One model, known in full once it has been opened."""

    path: str
    revision: str | None = None
    weight_hash: str | None = None
    tokenizer_hash: str | None = None
    chat_template_hash: str | None = None
    context_length: Positive | None = None
    usage: Open | None = None
    notes: list[str] | None = None


class PluginRecord(Shape):
    """One plugin that was loaded."""

    name: str
    version: str


class SampledRun(Shape):
    """run.json of a run that samples; `models` fills up as models are opened."""

    schema_: RunSchema = Field(alias="schema")
    created: str = Field(description="ISO 8601, UTC")
    spec: Open = Field(description="every option, as resolved; the names are those of the flags")
    command: str = Field(description="repeats the run")
    tasks: dict[str, TaskRecord]
    models: dict[str, ModelRecord]
    threads: Positive | None
    plugins: dict[str, PluginRecord]
    versions: dict[str, str]
    git_commit: str | None
    hardware: Open
    notes: list[str]
    fairness: Open
    rows_per_unit: dict[str, dict[str, Positive | None]]
    status: dict[str, Literal["done"]] = Field(description="stages that are finished")
    timings: Open | None = None
    execution: Open | None = None


class ImportedRun(Shape):
    """run.json of what `rlvr-harness import` took in."""

    schema_: RunSchema = Field(alias="schema")
    imported: Open = Field(description="the files, by role, and how they were read")


RunFile = SampledRun | ImportedRun
