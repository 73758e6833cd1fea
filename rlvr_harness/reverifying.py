"""`verify`: judges the stored samples of a run again, without sampling, and compares two verifiers."""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rlvr_harness.confining import confine
from rlvr_harness.contracts import Verifier
from rlvr_harness.errors import RunFolderError, UsageError
from rlvr_harness.foreign_metric import NO_CHOICE, MetricChoice
from rlvr_harness.metrics.curve import Stopping
from rlvr_harness.metrics.disagreement import (
    BandPoint,
    PairedCounts,
    disagreement_rate,
    false_positive_rate,
    pass_at_k_band,
    pass_at_k_floor,
)
from rlvr_harness.planning import SampleKey
from rlvr_harness.preparing import find_task
from rlvr_harness.records import Outcome, Problem, Verdict, VerdictCount
from rlvr_harness.registry import Registry
from rlvr_harness.requests import PromptRequest, SandboxChoice
from rlvr_harness.run_reader import read_json, read_problems, read_samples, read_verdicts
from rlvr_harness.run_store import RunStore
from rlvr_harness.schemas.checking import read_results
from rlvr_harness.stages.tallying import stage_paths
from rlvr_harness.stages.verifying import VerifierPool

CASES_LISTED = 10_000
NO_PLAN: Mapping[str, Any] = MappingProxyType({})
_SANDBOX_KEYS = ("sandbox", "sandbox_level")


@dataclass(frozen=True)
class Disagreement:
    """Two verifiers on one model's samples of one task; `cases` are the samples they differ on."""

    task: str
    role: str
    first: str
    second: str
    samples: int
    void: int
    rate: float | None
    first_only: int
    second_only: int
    band: Mapping[int, BandPoint]
    false_positive_rate: float | None
    cases: Sequence[Mapping[str, Any]]

    def as_data(self) -> dict[str, Any]:
        """For results.json: everything but the cases."""
        data = {key: value for key, value in asdict(self).items() if key not in ("cases", "task", "role", "band")}
        rate = self.false_positive_rate
        floor = {} if rate is None else {str(k): pass_at_k_floor(rate, k) for k in self.band}
        band = {str(k): asdict(point) for k, point in self.band.items()}
        return data | {"pass_at_k_band": band, "pass_at_k_floor": floor}

    def line(self) -> str:
        """One line for the terminal."""
        rate = "-" if self.rate is None else f"{self.rate:.2%}"
        last = max(self.band, default=0)
        band = f"; pass@{last} between {self.band[last].low:.1%} and {self.band[last].high:.1%}" if last else ""
        return (
            f"{self.role} on {self.task}: {self.second} differs from {self.first} on {rate} of {self.samples:,} "
            f"samples ({self.first_only:,} right by {self.first} alone, {self.second_only:,} by {self.second} alone, "
            f"{self.void:,} void){band}"
        )


def verify_again(
    folder: Path, registry: Registry, verifier: str | None, workers: int, choice: MetricChoice = NO_CHOICE
) -> Iterator[Disagreement]:
    """Judges every stored sample with `verifier` (None: each task's own, in its present version) and stores it.

    `choice` replaces the run's --metric and --threshold, for lm-eval tasks. Yields one comparison per task and model
    where the verifier is another than the task's own.
    """
    record = read_json(folder, "run.json")
    if "tasks" not in record:
        raise RunFolderError(f"{folder} holds imported counts, no samples to verify")
    spec = record["spec"] if "spec" in record else record["imported"]
    if "spec" not in record and verifier is None:
        raise UsageError(f"{folder} holds imported verdicts; name who is to judge the texts, as --verifier math")
    judges = _judges(record, spec, registry, (verifier, choice))
    found = []
    with RunStore(folder) as store:
        for task, facts in record["tasks"].items():
            judge = judges[task]
            for role in record["models"]:
                problems = {problem.problem_id: problem for problem in read_problems(folder, task, role)}
                with VerifierPool(judge, workers) as pool:
                    judge_stored(store, task, role, pool, (judge.name, problems))
                if judge.name != facts["verifier"]:
                    names, plan = (facts["verifier"], judge.name), _plan(folder, task, role)
                    found.append(compare(folder, task, role, names, spec["k"] or _reach(folder, task), plan))
            if judge.name == facts["verifier"]:
                facts["verifier_version"] = judge.version
        store.write_run(record)
        if found:
            _write(store, folder, found)
    yield from found


def _judges(
    record: dict[str, Any], spec: dict[str, Any], registry: Registry, asked: tuple[str | None, MetricChoice]
) -> dict[str, Verifier]:
    """Task -> who judges it now; a choice of metric goes into the spec."""
    verifier, choice = asked
    if choice:
        if verifier is not None or all(facts["verifier"] in registry.offered["verifier"] for facts in _facts(record)):
            raise UsageError(
                "--metric and --threshold are for lm-eval tasks judged by their own scoring; no task here is"
            )
        spec |= {"metric": choice.metric, "threshold": choice.threshold}
    judges = {}
    for task, facts in record["tasks"].items():
        name = verifier or facts["verifier"]
        if verifier is not None or name in registry.offered["verifier"]:
            judges[task] = registry.get("verifier", name)
        else:
            judges[task] = _tasks_own(task, name, spec, registry)
        confined = confine(judges[task], registry, SandboxChoice(*(spec[key] for key in _SANDBOX_KEYS if key in spec)))
        judges[task] = confined.verifier if confined else judges[task]
    return judges


