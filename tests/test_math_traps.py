"""Faults of graders in public code, each held off by a test, and the verifiers against random text."""

import importlib
import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import rlvr_math
from rlvr_harness import FinishReason, Outcome, Problem, Sample, WorkLimits
from rlvr_harness.stages.verifying import VerifierPool
from rlvr_math.verifier import MathVerifier, math_verifiers

HERE = Path(__file__).parent
MATH, TOLERANT, STRICT, LENIENT = math_verifiers()
MARKS = ["\\boxed{", "}", "{", "\\frac", "####", "Answer:", "<answer>", "</answer>", "\\sqrt", "^", "_", ",", "e", "\n"]
PIECES = [*MARKS, *"0123456789.%$-+*/()[]\\ "]


def sample(text, index=0, finish_reason=FinishReason.STOP):
    return Sample("t", "m", "p", index, 0, text, finish_reason, 9)


def verdict(gold, text, verifier=MATH, finish_reason=FinishReason.STOP, **metadata):
    return verifier.verify(Problem("t", "p", "", gold, metadata=metadata), sample(text, 0, finish_reason))


def boxed(gold, answer, verifier=MATH, **metadata):
    return verdict(gold, f"\\boxed{{{answer}}}", verifier, **metadata).outcome is Outcome.RIGHT


def test_trap_3_no_task_of_ours_stops_at_a_plain_word():
    for task in rlvr_math.provide_tasks():
        path = HERE.parent / "tasks" / task.name / f"{task.name}.yaml"
        assert yaml.safe_load(path.read_text())["generation_kwargs"] == {"until": []}


SYMBOLIC = ["x", "2x", "I(0)", "f(0)", "\\frac{1}{\\sqrt{2}}c", "\\pi"]


@pytest.mark.parametrize("verifier", [MATH, TOLERANT, STRICT, LENIENT])
@pytest.mark.parametrize("answer", [*SYMBOLIC, "100", "4.4e6", "4.4 \\cdot 7"])
def test_a_tolerance_takes_in_no_symbol_and_an_exponent_is_no_factor(answer, verifier):
    assert not boxed("4.4e7", answer, verifier)


@pytest.mark.parametrize(
    "answer", ["44000000", "4.4E7", "4.4 \\times 10^7", "44 \\cdot 10^{6}", "\\sqrt{16} \\cdot 1.1e7"]
)
def test_an_exponent_is_read_as_one_wherever_it_stands(answer):
    assert boxed("4.4e7", answer)
    assert boxed("4.4e7", answer, TOLERANT)


@pytest.mark.parametrize("text", ["I tried 17 and 18", "so we get 18", "= 18.", "it is \\boxed{18", "18"])
def test_trap_4_the_last_number_of_a_text_without_an_answer_is_none(text):
    assert verdict("18", text).answer is None
    assert verdict("18", text, finish_reason=FinishReason.LENGTH).reason == "truncated"


@pytest.mark.parametrize(
    ("gold", "answer"), [("50", "0.5"), ("0.5", "50"), ("2", "200\\%"), ("3", "300"), ("7", ".07")]
)
@pytest.mark.parametrize("verifier", [MATH, TOLERANT, STRICT])
def test_trap_5_x_and_100_x_differ(gold, answer, verifier):
    assert not boxed(gold, answer, verifier)


@pytest.mark.parametrize("verifier", [MATH, TOLERANT, STRICT])
def test_trap_5_integers_are_compared_exactly(verifier):
    assert not boxed("12345", "12346", verifier)
    assert not boxed("12345", "12345.5", verifier)


def test_trap_6_commas_separate_unless_they_group_thousands():
    assert not boxed("12", "1,2")
    assert not boxed("1,2", "12")
    assert boxed("1234", "1,234")


def test_trap_6_plus_minus_and_units_in_mbox_are_read():
    assert boxed("1 \\pm \\sqrt{2}", "1+\\sqrt{2}, 1-\\sqrt{2}")
    assert not boxed("\\pm 2", "2")
    assert boxed("15\\mbox{ cm}^2", "15")
    assert not boxed("15\\mbox{ cm}^2", "152")


