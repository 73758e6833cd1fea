"""Several runs in one report: what is put side by side, what is refused, and what is said of it."""

import pytest

from rlvr_harness.report import render_html, render_markdown_overview
from rlvr_harness.report.overview import drawn, study_heading, study_notes, study_sentences
from rlvr_harness.report.study import incomparable, studies
from rlvr_harness.report.study_charts import gaps, step_curves, study_table
from rlvr_harness.stages.reporting import write_reports
from tests.report_cases import results

STEPS = {100: (0.3, 0.4, 0.5, 0.6, 0.74), 200: (0.4, 0.45, 0.5, 0.6, 0.7), 300: (0.5, 0.52, 0.55, 0.58, 0.6)}


def checkpoints(pattern="runs/grpo/checkpoint-{}"):
    return [results(f"run of {step}", pattern.format(step), values) for step, values in STEPS.items()]


def only(reports):
    (study,) = studies(reports)
    return study


@pytest.mark.parametrize(
    "pattern", ["runs/checkpoint-{}", "a/global_step_{}", "global_step{}/actor", "x/step_{}", "me-step{}"]
)
def test_training_steps_are_read_from_names(pattern):
    assert list(only(checkpoints(pattern)).steps.values()) == [100, 200, 300]


def test_a_recorded_step_goes_before_one_in_the_name():
    reports = checkpoints("runs/misstep-{}")
    for place, one in enumerate(reports):
        one["run"]["models"]["model"]["step"] = 7 * (3 - place)
    assert list(only(reports).steps.values()) == [7, 14, 21]


def test_names_without_a_step_are_models_against_one_base():
    study = only([results("a", "org/ppo"), results("b", "org/grpo")])
    assert list(study.contenders) == ["ppo", "grpo"] and study.steps == {}
    assert study_heading(study) == "maths: models against one base"


def test_the_base_stands_at_step_0():
    curves = step_curves(only(checkpoints()))
    assert {k: {step: p.value for step, p in points_of.items()} for k, points_of in curves.items()} == {
        1: {0: 0.2, 100: 0.3, 200: 0.4, 300: 0.5},
        16: {0: 0.75, 100: 0.74, 200: 0.7, 300: 0.6},
    }


def test_pass_at_1_up_and_pass_at_16_down_are_said():
    assert list(study_sentences(only(checkpoints())))[:2] == [
        "pass@1 goes from 20.0 [15.0, 25.0] % at the base to 50.0 [45.0, 55.0] % at step 300.",
        "pass@16 goes from 75.0 [70.0, 80.0] % at the base to 60.0 [55.0, 65.0] % at step 300.",
    ]


def test_gaps_are_ordered_and_tabled():
    study = only([results("a", "org/ppo", (0.4, 0.5, 0.5, 0.5, 0.6)), results("b", "org/dapo")])
    assert list(gaps(study)) == ["dapo", "ppo"]
    assert "The efficiency gap ΔSE at K = 16 lies between +25.0 points (dapo) and +35.0 points (ppo)." in list(
        study_sentences(study)
    )
    assert [row[0] for row in study_table(study).rows] == ["base", "ppo", "dapo"]
    assert study_table(study).rows[1][-1] == "+35.0 [+25.0, +45.0] (K = 16)"


def test_a_distilled_model_above_its_base_everywhere_is_said():
    far = (0.5, 0.6, 0.7, 0.8, 0.9)
    study = only([results("a", "org/ppo"), results("b", "org/R1-Distill-7B", far)])
    assert study_heading(study) == "maths: RL and distilled models against one base"
    # The smallest of .5-.2, .6-.3, .7-.45, .8-.6, .9-.75 is .15.
    assert (
        "R1-Distill-7B is above the base at every k measured: its smallest difference is +15.0 [+10.0, +20.0] points."
        in list(study_sentences(study))
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda run: run["sampling"].update(temperature=1.0), "temperature (0.6 against 1)"),
        (lambda run: run["sampling"].update(max_gen_toks=64), "max gen toks (1024 against 64)"),
        (lambda run: run["tasks"]["maths"].update(prompt_hash="c" * 64), "prompts (aaaaaaaaaaaa against cccccccccccc)"),
        (lambda run: run["tasks"]["maths"].update(verifier_version="2"), "verifier (math 1 against math 2)"),
        (
            lambda run: run["models"]["base"].update(weight_hash="d" * 64),
            "base (org/base bbbbbbbbbbbb against org/base dddddddddddd)",
        ),
        (
            lambda run: run["tasks"].clear(),
            "prompts (aaaaaaaaaaaa against \N{EN DASH}), verifier (math 1 against \N{EN DASH})",
        ),
    ],
)
def test_runs_under_other_terms_are_not_put_side_by_side_and_the_page_says_why(change, told):
    reports = [results("first", "org/a"), results("second", "org/b")]
    change(reports[1]["run"])
    assert studies(reports) == []
    (sentence,) = incomparable(reports)
    assert sentence == f"NOT COMPARABLE on maths: run 1 (first) and run 2 (second) differ in {told}."
    assert f'<p class="warning">{sentence}</p>' in render_html(reports)
    assert "NOT COMPARABLE" in render_markdown_overview(reports)


def test_comparable_runs_are_not_warned_about():
    assert incomparable(checkpoints()) == []


def test_one_run_of_two_models_needs_no_view_of_its_own():
    assert studies([results()]) == []
    assert render_markdown_overview([results()]) == ""


def test_models_of_the_same_name_are_told_apart_by_their_run():
    assert list(only([results("a", "x/m"), results("b", "y/m")]).contenders) == ["m", "m (run 2)"]


def test_what_no_run_records_is_said():
    reports = [results("a", "org/a"), results("b", "org/b")]
    for one in reports:
        del one["run"]["tasks"]
    unknown = "prompts, verifier, repetition penalty"
    (note,) = study_notes(only(reports))
    assert note == f"Not recorded by these runs, so nobody can tell whether it was the same: {unknown}."


def test_a_dozen_checkpoints_are_all_tabled_and_some_drawn():
    reports = [results(f"r{step}", f"step_{step}") for step in range(10, 130, 10)]
    study = only(reports)
    assert len(study_table(study).rows) == 13
    assert drawn(study)[0] == "step 10" and drawn(study)[-1] == "step 120" and len(drawn(study)) == 5
    assert len(render_html(reports).encode()) < 3_000_000


def test_figures_and_tables_of_several_runs_hold_each_run_and_the_comparison(tmp_path):
    write_reports(checkpoints(), tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if path.suffix in (".pdf", ".tex")}
    compared = {
        f"figures/compared/{stem}-maths.pdf" for stem in ("pass_at_k", "difference", "solved", "shift", "accuracy")
    }
    assert compared | {"tables/compared/maths.tex", "tables/3/maths.tex"} <= written
    assert {name for name in written if name.startswith("figures/3/")} == {"figures/3/pass_at_k-maths.pdf"}
    assert "step 300" in (tmp_path / "report.md").read_text().split("# run of 100")[0]
