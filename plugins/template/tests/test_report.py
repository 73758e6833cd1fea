from rlvr_harness import Counts

from rlvr_template.metric import SolvedMetric
from rlvr_template.section import SolvedSection

TASK, METRIC = "template", "template_solved"
FOUND = {"problems": 3, "solved": 2, "share": 2 / 3}


def results(task=TASK):
    return {"tasks": {task: {"models": {"<base>": {"plugin_metrics": {METRIC: FOUND}}}}}}


def test_two_of_three_sampled_problems_are_solved():
    counts = Counts(("a", "b", "c", "never sampled"), n=(8, 8, 8, 0), c=(0, 1, 8, 0))
    assert SolvedMetric().measure(counts, [1, 8]) == FOUND


def test_nothing_sampled_has_no_share():
    assert SolvedMetric().measure(Counts(("a",), (0,), (0,)), []) == {"problems": 0, "solved": 0, "share": None}


def test_the_section_says_what_the_metric_found_and_escapes_names():
    html = SolvedSection().render_html(TASK, results())
    assert "<td>2 of 3</td>" in html
    assert "&lt;base&gt;" in html


def test_other_tasks_and_results_without_the_metric_have_no_section():
    assert SolvedSection().render_html("gsm8k", results("gsm8k")) == ""
    assert SolvedSection().render_html(TASK, {"tasks": {TASK: {"models": {"base": {}}}}}) == ""
