"""The metric and its section; the last test needs the plugin to be installed."""

import json
import subprocess
import sys

import pytest
from rlvr_harness import Counts

from rlvr_sample_efficiency.metric import SampleEfficiency
from rlvr_sample_efficiency.section import EfficiencySection

COUNTS = Counts(("easy", "<hard>", "never sampled"), n=(4, 4, 0), c=(4, 0, 0))


def measured():
    return SampleEfficiency().measure(COUNTS, [1, 2, 4, 8])


def test_the_mean_is_over_sampled_problems_and_budgets_that_all_of_them_have():
    found = measured()
    assert list(found["mean"]) == ["1", "2", "4"]
    assert found["mean"]["4"]["value"] == pytest.approx((1 + 4) / 2)
    assert found["problems"].keys() == {"easy", "<hard>"}


def test_results_are_plain_json():
    assert json.loads(json.dumps(measured(), allow_nan=False)) == measured()


@pytest.mark.parametrize("counts", [Counts((), (), ()), Counts(("a",), (0,), (0,))])
def test_nothing_sampled_has_no_value(counts):
    assert SampleEfficiency().measure(counts, [1]) == {"budget": None, "mean": {}, "problems": {}}


def test_the_section_shows_every_model_and_the_dearest_problem_first():
    models = {role: {"plugin_metrics": {"sample_efficiency": measured()}} for role in ("base", "model")}
    html = EfficiencySection().render_html("t", {"tasks": {"t": {"models": models}}})
    assert html.count("2.50 [") == 2
    assert html.index("&lt;hard&gt;") < html.index("easy")
    assert "<hard>" not in html


def test_results_without_the_metric_have_no_section():
    assert EfficiencySection().render_html("t", {"tasks": {"t": {"models": {"base": {}}}}}) == ""


def test_the_harness_lists_what_the_plugin_offers():
    command = [sys.executable, "-m", "rlvr_harness", "ls", "plugins"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    origin = "sample_efficiency\trlvr-harness-sample-efficiency 0.1.0 (rlvr_sample_efficiency)"
    offers = "metrics sample_efficiency; report sections sample_efficiency"
    assert f"{origin}: {offers}" in done.stdout.splitlines()
