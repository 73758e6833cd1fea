"""`validate`: what a verifier must and must not accept, and what is said when it does."""

from dataclasses import dataclass

import pytest

from rlvr_harness import Problem, Verdict
from rlvr_harness.validation import validate_problems

PROBLEMS = [Problem("t", str(number), "?", gold) for number, gold in enumerate(["5", "x = 5", "7"])]


@dataclass
class Judge:
    """Accepts the texts it is told to, and the reference itself."""

    accepts: tuple[str, ...] = ()
    misses: tuple[str, ...] = ("no",)
    name = "judge"
    version = "1"
    description = "for tests"
    limits = None

    def verdict_key(self, problem, sample):
        return sample.text

    def quick(self, problem, sample):
        return None

    def verify(self, problem, sample):
        right = sample.text in (problem.reference, *self.accepts)
        return Verdict.right(sample, sample.text) if right else Verdict.wrong(sample, None, "mismatch")

    def gold_texts(self, problem):
        return [problem.reference]

    def near_misses(self, problem):
        return list(self.misses)


def faults(judge):
    report = validate_problems("t", PROBLEMS, judge, workers=1)
    return [(probe.problem.problem_id, probe.kind, probe.text) for probe, _ in report.faults]


def test_a_sound_verifier_has_no_faults():
    report = validate_problems("t", PROBLEMS, Judge(), workers=1)
    assert report.passed
    *_, row = report.lines()
    assert row.split() == ["t", "3", "3/3", "3/3", "3/3", "27/27", "ok"]


def test_a_verifier_that_takes_another_problems_gold_is_caught():
    assert faults(Judge(accepts=("7",))) == [("0", "other's gold", "7"), ("1", "other's gold", "7")]


def test_one_value_in_two_spellings_is_not_another_gold():
    assert faults(Judge(accepts=("x = 5", "5"))) == [("2", "other's gold", "5")]


@pytest.mark.parametrize(("text", "kind"), [("no", "near miss"), ("\\boxed{}", "junk")])
def test_an_accepted_near_miss_or_junk_is_caught(text, kind):
    found = faults(Judge(accepts=(text,)))
    assert [each[1:] for each in found] == [(kind, text)] * 3


def test_a_fault_names_problem_text_and_reference():
    first, *_ = validate_problems("t", PROBLEMS, Judge(accepts=("no",)), workers=1).lines()
    assert first == "t\t0: near miss 'no' is right (match); reference '5'"
