"""What run.json says of the models of a run: what they are, what they used, and how fast they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvr_harness.contracts import OpenModel
from rlvr_harness.errors import RunFolderError
from rlvr_harness.pipeline import Speed
from rlvr_harness.preparing import PreparedRun
from rlvr_harness.sampler_contracts import MeteredModel, NotedModel

KEPT = ("usage", "notes", "name", "step", "series")
"""What run.json says of a model beside what its sampler does: from earlier parts of the run, or given beforehand."""


def record_model(record: dict[str, Any], prepared: PreparedRun, role: str, model: OpenModel, folder: Path) -> None:
    """What is known of an opened model. Raises RunFolderError where its weights are not those of earlier parts."""
    profile = prepared.profiles[role]
    now = {
        "path": prepared.spec.models[role],
        **asdict(model.facts),
        "context_length": profile.context_length,
        "tokenizer_hash": profile.tokenizer_hash,
        "chat_template_hash": profile.chat_template_hash,
    }
    before = now | record["models"].get(role, {})
    if before["weight_hash"] not in (None, now["weight_hash"]):
        raise RunFolderError(
            f"{folder}: the weights of the {role} model ({now['path']}) have changed since the run began; "
            "start a new run with -o"
        )
    kept = {key: record["models"][role][key] for key in KEPT if key in record["models"].get(role, {})}
    models = record["models"] | {role: now | kept}
    record["models"] = {each: models[each] for each in (*prepared.requests, *models) if each in models}


def record_use(record: dict[str, Any], role: str, model: OpenModel) -> None:
    """Adds what the model used to what earlier parts of the run did, and its notes to theirs, once each."""
    known = record["models"].setdefault(role, {})
    if isinstance(model, MeteredModel) and (used := model.usage()):
        before = known.get("usage", {})
        known["usage"] = before | {name: before.get(name, 0) + count for name, count in used.items()}
    if isinstance(model, NotedModel) and (notes := model.law_notes()):
        known["notes"] = list(dict.fromkeys([*known.get("notes", []), *notes]))


def record_speed(record: dict[str, Any], task: str, role: str, speed: Speed) -> None:
    """Adds what sampling took to what earlier parts of the run did."""
    timings = record.setdefault("timings", {}).setdefault("sampling", {}).setdefault(f"{task}/{role}", {})
    if not speed.samples:
        return
    for key, value in (("samples", speed.samples), ("tokens", speed.tokens), ("engine_s", round(speed.engine_s, 2))):
        timings[key] = timings.get(key, 0) + value


def identical_notes(role: str, speeds: Mapping[str, Speed]) -> list[str]:
    """A note for each task, by its speed, on which all texts of every problem were one."""
    return [
        f"{role} on {task}: every problem with 8 or more samples has one text for all of them although the "
        "temperature is above 0; pass@k of such samples says nothing"
        for task, speed in speeds.items()
        if speed.identical
    ]
