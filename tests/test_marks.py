"""Marks on chains of thought survive whatever happens to the file, and count once per judge."""

import json
import re
from dataclasses import replace
from multiprocessing import get_context

import pytest

from rlvr_harness.errors import RunFolderError
from rlvr_harness.marks import MARKS_FILE, Mark, add_mark, agreed, read_marks

MARK = Mark("math500", "base", "7", 12, "right", "ada", "2026-11-21T10:00:00+00:00", "uses π")


def _add_many(folder, by):
    for index in range(50):
        add_mark(folder, replace(MARK, index=index, by=by, note="x" * 5_000))


def test_a_run_without_marks_has_none(tmp_path):
    assert read_marks(tmp_path) == []


def test_marks_come_back_as_they_were_given(tmp_path):
    other = replace(MARK, by="judge:m", judgement="wrong", note="")
    add_mark(tmp_path, MARK)
    add_mark(tmp_path, other)
    assert read_marks(tmp_path) == [MARK, other]


def test_a_judge_may_change_a_mark(tmp_path):
    add_mark(tmp_path, MARK)
    add_mark(tmp_path, replace(MARK, judgement="unsure"))
    assert [mark.judgement for mark in read_marks(tmp_path)] == ["unsure"]
    assert len((tmp_path / MARKS_FILE).read_text().splitlines()) == 2


def test_a_torn_line_loses_that_mark_alone(tmp_path):
    add_mark(tmp_path, MARK)
    path = tmp_path / MARKS_FILE
    path.write_bytes(path.read_bytes() + b'{"task": "ma')
    add_mark(tmp_path, replace(MARK, index=13))
    assert [mark.index for mark in read_marks(tmp_path)] == [12, 13]


@pytest.mark.parametrize("change", [{"judgement": "maybe"}, {"index": True}, {"by": None}])
def test_a_line_that_is_no_mark_is_named(tmp_path, change):
    add_mark(tmp_path, MARK)
    path = tmp_path / MARKS_FILE
    path.write_text(path.read_text() + json.dumps({**json.loads(path.read_text()), **change}) + "\n")
    with pytest.raises(RunFolderError, match=re.escape(f"{path} line 2 is no mark")):
        read_marks(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(RunFolderError, match="the mark was not stored"):
        add_mark(tmp_path, MARK)


def test_several_writers_do_not_mix_their_lines(tmp_path):
    context = get_context("spawn")
    writers = [context.Process(target=_add_many, args=(tmp_path, by)) for by in ("ada", "bob", "cy")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    marks = read_marks(tmp_path)
    assert {(mark.index, mark.by) for mark in marks} == {(i, by) for i in range(50) for by in ("ada", "bob", "cy")}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["right"], "right"),
        (["right", "wrong"], "unsure"),
        (["right", "right", "wrong"], "right"),
        (["wrong", "unsure", "unsure"], "unsure"),
        (["wrong", "wrong", "unsure"], "wrong"),
        (["unsure"], "unsure"),
    ],
)
def test_judges_agree_by_majority(given, expected):
    marks = [replace(MARK, by=str(judge), judgement=judgement) for judge, judgement in enumerate(given)]
    assert agreed(marks) == {("math500", "base", "7", 12): expected}
