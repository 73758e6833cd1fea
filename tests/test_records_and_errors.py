import dataclasses
import inspect

import pytest

from rlvr_harness import errors, records
from rlvr_harness.errors import HarnessError, UsageError, first_line
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Verdict, plain_fields

SAMPLE = Sample("t", "model", "p", 3, 99, "text", FinishReason.STOP, 2)
RECORDS = [record for record in vars(records).values() if dataclasses.is_dataclass(record)]
ERRORS = [error for error in vars(errors).values() if inspect.isclass(error) and error.__module__ == errors.__name__]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen(record):
    assert record.__dataclass_params__.frozen


def test_a_record_refuses_assignment():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SAMPLE.text = "other"


def test_outcomes_and_finish_reasons_are_stored_as_these_words():
    assert [outcome.value for outcome in Outcome] == ["right", "wrong", "void"]
    assert [reason.value for reason in FinishReason] == ["stop", "length", "error"]


def test_a_verdict_names_its_sample():
    assert Verdict.right(SAMPLE, "4") == Verdict("p", 3, Outcome.RIGHT, "4", "match")
    assert Verdict.wrong(SAMPLE, None, "no_answer") == Verdict("p", 3, Outcome.WRONG, None, "no_answer")
    assert Verdict.void(SAMPLE, "worker_lost") == Verdict("p", 3, Outcome.VOID, None, "worker_lost")


def test_a_verdict_for_another_index_differs_in_nothing_else():
    verdict = Verdict("p", 3, Outcome.RIGHT, "4", "match", seconds=0.5)
    assert verdict.for_index(7) == Verdict("p", 7, Outcome.RIGHT, "4", "match", seconds=0.5)


def test_problems_do_not_share_metadata():
    assert Problem("t", "p", "", "").metadata is not Problem("t", "q", "", "").metadata


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_one_base_and_the_exit_code_of_its_branch(error):
    assert issubclass(error, HarnessError)
    assert error.exit_code == (2 if issubclass(error, UsageError) else 1)


def test_first_line_of_an_error_is_its_first_line():
    assert first_line(ValueError("  one\ntwo")) == "one"


def test_first_line_is_cut_at_300_characters():
    assert first_line(ValueError("x" * 301)) == "x" * 300


def test_first_line_of_a_silent_error_is_its_type():
    assert first_line(ValueError()) == "ValueError"


def test_a_picture_in_a_document_is_named_by_its_type():
    class Picture:
        pass

    document = {"id": 1, "answer": "2", "options": ["a"], "image": Picture(), "images": [Picture()]}
    assert plain_fields(document) == document | {"image": "<Picture>", "images": "<list>"}
