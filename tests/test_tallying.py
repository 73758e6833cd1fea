"""Verdicts folded into counts stage by stage: a problem stops by its settled verdicts and by nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rlvr_harness.assembling import Named, _tally
from rlvr_harness.metrics.curve import StagePath
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Tally, Verdict, VerdictCount
from rlvr_harness.run_reader import count_verdicts
from rlvr_harness.run_store import RunStore
from rlvr_harness.stages.measuring import TaskTallies, measure_task
from rlvr_harness.stages.tallying import count_answers, count_texts, first_stage, stage_paths, tally_verdicts

STAGES, STOP_AFTER = (2, 4, 8), 2
OUTCOMES = {"r": Outcome.RIGHT, "w": Outcome.WRONG, "v": Outcome.VOID}


def counted(problem_id: str, row: str) -> list[VerdictCount]:
    """'rw' -> one count a sample, in the order of its index."""
    stage_of = [sum(index >= end for end in STAGES) for index in range(len(row))]
    return [VerdictCount(problem_id, OUTCOMES[mark], mark, 1, stage) for mark, stage in zip(row, stage_of, strict=True)]


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ("rr", StagePath((2,), 2)),
        ("rwrw", StagePath((2, 4), 2)),
        ("rwwwwwww", StagePath((2, 4, 8), 1)),
        ("wwwwrrrr", StagePath((2, 4, 8), 4)),
        ("vwrr", StagePath((1, 3), 2)),
        ("rwvvwwww", StagePath((2, 2, 6), 1)),
        ("vvvvvvvv", StagePath((0, 0, 0), 0)),
        ("vvrr", StagePath((0, 2), 2)),
        # Two right in the first stage, one of them void when the run decided: what came later is left out.
        ("rrwwww", StagePath((2,), 2)),
        ("", StagePath((), 0)),
    ],
)
def test_a_problem_ends_where_its_verdicts_stop_it(row, path):
    assert stage_paths(["p"], counted("p", row), STAGES, STOP_AFTER) == {"p": path}


def test_samples_past_the_last_stage_belong_to_no_stage():
    assert stage_paths(["p"], counted("p", "w" * 8 + "rrr"), STAGES, STOP_AFTER) == {"p": StagePath((2, 4, 8), 0)}


def test_answers_of_the_first_verified_stage_alone_are_counted():
    counts = [*counted("p", "rwww"), *counted("q", "vvrw")]
    assert count_answers(first_stage(counts)) == {
        "p": {"r": (1, 1), "w": (1, 0)},
        "q": {"r": (1, 1), "w": (1, 0)},
    }
    assert tally_verdicts(["p", "q"], first_stage(counts)) == [Tally("p", 2, 1), Tally("q", 2, 1)]


def test_lengths_are_those_of_the_samples_that_every_problem_has():
    easy = [("easy", index, "x", "stop", 10) for index in range(2)]
    hard = [("hard", index, f"y{index}", "length", 100) for index in range(8)]
    found = count_texts([*easy, *hard], first=2)
    assert (found.samples, found.truncated, found.truncated_share, found.mean_tokens) == (10, 8, 0.5, 55.0)
    assert count_texts([*easy, *hard]).mean_tokens == 82.0
    assert (count_texts([]).mean_tokens, count_texts([], first=2).truncated_share) == (None, None)


@pytest.fixture
def folder(tmp_path):
    """Problem a stops at 2, b at 4 of 8, c goes on to 8; b's first sample is void."""
    rows = {"a": "rr", "b": "vwrr", "c": "rwwwwwww"}
    with RunStore(tmp_path / "run") as store:
        for problem_id, row in rows.items():
            samples = [
                Sample("t", "model", problem_id, index, index, f"{problem_id}{index}", FinishReason.STOP, 5)
                for index in range(len(row))
            ]
            store.append_samples(samples)
            verdicts = [Verdict(problem_id, index, OUTCOMES[mark], mark, "x") for index, mark in enumerate(row)]
            store.append_verdicts("t", "model", "v", verdicts)
        store.commit()
    return tmp_path / "run"


def test_stored_verdicts_are_counted_by_stage(folder):
    counts = count_verdicts(folder, "t", "model", "v", STAGES)
    assert stage_paths(["a", "b", "c"], counts, STAGES, STOP_AFTER) == {
        "a": StagePath((2,), 2),
        "b": StagePath((1, 3), 2),
        "c": StagePath((2, 4, 8), 1),
    }
    assert {each.stage for each in count_verdicts(folder, "t", "model", "v")} == {0}


def test_a_stored_sequential_run_is_measured_up_to_its_last_stage(folder):
    plan = SimpleNamespace(as_data=lambda: {"kind": "sequential", "stages": list(STAGES), "stop_after": STOP_AFTER})
    problems = [Problem("t", problem_id, "?", "1") for problem_id in "abc"]
    prompted = SimpleNamespace(problems=problems)
    task = SimpleNamespace(name="t", prompted=prompted, verifier=SimpleNamespace(name="v"), plan=plan)
    prepared = SimpleNamespace(spec=SimpleNamespace(models={"model": "m"}, seed=0))
    tallied = _tally(prepared, task, folder, Named("model", "m"))
    assert tallied.even == [Tally("a", 2, 2), Tally("b", 1, 0), Tally("c", 2, 1)]
    entry = measure_task(TaskTallies("t", [tallied.model], k=8))
    found = entry["models"]["model"]
    assert (found["samples"], found["right"], found["wrong"], found["void"]) == (14, 5, 8, 1)
    assert (found["plan"]["expected_full"], found["plan"]["saved"]) == (24, 10)
    assert found["pass_at_k"]["8"]["value"] == 1.0
    # a: 1. b at (3, 2), where one right of its first stage's one sample stops nothing: 2 of 3 orders begin right.
    # c at (8, 1): 1/8.
    assert found["pass_at_k"]["1"]["value"] == pytest.approx((1 + 2 / 3 + 1 / 8) / 3)
    assert found["counts"]["stages"] == {"b": [1, 3]}
    assert entry["warnings"] == []
