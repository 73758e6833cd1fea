"""Rows of a leaderboard hold what results say, and are ranked only with rows of the same conditions."""

import csv
import io

import pytest

from rlvr_harness.errors import RunFolderError
from rlvr_harness.leaderboard.folders import open_runs
from rlvr_harness.leaderboard.grouping import grouped
from rlvr_harness.leaderboard.naming import enough_digits, page_names
from rlvr_harness.leaderboard.rows import family, rows_of
from tests.leaderboard_fakes import data_of, point, results, side, single, site_of, write_runs


def groups_of(folder, *contents):
    return grouped(row for run in open_runs(write_runs(folder, *contents)) for row in rows_of(run))


def places(group):
    return [(ranked.rank, ranked.row.model.name) for ranked in group.rows]


def test_a_row_holds_the_numbers_of_its_results(tmp_path):
    [row] = [row for run in open_runs(write_runs(tmp_path, results())) for row in rows_of(run)]
    assert (row.model.name, row.base.name, row.n, row.problems, row.conditions.k) == ("org/m-7B", "org/b-7B", 25, 4, 8)
    assert (row.gap.value, row.gap.low, row.gap.high) == pytest.approx((-0.1, -0.2, 0.0))
    assert row.base.pass_at_k[8].value == pytest.approx(0.7)
    assert row.model.void_share == pytest.approx(5 / 100)
    assert (row.conditions.verifier, row.conditions.verifier_version) == ("math", "3")
    assert row.conditions.law == (0.6, 0.95, 0.0, 0.0, 1.0)
    assert (row.run["sampler"], row.run["plan"], row.run["seed"], row.run["prompt"]) == ("vllm", "fixed", 0, "boxed")


def test_n_is_that_of_the_model_with_fewer_samples_and_of_a_plan_its_last_stage(tmp_path):
    content = results()
    models = content["tasks"]["math500"]["models"]
    models["base"]["counts"]["n"] = [9, 12, 10, 12]
    models["model"]["plan"] = {"kind": "sequential", "stages": [16, 64], "stop_after": 8}
    [row] = [row for run in open_runs(write_runs(tmp_path, content)) for row in rows_of(run)]
    assert (row.base.n, row.model.n, row.n) == (12, 64, 12)


def test_each_comparison_of_a_run_is_a_row(tmp_path):
    content = results()
    task = content["tasks"]["math500"]
    task["models"]["distilled"] = side("org/d-7B", 0.4, 0.9, 8)
    second = {**task["comparison"], "model": "distilled", "difference": {"1": point(0.2), "8": point(0.2)}}
    task["comparisons"] = [task["comparison"], second]
    [group] = groups_of(tmp_path, content)
    assert places(group) == [(1, "org/d-7B"), (2, "org/m-7B")]


def test_rows_rank_by_the_paired_difference_at_the_largest_k_and_ties_share_a_rank(tmp_path):
    gaps = {"a": -0.1, "b": 0.2, "c": 0.1, "d": 0.1, "e": 0.0}
    [group] = groups_of(tmp_path, *(results(name, gap) for name, gap in gaps.items()))
    assert {name: rank for rank, name in places(group)} == {"b": 1, "c": 2, "d": 2, "e": 4, "a": 5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"record": {"data_hash": "e" * 64}}, "other data (eeeeeeeeee, not dddddddddd)"),
        ({"record": {"prompt_hash": "b" * 64}}, "other prompt (bbbbbbbbbb, not aaaaaaaaaa)"),
        ({"record": {"verifier": "math-strict"}}, "verifier math-strict 3, not math 3"),
        ({"record": {"verifier_version": "4"}}, "verifier math 4, not math 3"),
        ({"law": {"temperature": 1.0}}, "T = 1, not 0.6"),
        ({"law": {"top_p": 1.0}}, "top-p = 1, not 0.95"),
        ({"law": {"top_k": 50}}, "top-k = 50, not 0"),
        ({"law": {"max_gen_toks": 4096}}, "up to 4,096 tokens, not 16,384"),
        ({"k": 4}, "k = 4, not 8"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value.partition(" ")[0],
)
def test_rows_of_other_conditions_are_apart_and_the_heading_says_what_differs(tmp_path, changes, words):
    usual = [results("org/m1", 0.1), results("org/m2", 0.2)]
    first, second = groups_of(tmp_path, *usual, results("org/odd", 0.3, **changes))
    assert places(first) == [(1, "org/m2"), (2, "org/m1")]
    assert places(second) == [(1, "org/odd")]
    assert second.differs == (words,)