def test_traps_7_and_14_a_time_out_is_void_and_holds_in_a_thread(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    hanging = importlib.import_module("verifying_fakes").Scripted(WorkLimits(wall_s=0.3, memory_mb=512))
    found = []

    def grade():
        with VerifierPool(hanging) as pool:
            pool.submit(Problem("t", "p", "", "18"), [sample("hang")])
            found.extend(pool.drain())

    thread = threading.Thread(target=grade)
    thread.start()
    thread.join()
    assert [(one.outcome, one.reason) for one in found] == [(Outcome.VOID, "verifier_timeout")]


def test_trap_14_algebra_in_a_thread_gives_the_verdict_of_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(boxed("\\sqrt{12}", "2\\sqrt{3}")))
    thread.start()
    thread.join()
    assert found == [True]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("\\frac{\\sqrt{4009}}{2^{2004}}", "\\frac{\\sqrt{4009}}{2^{2005}}"),  # both are 0 to 600 digits
        ("1-\\cos\\frac{\\pi}{2^{98}}", "1-\\cos\\frac{\\pi}{2^{99}}"),
        ("\\lfloor\\frac{2n-1}{5}\\rfloor", "\\lfloor\\frac{2n-1}{6}\\rfloor"),  # equal for n below 3
        ("\\lceil\\frac{n}{2}\\rceil", "\\lceil\\frac{n+1}{2}\\rceil"),
        ("200203_{-4}", "200203_{-5}"),
    ],
)
def test_values_that_agree_at_first_sight_differ(gold, answer):
    assert boxed(gold, gold + "+0" if "_" not in gold else gold)
    assert not boxed(gold, answer)


@settings(deadline=None, max_examples=300)
@given(st.integers(-(10**30), 10**30), st.integers(1, 10**6), st.booleans(), st.sampled_from([MATH, TOLERANT, STRICT]))
def test_a_perturbed_integer_is_never_accepted(gold, offset, up, verifier):
    answer = gold + offset if up else gold - offset
    assert boxed(str(gold), f"{gold:,}", verifier)
    for spelling in (f"{answer}", f"{answer:,}", f"{answer}.0", f"x={answer}", f"{answer}\\text{{ cm}}"):
        assert not boxed(str(gold), spelling, verifier)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.sampled_from(math_verifiers()),
    st.sampled_from(["boxed", "hash", "boxed_or_hash", "answer_line", "tags"]),
    st.sampled_from(["18", "0.5", "4.5e33", "\\frac{1}{2}", "1,2", "x^2+1"]),
)
def test_random_text_never_raises_and_has_one_verdict(text, verifier, policy, gold):
    first = verdict(gold, text, verifier, answer_policy=policy)
    assert first == verdict(gold, text, verifier, answer_policy=policy)
    assert first.outcome in (Outcome.RIGHT, Outcome.WRONG)


@settings(deadline=None, max_examples=5)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), min_size=20, max_size=20))
def test_random_text_never_loses_a_worker(texts):
    samples = [sample(f"\\boxed{{\\sqrt{{{text}}}}}", index) for index, text in enumerate(texts)]
    with VerifierPool(MathVerifier(), workers=1) as pool:
        pool.submit(Problem("t", "p", "", "\\sqrt{2}"), samples)
        assert sorted(one.index for one in pool.drain() if one.outcome is not Outcome.VOID) == list(range(20))


@pytest.mark.parametrize("policy", ["boxed", "hash", "boxed_or_hash", "answer_line", "tags"])
@pytest.mark.parametrize(
    "piece", ["\\boxed{", "####", "#### ", "Answer:", "*", " ", "Answer: *", "<answer>", "</answer>", "1,"]
)
def test_long_hostile_texts_are_read_in_linear_time(policy, piece):
    text = piece * 40_000 + "x"  # a reader that looks ahead from each place would take billions of steps
    assert verdict("18", text, LENIENT, answer_policy=policy).outcome is Outcome.WRONG
