"""Stored samples judged again, and two verifiers compared."""

import json

import numpy as np
import pytest

from rlvr_harness import FinishReason, Outcome, Problem, RunFolderError, Sample, Verdict
from rlvr_harness.metrics.disagreement import PairedCounts, false_positive_rate, pass_at_k_floor
from rlvr_harness.registry import load_plugins
from rlvr_harness.report.tables import disagreement_table
from rlvr_harness.reverifying import compare, verify_again
from rlvr_harness.run_reader import read_verdicts
from rlvr_harness.run_store import RunStore


class Second:
    """Finds every text with an even last digit right."""

    name = "even"
    version = "1"
    description = "even last digits"
    limits = None

    def verdict_key(self, problem, sample):
        return sample.text

    def quick(self, problem, sample):
        return None

    def verify(self, problem, sample):
        right = sample.text.strip("}").endswith(("0", "2", "4", "6", "8"))
        return Verdict.right(sample, sample.text) if right else Verdict.wrong(sample, sample.text, "odd")


class Plugin:
    @staticmethod
    def provide_verifiers():
        return [Second()]


@pytest.fixture
def registry():
    from rlvr_harness import hookimpl

    plugin = Plugin()
    plugin.provide_verifiers = hookimpl(lambda: [Second()])
    return load_plugins(extra=[("even", plugin)])


@pytest.fixture
def folder(tmp_path):
    texts = ["\\boxed{4}", "\\boxed{5}", "\\boxed{6}", "\\boxed{5}"]
    samples = [Sample("t", "model", "p", i, i, text, FinishReason.STOP, 3) for i, text in enumerate(texts)]
    record = {"spec": {"k": 4}, "tasks": {"t": {"verifier": "math", "verifier_version": "0"}}, "models": {"model": {}}}
    with RunStore(tmp_path / "run") as store:
        store.write_problems("t", [Problem("t", "p", "?", "5", metadata={})])
        store.append_samples(samples)
        store.write_run(record)
    return tmp_path / "run"


def outcomes(folder, verifier):
    verdicts = sorted(read_verdicts(folder, "t", "model", verifier), key=lambda verdict: verdict.index)
    return [verdict.outcome.value for verdict in verdicts]


def test_the_tasks_own_verifier_judges_again_and_its_version_is_recorded(folder, registry):
    assert list(verify_again(folder, registry, None, workers=1)) == []
    assert outcomes(folder, "math") == ["wrong", "right", "wrong", "right"]
    assert json.loads((folder / "run.json").read_text())["tasks"]["t"]["verifier_version"] != "0"


def test_a_second_verifier_is_stored_beside_the_first_and_compared(folder, registry):
    list(verify_again(folder, registry, None, workers=1))
    (found,) = verify_again(folder, registry, "even", workers=1)
    assert outcomes(folder, "math") == ["wrong", "right", "wrong", "right"]
    assert outcomes(folder, "even") == ["right", "wrong", "right", "wrong"]
    assert (found.samples, found.rate, found.first_only, found.second_only) == (4, 1.0, 2, 2)
    assert (found.band[4].low, found.band[4].high) == (0.0, 1.0)
    cases = json.loads((folder / "disagreement-even.json").read_text())["cases"]
    assert [(case["index"], case["first"]["outcome"]) for case in cases] == [
        (0, "wrong"),
        (1, "right"),
        (2, "wrong"),
        (3, "right"),
    ]


def test_a_void_verdict_is_no_disagreement(folder):
    first = [Verdict("p", 0, Outcome.RIGHT, "5", "match"), Verdict("p", 1, Outcome.VOID, None, "verifier_timeout")]
    second = [Verdict("p", 0, Outcome.RIGHT, "5", "match"), Verdict("p", 1, Outcome.WRONG, "4", "mismatch")]
    with RunStore(folder) as store:
        store.append_verdicts("t", "model", "a", first)
        store.append_verdicts("t", "model", "b", second)
    found = compare(folder, "t", "model", ("a", "b"), 1)
    assert (found.samples, found.void, found.rate) == (1, 1, 0.0)


def test_imported_counts_hold_nothing_to_verify(tmp_path, registry):
    with RunStore(tmp_path / "counts") as store:
        store.write_run({"imported": {}})
    with pytest.raises(RunFolderError, match="imported counts"):
        list(verify_again(tmp_path / "counts", registry, None, workers=1))


def test_the_report_shows_both_verifiers_the_band_and_the_floor(folder, registry):
    task = {
        "models": {
            "model": {
                "verifier_disagreement": {
                    "strict": {
                        "first": "math",
                        "rate": 0.25,
                        "first_only": 1,
                        "second_only": 0,
                        "void": 0,
                        "pass_at_k_band": {"1": {"low": 0.25, "high": 0.5}, "4": {"low": 0.5, "high": 1.0}},
                        "pass_at_k_floor": {"1": 0.5, "4": 0.9375},
                    }
                }
            }
        }
    }
    (row,) = disagreement_table(task).rows
    assert row[1:] == ["math / strict", "25.00 %", "1", "0", "0", "4", "50.0\N{EN DASH}100.0 %", "93.8 %"]


def test_the_floor_takes_what_the_second_verifier_refuses_for_wrong(folder, registry):
    list(verify_again(folder, registry, None, workers=1))
    (found,) = verify_again(folder, registry, "even", workers=1)
    assert found.false_positive_rate == 1.0
    assert found.as_data()["pass_at_k_floor"]["4"] == 1.0


def test_one_false_positive_of_four_wrong_samples_floors_pass_at_2_at_7_sixteenths():
    counts = PairedCounts(*(np.array([value]) for value in (5, 2, 1, 1)))
    assert false_positive_rate(counts) == 0.25
    assert pass_at_k_floor(0.25, 2) == pytest.approx(7 / 16)


def test_under_a_sequential_plan_the_band_reaches_beyond_the_samples_of_a_stopped_problem(folder, registry):
    # By "math" only samples 1 and 3 are right, by "even" only 0 and 2: stages of 2 and 4, stopping after 1, end at 2.
    list(verify_again(folder, registry, None, workers=1))
    list(verify_again(folder, registry, "even", workers=1))
    plan = {"kind": "sequential", "stages": [2, 4], "stop_after": 1}
    band = compare(folder, "t", "model", ("math", "even"), 4, plan).band
    assert list(band) == [1, 2, 4]
    # One of two right by the first: half the orders begin with it; the other is right by the second.
    assert [(point.low, point.high) for point in band.values()] == [(0.0, 1.0)] * 3
    results = {"schema": "rlvr-harness/results/1", "tasks": {"t": {"models": {"model": {"plan": plan}}}}}
    (folder / "results.json").write_text(json.dumps(results))
    (again,) = verify_again(folder, registry, "even", workers=1)
    assert again.band == band
    assert json.loads((folder / "results.json").read_text())["tasks"]["t"]["models"]["model"]["verifier_disagreement"]
