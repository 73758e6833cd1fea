"""Perplexity and entropy of the checkpoints of a sweep; what the base says of its own texts is found once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rlvr_harness.analyses import add_analyses
from rlvr_harness.parts.columns import ENTROPIES, PERPLEXITIES, PartKind
from rlvr_harness.registry import load_plugins
from rlvr_harness.run_reader import read_json
from rlvr_harness.run_spec import parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.schemas.checking import read_results
from rlvr_harness.scored_samples import Selection
from rlvr_harness.scoring import (
    PerplexityWish,
    ScorerOptions,
    Scorers,
    Tell,
    sampled_record,
    score_entropy,
    score_perplexity,
)
from rlvr_harness.taking_over import Source, take_over_scores


@dataclass(frozen=True)
class Analyses:
    """What is asked of each checkpoint: perplexity of its texts under the base, and token entropy."""

    ppl: bool = False
    entropy: bool = False
    per_problem: int = 8
    limit: int | None = None

    @property
    def kinds(self) -> list[PartKind]:
        """What the base says of its own texts for these."""
        return [kind for kind, wanted in ((PERPLEXITIES, self.ppl), (ENTROPIES, self.entropy)) if wanted]

    def as_data(self) -> list[object]:
        """For sweep.json; empty where nothing is asked."""
        names = [kind.top for kind in self.kinds]
        return [*names, self.per_problem, self.limit] if names else []


def analyse_base(folder: Path, role: str, wish: Analyses, tell: Tell) -> None:
    """Has the base score its own texts in its own run folder."""
    _analyse(folder, [role], wish, tell)


def analyse(source: Source, folder: Path, roles: tuple[str, str], wish: Analyses, tell: Tell) -> None:
    """Has a checkpoint's run analysed; `source`: the base in its own folder; `roles`: of base and checkpoint here."""
    take_over_scores(source, folder, roles[0], wish.kinds)
    _analyse(folder, list(roles), wish, tell)


def _analyse(folder: Path, roles: list[str], wish: Analyses, tell: Tell) -> None:
    """Scores by the first role, the base, and puts what was found into results.json."""
    record = sampled_record(folder)
    registry = load_plugins(parse_spec(record["spec"], "run.json").without)
    scorers, selection = Scorers(record, registry, ScorerOptions()), Selection(wish.per_problem, wish.limit)
    with RunStore(folder) as store:
        if wish.ppl:
            score_perplexity(store, scorers, PerplexityWish(roles[:1], roles, {}, selection), tell)
        if wish.entropy:
            score_entropy(store, scorers, roles, selection, tell)
        results = read_results(folder)
        add_analyses(results, folder, record)
        store.write_json("results.json", results)


def verifiers_of(folder: Path) -> dict[str, str]:
    """Task -> verifier of a run folder."""
    return {task: facts["verifier"] for task, facts in read_json(folder, "run.json")["tasks"].items()}
