import json

import pytest

from rlvr_harness.budgeting import NextStage, Share, chosen, next_stage
from rlvr_harness.errors import UsageError
from rlvr_harness.planning import Budget, SequentialPlan, parse_budget
from rlvr_harness.run_reader import read_json, read_samples
from rlvr_harness.run_spec import parse_spec

WHOLE = SequentialPlan((4, 8, 32), 2)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("2.5M", Budget(tokens=2_500_000)),
        ("800k", Budget(tokens=800_000)),
        ("1B", Budget(tokens=1e9)),
        ("1234", Budget(tokens=1234)),
        ("8h", Budget(seconds=28_800)),
        ("90min", Budget(seconds=5400)),
    ],
)
def test_a_budget_is_tokens_or_time(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "0", "8 days", "-1M", "2,5M", "h"])
def test_anything_else_is_wrong_usage(text):
    with pytest.raises(UsageError, match=r"give tokens as 800k, 2[.]5M or 1B, or time as 90min or 8h"):
        parse_spec({"model": "m", "k": 64, "budget": text or " "})


def test_a_fixed_plan_has_no_stages_to_choose_from():
    with pytest.raises(UsageError, match="--budget chooses between stages; it needs --plan sequential"):
        parse_spec({"model": "m", "k": 8, "budget": "1M"})


def test_the_next_stage_costs_what_the_problems_that_go_on_cost_so_far():
    shares = {
        "base": {"a": Share(4, 40, 0), "b": Share(4, 400, 2)},  # b has stopped
        "model": {"a": Share(4, 80, 1), "b": Share(4, 20, 0)},
    }
    # 4 more samples each, of 10, 20 and 5 tokens; a under base and b under model have no right sample yet.
    assert next_stage(shares, SequentialPlan((4,), 2), WHOLE) == NextStage(8, 4 * (10 + 20 + 5), 2)
    assert next_stage(shares, SequentialPlan((4, 8), 2), WHOLE) == NextStage(32, 24 * (10 + 20 + 5), 2)
    assert next_stage(shares, WHOLE, WHOLE) is None


def test_a_stage_that_nobody_reaches_is_free():
    shares = {"base": {"a": Share(4, 40, 3)}}
    assert next_stage(shares, SequentialPlan((4,), 2), WHOLE) == NextStage(8, 0, 0)
    assert chosen({"t": NextStage(8, 0, 0)}, -5.0) == {}
    assert chosen({"t": NextStage(8, 0, 0)}, 0.0) == {"t": 8}


def test_the_most_unsolved_problems_per_token_go_first_and_only_where_all_of_a_stage_fits():
    offers = {"long": NextStage(64, 900, 3), "short": NextStage(32, 100, 2), "middle": NextStage(32, 200, 2)}
    assert chosen(offers, 1200) == {"short": 32, "middle": 32, "long": 64}
    assert chosen(offers, 1199) == {"short": 32, "middle": 32}
    assert chosen(offers, 299) == {"short": 32}
    assert chosen(offers, 99) == {}


@pytest.fixture
def words(tiny_model, tiny_base):
    return (
        *("run", "--model", tiny_model, "--base", tiny_base, "--tasks", "countdown", "--limit", "3", "--k", "64"),
        *("--stages", "4,16,64", "--gen_kwargs", "max_gen_toks=8", "--quiet"),
    )


def drawn(folder):
    roles = ("base", "model")
    return {(s.model, s.problem_id, s.index, s.text) for role in roles for s in read_samples(folder, "countdown", role)}


def test_a_run_ends_at_the_last_stage_that_fits_and_says_so(cli, words, tmp_path):
    # Random weights solve nothing: 3 problems x 2 models x 4, 12 and 48 samples of at most 8 tokens.
    status, _, err = cli(*words, "--budget", "900", "-o", tmp_path / "run")
    assert status == 0, err
    samples = drawn(tmp_path / "run")
    assert len(samples) == 3 * 2 * 16
    results = json.loads((tmp_path / "run" / "results.json").read_text())["tasks"]["countdown"]
    assert results["models"]["base"]["plan"]["stages"] == [4, 16]
    assert max(map(int, results["models"]["base"]["pass_at_k"])) == 16
    note = "the budget of 900 ended sampling at 16 of up to 64 samples per problem; the largest k is 16"
    assert any(note in warning for warning in results["comparison"]["fairness"]["warnings"])
    assert cli("resume", tmp_path / "run", "--quiet")[0] == 0
    assert drawn(tmp_path / "run") == samples


def test_a_budget_that_is_never_reached_changes_no_sample(cli, words, tmp_path):
    assert cli(*words, "-o", tmp_path / "free")[0] == 0
    assert cli(*words, "--budget", "1M", "-o", tmp_path / "rich")[0] == 0
    assert drawn(tmp_path / "rich") == drawn(tmp_path / "free")
    tasks = [read_json(tmp_path / name, "results.json")["tasks"] for name in ("rich", "free")]
    assert tasks[0] == tasks[1]


def test_topup_goes_on_past_the_budget(cli, words, tmp_path):
    assert cli(*words, "--budget", "200", "-o", tmp_path / "run")[0] == 0
    assert len(drawn(tmp_path / "run")) == 3 * 2 * 4
    status, _, err = cli("topup", tmp_path / "run", "--n", "128", "--quiet")
    assert status == 0, err
    assert len(drawn(tmp_path / "run")) == 3 * 2 * 128
