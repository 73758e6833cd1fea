"""`validate`: proves for each problem that its gold is accepted, near misses are refused and junk survives."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rlvr_harness import provenance
from rlvr_harness.confining import confine
from rlvr_harness.contracts import SelfTestingVerifier, Verifier
from rlvr_harness.foreign_metric import NO_CHOICE, MetricChoice
from rlvr_harness.preparing import find_tasks
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Verdict
from rlvr_harness.registry import load_plugins
from rlvr_harness.requests import PromptRequest, SandboxChoice
from rlvr_harness.stages.verifying import VerifierPool

USUAL_SANDBOX = SandboxChoice()
FOREIGN_TRIED = 50
"""How many following problems are looked at for another gold: choices A to E repeat themselves."""
JUNK = (
    "",
    " ",
    "\\boxed{",
    "\\boxed{}",
    "\\boxed{\\frac{1}{",
    "{}" * 200,
    "9" * 5000,
    "\\boxed{9^{9^{9^{9^{9}}}}}",
    "\x00\u2028é",
)
GOLD, NEAR_MISS, FOREIGN, JUNK_TEXT = "gold", "near miss", "other's gold", "junk"
KINDS = (GOLD, NEAR_MISS, FOREIGN, JUNK_TEXT)


TABLE_ROW = "{:<24} {:>9} {:>13} {:>15} {:>17} {:>13}  {}"
COLUMNS = ("task", "problems", "golds right", "misses refused", "others' refused", "junk survived", "")
TABLE_HEADER = TABLE_ROW.format(*COLUMNS)


@dataclass(frozen=True)
class Probe:
    """One text whose verdict is known beforehand."""

    kind: str
    problem: Problem
    text: str


@dataclass(frozen=True)
class ValidationReport:
    """What went wrong in a task; empty `faults` means all probes came out as they must."""

    task: str
    problems: int
    probes: Counter[str]
    faults: Sequence[tuple[Probe, Verdict]]

    @property
    def passed(self) -> bool:
        """Whether no probe failed."""
        return not self.faults

    def lines(self) -> Iterator[str]:
        """A line per fault, then the task's row of the table that `TABLE_HEADER` begins."""
        for probe, verdict in self.faults:
            what = (
                f"{probe.problem.problem_id}: {probe.kind} {probe.text[:80]!r} is {verdict.outcome} ({verdict.reason})"
            )
            yield f"{self.task}\t{what}; reference {probe.problem.reference[:80]!r}"
        failed = Counter(probe.kind for probe, _ in self.faults)
        cells = [
            f"{self.probes[kind] - failed[kind]:,}/{self.probes[kind]:,}" if self.probes[kind] else "-"
            for kind in KINDS
        ]
        summary = "ok" if self.passed else f"{len(self.faults):,} FAULTS"
        yield TABLE_ROW.format(self.task, f"{self.problems:,}", *cells, summary)


def validate(
    tasks: Sequence[str],
    request: PromptRequest,
    include_path: Path | None = None,
    workers: int | None = None,
    choice: MetricChoice = NO_CHOICE,
    sandbox: SandboxChoice = USUAL_SANDBOX,
) -> Iterator[ValidationReport]:
    """One report per task; `choice` is for lm-eval tasks, `sandbox` for tasks whose answers are programs."""
    registry = load_plugins()
    found = [task for name in tasks for task in find_tasks(registry, name, include_path, choice)]
    for task in found:
        loaded = task.load(request)
        wanted = loaded.verifier
        verifier: Verifier = registry.get("verifier", wanted) if isinstance(wanted, str) else wanted
        confined = confine(verifier, registry, sandbox)
        verifier = confined.verifier if confined else verifier
        yield validate_problems(task.name, loaded.problems, verifier, workers or provenance.free_cores())


def validate_problems(task: str, problems: Sequence[Problem], verifier: Verifier, workers: int) -> ValidationReport:
    """Probes every problem with its gold, near misses and, the first few, with junk."""
    probes = [probe for problem in problems for probe in _probes(problem, verifier)]
    probes += _foreign_golds(problems, verifier)
    probes += [Probe(JUNK_TEXT, problem, text) for problem in problems[:5] for text in JUNK]
    by_problem: dict[str, list[Probe]] = {}
    for probe in probes:
        by_problem.setdefault(probe.problem.problem_id, []).append(probe)
    faults = []
    with VerifierPool(verifier, workers) as pool:
        for group in by_problem.values():
            pool.submit(group[0].problem, [_sample(probe, index) for index, probe in enumerate(group)])
        for verdict in pool.drain():
            probe = by_problem[verdict.problem_id][verdict.index]
            if verdict.outcome is not (Outcome.RIGHT if probe.kind == GOLD else Outcome.WRONG):
                faults.append((probe, verdict))
    return ValidationReport(task, len(problems), Counter(probe.kind for probe in probes), faults)


def _probes(problem: Problem, verifier: Verifier) -> Iterator[Probe]:
    if not isinstance(verifier, SelfTestingVerifier):
        yield Probe(GOLD, problem, problem.reference)
        return
    for text in verifier.gold_texts(problem):
        yield Probe(GOLD, problem, text)
    for text in verifier.near_misses(problem):
        yield Probe(NEAR_MISS, problem, text)


def _foreign_golds(problems: Sequence[Problem], verifier: Verifier) -> Iterator[Probe]:
    """For each problem the gold of the next one whose gold is another: a verifier that accepts it accepts anything."""
    if not isinstance(verifier, SelfTestingVerifier) or len(problems) < 2:
        return
    golds = [list(verifier.gold_texts(problem)) for problem in problems]
    for place, problem in enumerate(problems):
        following = [(place + step) % len(problems) for step in range(1, min(len(problems), FOREIGN_TRIED))]
        own = {_digits(text) or text for text in golds[place]}
        others = (text for other in following for text in golds[other][:1] if (_digits(text) or text) not in own)
        for text in islice(others, 1):
            yield Probe(FOREIGN, problem, text)


def _digits(text: str) -> tuple[str, ...]:
    """What tells `x = 5` from `6` and not from `5`, or `25` degrees from 25."""
    return tuple(re.findall(r"\d+", text))


def _sample(probe: Probe, index: int) -> Sample:
    problem = probe.problem
    return Sample(problem.task, probe.kind, problem.problem_id, index, 0, probe.text, FinishReason.STOP, 0)
