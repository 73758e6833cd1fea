"""A sequential run in results.json: without bias, compared with any other model, and rebuilt from its counts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rlvr_harness.errors import TaskError
from rlvr_harness.metrics.curve import ProblemCounts, StagePath, Stopping
from rlvr_harness.metrics.estimates import pass_curve
from rlvr_harness.metrics.guessing import ForeignMatches
from rlvr_harness.records import Tally
from rlvr_harness.report import render_html, render_markdown
from rlvr_harness.report.terminal import render_terminal
from rlvr_harness.report.wording import saving_sentence
from rlvr_harness.stages.measuring import ModelTallies, TaskTallies, measure_task

PLAN = {"kind": "sequential", "stages": [4, 8, 16], "stop_after": 2}
ENDS = [(4, 3), (4, 2), (8, 3), (16, 0), (16, 1), (16, 5)]
"""(n, c): two problems stopped at the first stage, one at the second, three at the end."""


def sequential(role="model", ends=ENDS, plan=PLAN, **known) -> ModelTallies:
    return ModelTallies(role, role, [Tally(f"p{row}", n, c) for row, (n, c) in enumerate(ends)], plan=plan, **known)


def fixed(role="base", n=16, right=(9, 0, 4, 0, 2, 5)) -> ModelTallies:
    return ModelTallies(role, role, [Tally(f"p{row}", n, c) for row, c in enumerate(right)])


def measured(*models, **options):
    entry = measure_task(TaskTallies("toy", models, **options))
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    return entry


def test_the_curve_reaches_the_last_stage_though_most_problems_stopped_before():
    entry = measured(sequential(), k=16)
    found = entry["models"]["model"]
    assert list(found["pass_at_k"]) == ["1", "2", "4", "8", "16"]
    assert found["pass_at_k"]["16"]["value"] == pytest.approx(5 / 6)
    # Stopped at 4: 3/4 and 1/2. At (8, 3), with one or none right of the first 4: 4 C(4, 2) = 24 orders of the one
    # kind, C(4, 3) = 4 of the other, so pass@1 = 24/28 * 1/4. None of 16: 0. At (16, 1): 1/16. At (16, 5), with at most
    # one right of the first 8: none in C(8, 5) = 56 orders, one in 8 C(8, 4) = 560, so pass@1 = 560/616 * 1/8.
    expected = (3 / 4 + 1 / 2 + 24 / 28 / 4 + 0 + 1 / 16 + 560 / 616 / 8) / 6
    assert found["pass_at_k"]["1"]["value"] == pytest.approx(expected, abs=1e-14)
    assert entry["warnings"] == []


def test_what_was_drawn_saved_and_paid_is_recorded():
    found = measured(sequential())["models"]["model"]
    assert (found["samples"], found["right"], found["wrong"], found["void"]) == (64, 14, 50, 0)
    plan = found["plan"]
    assert (plan["kind"], plan["stages"], plan["stop_after"]) == ("sequential", [4, 8, 16], 2)
    assert (plan["expected_full"], plan["saved"], plan["first_stage"]) == (96, 32, 4)
    widths = plan["sampling_width"]
    assert list(widths) == ["1", "2", "4", "8", "16"]
    assert widths["1"]["plan"] > widths["1"]["full"]
    assert widths["16"]["plan"] == pytest.approx(widths["16"]["full"])
    point = found["pass_at_k"]["1"]
    assert point["sampling_high"] - point["sampling_low"] == pytest.approx(widths["1"]["plan"])


def test_what_cannot_be_estimated_beyond_the_first_stage_is_null():
    answers = {f"p{row}": {"7": (3, 3), "8": (1, 0)} for row in range(6)}
    foreign = ForeignMatches(np.array([4, 4]), np.array([1, 0]))
    found = measured(sequential(answers=answers, foreign=foreign))["models"]["model"]
    for curve in (
        found["pass_hat_k"],
        found["maj_at_k"],
        found["g_pass_at_k"]["0.5"],
        found["guess_floor"]["empirical"],
    ):
        assert [k for k, point in curve.items() if point is None] == ["8", "16"]
        assert [k for k, point in curve.items() if point is not None] == ["1", "2", "4"]
    # Three of four answers are right: the plurality of all four is.
    assert found["maj_at_k"]["4"]["value"] == 1.0
    assert found["guess_floor"]["empirical"]["4"] == 0.5


def test_answers_of_more_than_the_first_stage_are_a_bug():
    with pytest.raises(ValueError, match="answers of 'p2' do not add up"):
        measured(sequential(answers={f"p{row}": {"7": (n, c)} for row, (n, c) in enumerate(ENDS)}))


def test_fixed_and_sequential_models_are_compared_without_alarm():
    entry = measured(fixed(), sequential())
    assert entry["warnings"] == []
    comparison = entry["comparison"]
    coverage = comparison["coverage"]
    assert (coverage["k"], coverage["both"], coverage["base_only"], coverage["model_only"]) == (16, 4, 0, 1)
    assert coverage["model_only_ids"] == ["p1"]
    assert comparison["delta_se"]["k"] == 16
    for k, point in comparison["difference"].items():
        values = [entry["models"][role]["pass_at_k"][k]["value"] for role in ("model", "base")]
        assert point["value"] == pytest.approx(values[0] - values[1])


def test_two_sequential_models_that_stopped_at_different_n_are_compared_without_alarm():
    entry = measured(sequential("base", ENDS[::-1]), sequential())
    assert entry["warnings"] == []
    assert entry["comparison"]["coverage"]["both"] == 4
    assert list(entry["comparison"]["difference"]) == ["1", "2", "4", "8", "16"]


def test_a_model_with_fewer_samples_than_the_plan_offers_is_still_told():
    assert measured(fixed(n=12), sequential())["warnings"] == [
        "samples per problem differ (base 12, model 16): coverage favours the model with more"
    ]


def test_a_problem_left_before_its_plan_was_through_ends_the_curves_and_is_told():
    entry = measured(sequential(ends=[(4, 2), (8, 1)]), k=16)
    assert entry["warnings"] == ["k = 16 was asked for; curves stop at 8, the fewest verified samples of a problem"]
    assert list(entry["models"]["model"]["pass_at_k"]) == ["1", "2", "4", "8"]


def test_a_plan_of_one_stage_is_measured_as_a_fixed_n():
    right = (9, 0, 4, 0, 2, 5)
    one = sequential(ends=[(16, c) for c in right], plan=PLAN | {"stages": [16]})
    found, expected = (measured(model)["models"]["model"] for model in (one, fixed("model", right=right)))
    for metric in ("pass_at_k", "pass_hat_k", "g_pass_at_k", "cover_at_tau", "auc_at_k", "accuracy_histogram"):
        assert json.dumps(found[metric])[:60] == json.dumps(expected[metric])[:60]
    for k, point in expected["pass_at_k"].items():
        assert found["pass_at_k"][k] == pytest.approx(point, abs=1e-12)
    assert found["plan"]["saved"] == 0


def test_voids_shorten_stages_and_the_curve_is_rebuilt_from_results_alone():
    # p1 lost two samples of its first stage and stopped at 8; p3 lost one of its last.
    paths = {
        "p0": StagePath((4,), 3),
        "p1": StagePath((2, 6), 2),
        "p2": StagePath((4, 8), 3),
        "p3": StagePath((4, 8, 15), 1),
    }
    tallies = [Tally("p0", 4, 3), Tally("p1", 6, 2, void=2), Tally("p2", 8, 3), Tally("p3", 15, 1, void=1)]
    found = measured(ModelTallies("model", "m", tallies, plan=PLAN, paths=paths))["models"]["model"]
    assert found["counts"] == {
        "problem_id": ["p0", "p1", "p2", "p3"],
        "n": [4, 6, 8, 15],
        "c": [3, 2, 3, 1],
        "stages": {"p1": [2, 6], "p3": [4, 8, 15]},
    }
    assert (found["samples"], found["void"], list(found["pass_at_k"])[-1]) == (36, 3, "15")
    assert found["pass_hat_k"]["4"] is None
    table, plan = found["counts"], found["plan"]
    reached = [
        tuple(table["stages"].get(problem_id) or [end for end in plan["stages"] if end <= n])
        for problem_id, n in zip(table["problem_id"], table["n"], strict=True)
    ]
    stopping = Stopping(tuple(plan["stages"]), plan["stop_after"], tuple(reached))
    counts = ProblemCounts(tuple(table["problem_id"]), np.array(table["n"]), np.array(table["c"]), stopping)
    for k, point in found["pass_at_k"].items():
        assert pass_curve(counts, [int(k)]).values.mean() == pytest.approx(point["value"], abs=1e-15)


def test_samples_past_the_stop_are_counted_but_not_used():
    paths = {"p0": StagePath((4,), 2)}
    found = measured(ModelTallies("model", "m", [Tally("p0", 8, 2)], plan=PLAN, paths=paths))["models"]["model"]
    assert (found["samples"], found["counts"]["n"], found["counts"]["c"]) == (8, [4], [2])
    assert found["pass_at_k"]["1"]["value"] == 0.5


def test_a_problem_with_only_void_samples_is_left_out():
    paths = {"p0": StagePath((4,), 2), "p1": StagePath((0, 0, 0), 0)}
    tallies = [Tally("p0", 4, 2), Tally("p1", 0, 0, void=16)]
    entry = measured(ModelTallies("model", "m", tallies, plan=PLAN, paths=paths))
    assert entry["models"]["model"]["counts"]["n"] == [4, 0]
    assert entry["models"]["model"]["pass_at_k"]["1"]["value"] == 0.5
    assert entry["warnings"] == ["model: left out, no verified sample: 1 problem (p1)"]
    nothing = measured(ModelTallies("model", "m", tallies[1:], plan=PLAN, paths=paths))
    assert nothing["models"]["model"]["pass_at_k"] == {}


@pytest.mark.parametrize("end", [(5, 1), (8, 6), (32, 0)])
def test_counts_that_no_plan_leaves_are_named(end):
    with pytest.raises(
        TaskError, match=rf"model: problem 'p0' has c = {end[1]} right of n = {end[0]} samples, where no"
    ):
        measured(sequential(ends=[end]))


def test_every_report_says_in_a_sentence_what_was_saved_and_paid():
    entry = measured(fixed(), sequential())
    sentence = saving_sentence(entry)
    assert sentence.startswith(
        "Sequential sampling, which leaves a problem after 2 right samples and biases no estimate, "
        "drew 64 of 96 samples (66.7 %) for RL model, at a price: intervals are up to "
    )
    for name, place in (("interval_width", "up to {} as wide"), ("sampling_width", "alone up to {}.")):
        widths = entry["models"]["model"]["plan"][name]
        ratio, k = max((width["plan"] / width["full"], k) for k, width in widths.items())
        assert place.format(f"{ratio:.1f} times (at k = {k})") in sentence
    results = {"schema": "rlvr-harness/results/1", "run": {}, "tasks": {"toy": entry}}
    for rendered in (render_terminal(results), render_markdown(results), render_html([results])):
        assert sentence in rendered.replace("\\", "")


def test_nothing_is_said_of_saving_where_every_sample_was_drawn():
    assert saving_sentence(measured(fixed())) == ""
    assert saving_sentence({"models": {"model": {"plan": {"kind": "sequential"}, "samples": 3}}}) == ""
