"""The plan in words, and the probe that measures for it."""

import dataclasses
import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlvr_harness.estimating import Known, plan_lines
from rlvr_harness.planning import FixedPlan, SequentialPlan
from rlvr_harness.probing import PROBE_S, PROBE_TOKENS, Pace, probe_task
from rlvr_harness.records import FinishReason


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("pipeline_fakes")


def lines(task, known=None, roles=("base", "model")):
    return plan_lines(SimpleNamespace(requests=dict.fromkeys(roles), tasks=[task], side_by_side=False), known)


def test_a_fixed_plan_is_told_with_its_worst_case(fakes):
    law = dataclasses.replace(fakes.LAW, max_gen_toks=1000)
    task = fakes.prepared(count=30, plan=FixedPlan(1024), law=law)
    first, second = lines(task)
    # 30 x 2 x 1,024 = 61,440; x 1,000 tokens; x 1.5 bytes = 92 MB
    assert first.startswith(
        "t: 30 problems x 2 models x 1,024 samples = 61,440 samples, at most 61,440,000 tokens and 92 MB (speed unknown"
    )
    # 1.96 * sqrt(0.1 / 30) = 0.113
    assert "the paired difference at k = 1024 to about +-0.11 if the models split on 10%" in second
    assert second.endswith("which cannot show a lead of 0.05 (that takes 154 problems)")


def test_a_plan_in_stages_is_told_with_what_to_expect(fakes):
    task = fakes.prepared(count=200, plan=SequentialPlan((16, 32), 8))
    first, second = lines(task, Known(tokens_per_s=100.0))
    # 16 + 16 * 8 / 17 = 23.53 samples; x 200 x 2 = 9,412 of 12,800; x 8 tokens / 100 per s = 753 s and 1,024 s
    assert "(stages 16, 32; a problem stops with 8 right) = about 9,412 samples if success chances are spread" in first
    assert first.endswith("(at most 13 min expected, 17 min in all at 100 tokens/s)")
    assert "which shows a lead of 0.05" in second


def test_one_model_has_nothing_to_decide(fakes):
    assert "paired" not in " ".join(lines(fakes.prepared(), roles=("model",)))


def test_the_detectable_difference_can_be_stated(fakes):
    assert lines(fakes.prepared(count=30), Known(detectable=0.2))[1].endswith("which shows a lead of 0.20")


def test_a_probe_gives_hours_and_says_what_it_cut(fakes):
    law = dataclasses.replace(fakes.LAW, max_gen_toks=4096)
    task = fakes.prepared(count=10, plan=FixedPlan(100), law=law)
    paces = {("t", "base"): Pace(100.0, 50.0, 0.0), ("t", "model"): Pace(200.0, 100.0, 0.25)}
    first, base, model, _ = lines(task, Known(paces=paces))
    # 10 x 100 x 50 / 100 + 10 x 100 x 100 / 200 = 1,000 s
    assert "by the probe about 17 min and 0 MB, at most 17 min" in first
    assert base == "t: base probed at 100 tokens/s, 50 tokens a sample"
    assert model.endswith("(25% of them cut at 512 in the probe: expect more tokens and time)")


class Ticks:
    """A clock that goes on by some seconds at each look."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


@pytest.mark.parametrize("engine", ["Units", "Streams"])
def test_a_probe_counts_what_came_until_its_time_was_over(fakes, engine):
    def change(samples):
        return [dataclasses.replace(each, n_tokens=6, finish_reason=FinishReason.LENGTH) for each in samples]

    model = getattr(fakes, engine)(change)
    task = fakes.prepared(count=30, plan=FixedPlan(1024), law=dataclasses.replace(fakes.LAW, max_gen_toks=9999))
    pace = probe_task(model, task, ("fake", "model"), 0, Ticks(PROBE_S / 5))
    assert pace.mean_tokens == 6.0
    assert pace.cut == 1.0
    assert pace.tokens_per_s > 0
    laws = [law for _, law in (model.units or model.taken)]
    assert {law.max_gen_toks for law in laws} == {PROBE_TOKENS}
    assert 1 <= len(laws) < 30