def _facts(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(record["tasks"].values())


def _tasks_own(task: str, name: str, spec: Mapping[str, Any], registry: Registry) -> Verifier:
    """The verifier that a task brings along, as an lm-eval task does, made anew."""
    paths = {key: Path(spec[key]) if spec.get(key) else None for key in ("include_path", "data_dir")}
    choice = MetricChoice(spec.get("metric"), spec.get("threshold"))
    found = find_task(registry, task, paths["include_path"], choice)
    brought = found.load(PromptRequest(limit=spec.get("limit"), data_dir=paths["data_dir"])).verifier
    own: Verifier = registry.get("verifier", name) if isinstance(brought, str) else brought
    return own


def _plan(folder: Path, task: str, role: str) -> Mapping[str, Any]:
    """By which plan the model was sampled, as results.json has it; empty where the run got not that far."""
    if not (folder / "results.json").is_file():
        return {}
    plan: Mapping[str, Any] = read_results(folder)["tasks"][task]["models"][role]["plan"]
    return plan


def _reach(folder: Path, task: str) -> int:
    """The largest k of an import that was given none."""
    models = read_results(folder)["tasks"][task]["models"].values()
    return max((int(k) for model in models for k in model["pass_at_k"]), default=1)


def compare(
    folder: Path, task: str, role: str, names: tuple[str, str], k: int, plan: Mapping[str, Any] = NO_PLAN
) -> Disagreement:
    """The stored verdicts of two verifiers side by side; samples that either left void are counted apart."""
    first, second = ({(v.problem_id, v.index): v for v in read_verdicts(folder, task, role, name)} for name in names)
    shared = [key for key in first if key in second]
    judged = [key for key in shared if Outcome.VOID not in (first[key].outcome, second[key].outcome)]
    counts, staged = _paired(judged, first, second), plan.get("kind") == "sequential"
    differing = [key for key in judged if first[key].outcome is not second[key].outcome]
    return Disagreement(
        task=task,
        role=role,
        first=names[0],
        second=names[1],
        samples=len(judged),
        void=len(shared) - len(judged),
        rate=disagreement_rate(counts),
        first_only=int((counts.first - counts.both).sum()),
        second_only=int((counts.second - counts.both).sum()),
        band=_sequential_band(first, second, k, plan) if staged else pass_at_k_band(counts, k),
        false_positive_rate=false_positive_rate(counts),
        cases=[_case(task, role, first[key], second[key]) for key in differing],
    )


def judge_stored(
    store: RunStore, task: str, role: str, pool: VerifierPool, judge: tuple[str, Mapping[str, Problem]]
) -> None:
    """Judges the stored samples of one model on one task; `judge` is the name of the verdicts, and the problems."""
    name, problems = judge
    samples = read_samples(store.folder, task, role)
    for problem_id, group in groupby(samples, key=lambda sample: sample.problem_id):
        pool.submit(problems[problem_id], list(group))
        store.append_verdicts(task, role, name, pool.ready())
        store.commit_if_due()
    store.append_verdicts(task, role, name, pool.drain())
    store.commit()


def _paired(
    keys: Sequence[SampleKey], first: Mapping[SampleKey, Verdict], second: Mapping[SampleKey, Verdict]
) -> PairedCounts:
    rows = {problem_id: row for row, problem_id in enumerate(dict.fromkeys(key[0] for key in keys))}
    table = np.zeros((4, len(rows)), dtype=np.int64)
    for key in keys:
        right = [verdicts[key].outcome is Outcome.RIGHT for verdicts in (first, second)]
        table[:, rows[key[0]]] += (1, right[0], right[1], all(right))
    return PairedCounts(*table)


def _sequential_band(
    first: Mapping[SampleKey, Verdict], second: Mapping[SampleKey, Verdict], k: int, plan: Mapping[str, Any]
) -> Mapping[int, BandPoint]:
    """The band over the samples that the plan counts; one that the second verifier left void is taken to fail it."""
    stages = tuple(plan["stages"])
    ids = list(dict.fromkeys(problem_id for problem_id, _ in first))
    counts = [VerdictCount(v.problem_id, v.outcome, None, 1, bisect(stages, v.index)) for v in first.values()]
    paths = stage_paths(ids, counts, stages, plan["stop_after"])
    ends = {problem_id: stages[len(path.reached) - 1] for problem_id, path in paths.items() if path.reached}
    counted = [i for i in first if first[i].outcome is not Outcome.VOID and i[1] < ends.get(i[0], 0)]
    refused = {key: second.get(key, replace(first[key], outcome=Outcome.WRONG)) for key in counted}
    measured = dict.fromkeys(problem_id for problem_id, _ in counted)
    stopping = Stopping(stages, plan["stop_after"], tuple(paths[problem_id].reached for problem_id in measured))
    return pass_at_k_band(_paired(counted, first, refused), k, stopping)


def _case(task: str, role: str, first: Verdict, second: Verdict) -> dict[str, Any]:
    sides = {
        side: {"outcome": verdict.outcome.value, "answer": verdict.answer, "reason": verdict.reason}
        for side, verdict in (("first", first), ("second", second))
    }
    return {"task": task, "model": role, "problem_id": first.problem_id, "index": first.index, **sides}


def _write(store: RunStore, folder: Path, found: Sequence[Disagreement]) -> None:
    """The cases as JSON beside the verdicts, the rates and bands into results.json where there is one."""
    cases = [case for one in found for case in one.cases]
    name = f"disagreement-{found[0].second}.json"
    store.write_json(name, {"cases": cases[:CASES_LISTED], "left_out": max(0, len(cases) - CASES_LISTED)})
    if (folder / "results.json").is_file():
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        for one in found:
            model = results["tasks"][one.task]["models"][one.role]
            model.setdefault("verifier_disagreement", {})[one.second] = one.as_data()
        store.write_json("results.json", results)