def test_rows_of_other_problems_of_the_same_data_are_apart(tmp_path):
    limited = results("org/limited")
    for model in limited["tasks"]["math500"]["models"].values():
        model["counts"] = {"problem_id": ["a", "b"], "n": [25] * 2, "c": [5, 5]}
    first, second = groups_of(tmp_path, results("org/m1"), results("org/m2"), limited)
    assert len(first.rows) == 2
    assert second.differs[0].startswith("other problems (")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fairness": {"same_prompt": False}}, "prompts differ"),
        ({"fairness": {"same_sampling": False}}, "sampling differs"),
        ({"run": {"command": "rlvr-harness run --model x --allow_unfair"}}, "made with --allow_unfair"),
        ({"run": {"command": "rlvr-harness run --model x --allow-unfair"}}, "made with --allow_unfair"),
    ],
)
def test_an_unfair_comparison_is_shown_without_a_rank(tmp_path, changes, why):
    [group] = groups_of(tmp_path, results("org/fair", -0.5), results("org/unfair", 0.3, **changes))
    assert places(group) == [(1, "org/fair"), (None, "org/unfair")]
    assert group.rows[1].reason == f"not a fair comparison: {why}"


def test_what_run_json_says_of_fairness_and_sampler_counts(tmp_path):
    [folder] = write_runs(tmp_path, results())
    (folder / "run.json").write_text('{"spec": {"allow_unfair": true, "sampler": "openai"}}')
    [group] = grouped(rows_of(open_runs([folder])[0]))
    assert (group.rows[0].rank, group.rows[0].row.run["sampler"]) == (None, "openai")


@pytest.mark.parametrize("missing", ["data_hash", "prompt_hash", "verifier", "verifier_version"])
def test_a_row_whose_conditions_are_not_all_known_has_no_rank(tmp_path, missing):
    known, unknown = groups_of(tmp_path, results("org/m1"), results("org/odd", 0.3, record={missing: None}))
    assert (known.kind, unknown.kind) == ("ranked", "published")
    assert places(unknown) == [(None, "org/odd")]


def test_a_run_without_a_base_is_shown_and_not_ranked(tmp_path):
    compared, alone = groups_of(tmp_path, single(), results())
    assert (compared.kind, alone.kind, places(alone)) == ("ranked", "single", [(None, "org/alone-7B")])


@pytest.mark.parametrize(
    ("block", "value"), [("base", 1.7), ("base", -0.1), ("difference", -1.2), ("coverage", -1), ("coverage", 1e12)]
)
def test_a_number_that_cannot_be_is_refused(tmp_path, block, value):
    content = results()
    task = content["tasks"]["math500"]
    if block == "base":
        task["models"]["base"]["pass_at_k"]["8"]["value"] = value
    elif block == "difference":
        task["comparison"]["difference"]["8"]["low"] = value
    else:
        task["comparison"]["coverage"]["model_only"] = value
    with pytest.raises(RunFolderError, match=r"run0.results\.json: task 'math500'.*the file was altered"):
        groups_of(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen2.5-Math-7B", "Qwen2.5-Math"),
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5"),
        ("meta-llama/Llama-3.1-8B", "Llama-3.1"),
        ("mistralai/Mixtral-8x7B-v0.1", "Mixtral"),
        ("/ckpt/qwen_0.5b", "qwen"),
        ("demo/base", "demo/base"),
        ("7B", "7B"),
    ],
)
def test_families_go_by_the_name_before_the_size(name, expected):
    assert family(name) == expected


def test_page_names_are_safe_and_never_meet():
    names = ["a/b", "a_b", "A/B", "../../etc/passwd", "..", "con", "", "模型", "x" * 500, "a\x00b", "."]
    files = page_names(names)
    assert len({file.lower() for file in files.values()}) == len(names)
    assert all(set(file) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._") for file in files.values())
    assert all(file[0] not in "-." and len(file) <= 64 for file in files.values())


def test_names_of_almost_equal_hashes_get_more_digits():
    assert enough_digits(["0" * 64, "0" * 11 + "1" + "0" * 52]) == 12


def test_data_keeps_full_precision_and_csv_guards_formulas_but_no_numbers(tmp_path):
    gap = -1 / 3
    site = site_of(tmp_path, results("=1+1", gap), results("-5", 0.1), results("@x", 0.2), results("\uff1d1", 0.3))
    row = next(row for row in data_of(site)["rows"] if row["model"]["name"] == "=1+1")
    assert row["difference"]["8"]["value"] == gap
    rows = list(csv.DictReader(io.StringIO((site / "data.csv").read_text(encoding="utf-8"))))
    found = {row["model.name"]: row["difference_at_k.value"] for row in rows}
    assert found == {"'=1+1": repr(gap), "-5": "0.1", "'@x": "0.2", "'\uff1d1": "0.3"}


def test_csv_has_a_line_for_each_row_and_the_same_columns_for_all(tmp_path):
    site = site_of(tmp_path, results(), results("org/n", task="aime24"), single())
    table = list(csv.reader(io.StringIO((site / "data.csv").read_text(encoding="utf-8"))))
    assert {len(line) for line in table} == {len(table[0])}
    assert len(table) == 1 + 3
