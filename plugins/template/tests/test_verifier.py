import pytest
from rlvr_harness import FinishReason, Outcome, Problem, PromptRequest, Sample

from rlvr_template.task import LastStepTask
from rlvr_template.verifier import StepVerifier

PROMPT = "Make 16 from 7, 5, 3, 1.\n7 + 5 = 12\n3 + 1 = 4\n"
PROBLEM = Problem("template", "p", PROMPT, "16", metadata={"numbers": [12, 4], "target": 16})


def judge(text, problem=PROBLEM, finish=FinishReason.STOP):
    sample = Sample(problem.task, "model", problem.problem_id, 0, 0, text, finish, 5)
    return StepVerifier().verify(problem, sample)


@pytest.mark.parametrize("text", ["12 + 4 = 16", "4 + 12 = 16", "4+12=16", " 12 + 4 = 16\n"])
def test_a_right_step_is_accepted(text):
    assert judge(text).outcome is Outcome.RIGHT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("12 + 4 = 17", "wrong_arithmetic"),
        ("12 - 4 = 8", "wrong_target"),
        ("12 - 4 = 16", "wrong_arithmetic"),
        ("16 + 0 = 16", "number_not_available"),
        ("12 / 0 = 16", "number_not_available"),
        ("16", "no_answer"),
        ("", "no_answer"),
        ("12 + 4 = 16 or 17", "no_answer"),
    ],
)
def test_a_near_miss_is_refused_with_its_reason(text, reason):
    verdict = judge(text)
    assert (verdict.outcome, verdict.reason) == (Outcome.WRONG, reason)


def test_division_by_zero_is_no_step():
    problem = Problem("template", "p", "", "0", metadata={"numbers": [5, 0], "target": 0})
    assert judge("5 / 0 = 0", problem).reason == "wrong_arithmetic"


def test_a_cut_text_without_a_step_is_truncated():
    assert judge("12 + ", finish=FinishReason.LENGTH).reason == "truncated"


@pytest.mark.parametrize("text", ["\0", "=" * 10_000, "٣ + ٤ = ٧", "9" * 10_000 + " + 4 = 16", "\ud800", "💥"])
def test_junk_survives(text):
    assert judge(text).outcome is Outcome.WRONG


def test_the_same_text_gets_the_same_verdict():
    assert judge("12 + 4 = 16") == judge("12 + 4 = 16")


def test_every_gold_is_accepted_and_every_near_miss_refused():
    verifier = StepVerifier()
    for problem in LastStepTask().load(PromptRequest()).problems:
        golds, misses = verifier.gold_texts(problem), verifier.near_misses(problem)
        assert golds and {judge(text, problem).outcome for text in golds} == {Outcome.RIGHT}
        assert {judge(text, problem).outcome for text in misses} == {Outcome.WRONG}
