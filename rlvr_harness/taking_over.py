"""Takes over what a model of one run folder wrote, and how it was judged, into another run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlvr_harness.parts.columns import PartKind
from rlvr_harness.parts.keys import KeySet
from rlvr_harness.parts.naming import scores_folder
from rlvr_harness.run_reader import read_samples, read_scores, read_verdicts, sample_keys, settled_keys
from rlvr_harness.run_store import RunStore


@dataclass(frozen=True)
class Source:
    """A model of a run folder, by its role there, and the tasks with their verifiers."""

    folder: Path
    role: str
    verifiers: Mapping[str, str]


def take_over(source: Source, target: Path, role: str, record: Mapping[str, Any]) -> None:
    """Copies samples and verdicts under `role`, then writes `record` as run.json: a copy cut short is ended first."""
    with RunStore(target) as store:
        for task, verifier in source.verifiers.items():
            for sample in read_samples(source.folder, task, source.role, skip=sample_keys(target, task, role)):
                store.append_samples([replace(sample, model=role)])
                store.commit_if_due()
            judged = settled_keys(target, task, role, verifier)
            for verdict in read_verdicts(source.folder, task, source.role, verifier):
                if (verdict.problem_id, verdict.index) not in judged:
                    store.append_verdicts(task, role, verifier, [verdict])
                    store.commit_if_due()
        store.commit()
        store.write_run(record)


def take_over_scores(source: Source, target: Path, role: str, kinds: Sequence[PartKind]) -> None:
    """Copies what the model said of its own texts, where the target lacks it."""
    with RunStore(target) as store:
        for kind in kinds:
            for task in source.verifiers:
                known = KeySet((row[0], row[1]) for row in read_scores(target, kind, task, role, role))
                rows = read_scores(source.folder, kind, task, source.role, source.role)
                place = scores_folder(target, kind.top, task, role, role)
                store.append_scores(place, kind, (row for row in rows if row[:2] not in known))
        store.commit()
