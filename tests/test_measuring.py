"""The measuring stage builds results.json entries that keep the contract, on whole and on broken input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rlvr_harness.errors import TaskError
from rlvr_harness.fairness import Fairness
from rlvr_harness.metrics.guessing import ForeignMatches
from rlvr_harness.records import Tally
from rlvr_harness.stages.measuring import ModelTallies, TaskTallies, measure_task

SIDES = {"value", "low", "high", "sampling_low", "sampling_high"}
CURVES = ("pass_at_k", "pass_hat_k")
MODEL_KEYS = {
    *("name", "samples", "right", "wrong", "void", "truncated", "mean_tokens", "plan", "pass_at_k", "pass_hat_k"),
    *("maj_at_k", "g_pass_at_k", "cover_at_tau", "auc_at_k", "accuracy_histogram", "guess_floor", "extrapolated"),
    *("entropy", "perplexity", "duplicates", "counts"),
}
COMPARISON_KEYS = {
    *("base", "model", "difference", "crossover", "coverage", "support", "delta_se", "fairness", "shift"),
}
COVERAGE_KEYS = {
    *("k", "both", "base_only", "model_only", "neither", "mcnemar_p"),
    *("base_only_ids", "model_only_ids", "undecided_ids"),
}


def tallies_of(right, n=8, void=0) -> list[Tally]:
    return [Tally(f"p{row}", n, c, void) for row, c in enumerate(right)]


def model_of(role: str, right, n=8, **known) -> ModelTallies:
    return ModelTallies(role, f"org/{role}", tallies_of(right, n), **known)


def measured(*models: ModelTallies, **options):
    """The entry after a round trip through strict JSON."""
    entry = measure_task(TaskTallies("toy", models, **options))
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    check_contract(entry)
    return entry


def check_measurement(point, low=0.0):
    assert set(point) == SIDES
    for side in SIDES - {"value"}:
        assert point[side] is None or low <= point[side] <= 1
    for prefix in ("", "sampling_"):
        if point[f"{prefix}low"] is not None:
            assert point[f"{prefix}low"] <= point["value"] <= point[f"{prefix}high"]


def check_contract(entry):
    for model in entry["models"].values():
        assert set(model) >= MODEL_KEYS
        assert model["samples"] == model["right"] + model["wrong"] + model["void"]
        assert len(model["accuracy_histogram"]) == 11
        assert set(model["guess_floor"]) >= {"uniform", "label", "empirical"}
        assert set(model["entropy"]) >= {"answer", "token"}
        for name in CURVES:
            assert all(key.isdigit() for key in model[name])
            for point in model[name].values():
                check_measurement(point)
    for comparison in entry.get("comparisons", [entry["comparison"]] if "comparison" in entry else []):
        assert set(comparison) >= COMPARISON_KEYS
        assert set(comparison["crossover"]) >= {"verdict", "k", "low", "high"}
        assert comparison["crossover"]["verdict"] in {"crossed", "not_crossed", "undecided"}
        assert set(comparison["coverage"]) >= COVERAGE_KEYS
        assert set(comparison["support"]) >= {"srr", "ndr", "sds", "nscr"}
        assert set(comparison["delta_se"]) >= {"k", "value"}
        assert set(comparison["fairness"]) >= {"same_prompt", "same_sampling", "warnings"}
        for point in comparison["difference"].values():
            check_measurement(point, low=-1.0)


def test_two_models_are_measured_and_compared():
    base, model = model_of("base", [1, 4, 2, 0, 8, 1]), model_of("model", [0, 8, 5, 0, 8, 0])
    entry = measured(base, model, fairness=Fairness(True, True, ("seen before",)))
    assert entry["problems"] == 6
    measured_base = entry["models"]["base"]
    assert (measured_base["samples"], measured_base["right"], measured_base["wrong"]) == (48, 16, 32)
    assert list(measured_base["pass_at_k"]) == ["1", "2", "4", "8"]
    assert measured_base["pass_at_k"]["1"]["value"] == pytest.approx(16 / 48)
    assert measured_base["pass_at_k"]["8"]["value"] == pytest.approx(5 / 6)
    assert measured_base["pass_hat_k"]["8"]["value"] == pytest.approx(1 / 6)
    assert measured_base["g_pass_at_k"]["0.5"]["8"]["value"] == pytest.approx(2 / 6)
    assert measured_base["cover_at_tau"]["0.5"]["value"] == pytest.approx(2 / 6)
    assert measured_base["accuracy_histogram"] == [1, 0, 2, 1, 0, 1, 0, 0, 0, 0, 1]
    assert measured_base["counts"] == {
        "problem_id": ["p0", "p1", "p2", "p3", "p4", "p5"],
        "n": [8] * 6,
        "c": [1, 4, 2, 0, 8, 1],
    }
    comparison = entry["comparison"]
    assert (comparison["base"], comparison["model"], "comparisons" in entry) == ("base", "model", False)
    assert comparison["difference"]["1"]["value"] == pytest.approx(5 / 48)
    assert comparison["difference"]["8"]["value"] == pytest.approx(-2 / 6)
    assert comparison["coverage"]["base_only_ids"] == ["p0", "p5"]
    assert comparison["support"]["srr"] == pytest.approx(3 / 5)
    assert comparison["delta_se"]["k"] == 8
    assert comparison["delta_se"]["value"] == pytest.approx(5 / 6 - 21 / 48)
    assert comparison["fairness"] == {"same_prompt": True, "same_sampling": True, "warnings": ["seen before"]}


def test_curve_difference_is_model_minus_base_at_every_k():
    entry = measured(model_of("base", [1, 2, 3]), model_of("model", [3, 3, 7]))
    for k, point in entry["comparison"]["difference"].items():
        curves = [entry["models"][role]["pass_at_k"][k]["value"] for role in ("model", "base")]
        assert point["value"] == pytest.approx(curves[0] - curves[1])


def test_counts_alone_leave_the_rest_null():
    found = measured(model_of("base", [1, 2]))["models"]["base"]
    for name in ("truncated", "mean_tokens", "maj_at_k", "extrapolated", "perplexity", "duplicates"):
        assert found[name] is None
    assert found["entropy"] == {"answer": None, "token": None}
    assert found["guess_floor"] == {"uniform": None, "label": "", "empirical": None}


def test_accuracy_shift_runs_from_base_rows_to_model_columns():
    shift = measured(model_of("base", [0, 8, 4, 1]), model_of("model", [8, 0, 4, 2]))["comparison"]["shift"]
    assert (shift["up"], shift["down"], shift["same"], shift["surely_up"], shift["surely_down"]) == (2, 1, 1, 1, 1)
    # 0 -> 1; 1 -> 0; 1/2 stays in (.4, .5]; 1/8 -> 1/4 moves from (.1, .2] to (.2, .3].
    filled = {(i, j): count for i, row in enumerate(shift["bins"]) for j, count in enumerate(row) if count}
    assert filled == {(0, 10): 1, (10, 0): 1, (5, 5): 1, (2, 3): 1}
    check_measurement(shift["mean"], low=-1.0)
    assert shift["mean"]["value"] == pytest.approx(1 / 32)


def test_support_has_an_interval_for_each_metric():
    support = measured(model_of("base", [1, 1, 1, 0]), model_of("model", [1, 1, 0, 0]))["comparison"]["support"]
    for name in ("srr", "ndr", "sds", "nscr"):
        bounds = support["intervals"][name]
        assert bounds["low"] <= support[name] <= bounds["high"]
    nothing = measured(model_of("base", [0]), model_of("model", [0]))["comparison"]["support"]
    assert nothing["intervals"] == dict.fromkeys(("srr", "ndr", "sds", "nscr"))


@pytest.mark.parametrize("plan", [{}, {"kind": "sequential", "stages": [8], "stop_after": 2}])
def test_curves_go_on_beyond_the_samples_under_a_fitted_law(plan):
    found = measured(model_of("base", [0, 0, 0, 1, 1, 2, 3, 5, 7, 8, 4, 2], plan=plan))["models"]["base"]
    beyond = found["extrapolated"]
    assert set(beyond) == {"law", "a", "b", "zero_share", "one_share", "from_n", "fit_p", "warning", "pass_at_k"}
    assert (beyond["from_n"], list(beyond["pass_at_k"])) == (8, ["16", "32", "64", "128"])
    assert not set(beyond["pass_at_k"]) & set(found["pass_at_k"])
    for point in beyond["pass_at_k"].values():
        assert 0 <= point["low"] <= point["value"] <= point["high"] <= 1


def test_one_model_is_not_compared():
    assert "comparison" not in measured(model_of("model", [1, 2]))
    assert "comparison" not in measured(model_of("base", [1, 2]))


def test_every_further_model_has_its_comparison():
    entry = measured(model_of("base", [1, 2]), model_of("model", [3, 4]), model_of("distilled", [5, 6]))
    assert [entry["comparisons"][place]["model"] for place in (0, 1)] == ["model", "distilled"]
    assert entry["comparison"] == entry["comparisons"][0]


def test_models_are_paired_by_problem_whatever_their_order():
    shuffled = ModelTallies("model", "m", tallies_of([0, 8, 4])[::-1])
    comparison = measured(model_of("base", [0, 8, 4]), shuffled)["comparison"]
    assert comparison["coverage"]["both"] == 2
    assert comparison["difference"]["2"]["value"] == 0
    assert comparison["difference"]["2"]["sampling_low"] < 0 < comparison["difference"]["2"]["sampling_high"]


def test_samples_that_differ_problem_by_problem_are_told_though_their_range_is_the_same():
    base = ModelTallies("base", "b", [Tally("p0", 4, 1), Tally("p1", 8, 2)])
    model = ModelTallies("model", "m", [Tally("p0", 8, 2), Tally("p1", 4, 1)])
    entry = measured(base, model)
    assert entry["comparison"]["fairness"]["warnings"] == [
        "samples per problem differ (base 4 to 8, model 4 to 8): coverage favours the model with more"
    ]
    # pass@1 of both: (1/4 + 2/8) / 2 = 0.25
    assert [entry["models"][role]["pass_at_k"]["1"]["value"] for role in ("base", "model")] == [0.25, 0.25]


def test_each_comparison_is_as_fair_as_its_own_models():
    fair_of = {"model": Fairness(True, True), "distilled": Fairness(False, None, eos_tokens=("</s>",))}
    entry = measured(*(model_of(role, [1, 2]) for role in ("base", "model", "distilled")), fairness_of=fair_of)
    assert [comparison["fairness"] for comparison in entry["comparisons"]] == [
        {"same_prompt": True, "same_sampling": True, "warnings": []},
        {"same_prompt": False, "same_sampling": None, "warnings": [], "eos_tokens": ["</s>"]},
    ]


def test_curves_stop_at_the_fewest_samples_and_say_so():
    base = ModelTallies("base", "b", [Tally("p0", 8, 1), Tally("p1", 6, 2, void=2)])
    entry = measured(base, model_of("model", [1, 2]), k=8)
    assert list(entry["models"]["model"]["pass_at_k"]) == ["1", "2", "4", "6"]
    assert entry["models"]["base"]["void"] == 2
    assert entry["warnings"] == [
        "k = 8 was asked for; curves stop at 6, the fewest verified samples of a problem",
        "samples per problem differ (base 6 to 8, model 8): coverage favours the model with more",
    ]
    assert entry["comparison"]["fairness"]["warnings"] == entry["warnings"]


def test_k_below_n_ends_the_curves_at_k_but_coverage_uses_all_samples():
    entry = measured(model_of("base", [1, 0]), model_of("model", [2, 0]), k=3)
    assert list(entry["models"]["base"]["pass_at_k"]) == ["1", "2", "3"]
    assert entry["comparison"]["coverage"]["k"] == 8
    assert entry["warnings"] == []


def test_a_problem_with_only_void_samples_is_left_out_and_named():
    base = ModelTallies("base", "b", [Tally("p0", 8, 4), Tally("p1", 0, 0, void=8)])
    entry = measured(base, model_of("model", [4, 4]))
    assert entry["problems"] == 2
    assert entry["models"]["base"]["pass_at_k"]["1"]["value"] == 0.5
    assert entry["models"]["base"]["void"] == 8
    assert entry["models"]["base"]["counts"]["n"] == [8, 0]
    assert entry["comparison"]["problems"] == 1
    assert entry["warnings"] == [
        "base: left out, no verified sample: 1 problem (p1)",
        "not measured for every model: 1 problem (p1)",
    ]


def test_long_lists_of_problems_are_cut_in_warnings():
    base = ModelTallies("base", "b", [Tally("p0", 8, 4), *(Tally(f"q{row}", 0, 0, 1) for row in range(12))])
    assert measured(base)["warnings"] == [
        "base: left out, no verified sample: 12 problems (q0, q1, q2, q3, q4, q5, q6, q7, q8, q9 and 2 more)"
    ]


@pytest.mark.parametrize("k", [None, 4])
def test_nothing_verified_is_measured_as_nothing(k):
    void = ModelTallies("base", "b", [Tally("p0", 0, 0, void=4)])
    entry = measured(void, model_of("model", [3]), k=k)
    assert entry["models"]["base"]["pass_at_k"] == {}
    assert entry["models"]["base"]["auc_at_k"] is None
    assert entry["comparison"]["difference"] == {}
    assert entry["comparison"]["crossover"]["verdict"] == "undecided"
    assert entry["comparison"]["delta_se"] == {"k": None, "value": None}
    both_void = measured(void, ModelTallies("model", "m", [Tally("p0", 0, 0, void=4)]), k=k)
    assert both_void["models"]["model"]["pass_at_k"] == {}


def test_no_problem_at_all_is_measured_as_nothing():
    assert measured(ModelTallies("model", "m", []))["problems"] == 0


def test_answers_give_votes_and_entropy():
    answers = {"p0": {"4": (2, 2), "5": (1, 0), None: (1, 0)}, "p1": {"9": (4, 0)}}
    found = measured(ModelTallies("model", "m", tallies_of([2, 0], n=4), answers=answers))["models"]["model"]
    assert found["maj_at_k"]["1"]["value"] == 0.25
    assert found["maj_at_k"]["4"]["value"] == 0.5
    assert found["maj_at_k"]["4"]["sampling_low"] is None
    # (1/2, 1/4, 1/4): 1.5 ln 2; the other problem 0.
    assert found["entropy"]["answer"] == pytest.approx(0.75 * np.log(2))
    assert found["distinct_answers"] == 1.5


def test_task_without_answers_has_no_votes():
    answers = {"p0": {None: (4, 2)}}
    found = measured(ModelTallies("model", "m", tallies_of([2], n=4), answers=answers))["models"]["model"]
    assert (found["maj_at_k"], found["entropy"]["answer"]) == (None, None)


def test_answers_that_do_not_add_up_are_a_bug():
    with pytest.raises(ValueError, match="answers of 'p0' do not add up"):
        measured(ModelTallies("model", "m", tallies_of([1], n=4), answers={"p0": {"4": (1, 1)}}))


def test_texts_and_truncation_are_shares_of_all_samples():
    known = {"truncated": 4, "mean_tokens": 7.5, "distinct_texts": {"p0": 8, "p1": 4}}
    found = measured(ModelTallies("model", "m", tallies_of([2, 1]), **known))["models"]["model"]
    assert (found["truncated"], found["truncated_share"], found["duplicates"]) == (4, 0.25, 0.25)
    assert found["mean_tokens"] == 7.5


def test_guess_floors_follow_the_chances_and_the_foreign_answers():
    foreign = ForeignMatches(np.array([8, 8]), np.array([0, 4]))
    model = ModelTallies("model", "m", tallies_of([2, 1]), foreign=foreign)
    floor = measured(model, chances={"p0": 0.5}, chance_label="one of two")["models"]["model"]["guess_floor"]
    assert floor["uniform"] == pytest.approx({"1": 0.25, "2": 0.375, "4": 0.46875, "8": 0.498046875})
    assert floor["label"] == "one of two (known for 1 of 2 problems, 0 elsewhere)"
    assert floor["empirical"]["1"] == 0.25


def test_equal_input_gives_equal_output_and_the_seed_moves_only_intervals():
    models = [model_of("base", [1, 4, 2, 0, 8, 1]), model_of("model", [0, 8, 5, 0, 8, 0])]
    first, other = measured(*models, seed=1), measured(*models, seed=2)
    assert first == measured(*models, seed=1)
    points = [entry["models"]["base"]["pass_at_k"]["4"] for entry in (first, other)]
    assert points[0]["value"] == points[1]["value"]
    assert first != other


@pytest.mark.parametrize("tally", [Tally("p0", 3, 5), Tally("p0", 3, -1)])
def test_impossible_counts_are_named(tally):
    with pytest.raises(TaskError, match=r"model: problem 'p0' has c = -?\d right of n = 3"):
        measured(ModelTallies("model", "m", [tally]))


def test_a_problem_given_twice_is_refused():
    with pytest.raises(TaskError, match="twice"):
        measured(ModelTallies("model", "m", [Tally("p0", 3, 1), Tally("p0", 3, 2)]))
