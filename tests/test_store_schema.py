"""Folders of earlier versions read as they are; those of later ones are refused by name."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rlvr_harness.errors import RunFolderError
from rlvr_harness.records import FinishReason, Outcome, Sample, Verdict, VerdictCount
from rlvr_harness.run_reader import (
    count_verdicts,
    read_json,
    read_problems,
    read_samples,
    read_texts,
    read_verdicts,
    sample_keys,
    settled_keys,
)
from rlvr_harness.run_store import SCHEMA, RunStore
from tests.store_fakes import sample, verdict

OLD = Path(__file__).parent / "run_folder_1"
"""A folder written under schema 1, before parts were merged: 3 parts each, one sample twice, one verdict void."""
SAMPLES = {
    Sample("t", "base", "b", 0, 1000, "b 0: so x = 0, \\boxed{0}", FinishReason.STOP, 12, -1.5),
    Sample("t", "base", "b", 1, 1001, "b 1: so x = 1, \\boxed{1}", FinishReason.STOP, 13, None),
    Sample("t", "base", "a", 0, 1000, "a 0: so x = 0, \\boxed{0}", FinishReason.LENGTH, 12, -1.5),
    Sample("t", "base", "a", 1, 1001, "a 1: so x = 1, \\boxed{1}", FinishReason.STOP, 13, -1.5),
}
VERDICTS = {
    Verdict("b", 0, Outcome.WRONG, "0", "mismatch", 0.25),
    Verdict("b", 1, Outcome.RIGHT, "1", "match", 0.25),
    Verdict("a", 0, Outcome.RIGHT, "0", "match", 0.25),
    Verdict("a", 1, Outcome.VOID, None, "timeout", 0.25),
}


def holds_everything(folder):
    assert set(read_samples(folder, "t", "base")) == SAMPLES
    assert len(list(read_texts(folder, "t", "base"))) == 4
    assert set(read_verdicts(folder, "t", "base", "math")) == VERDICTS
    assert sample_keys(folder, "t", "base") == {("a", 0), ("a", 1), ("b", 0), ("b", 1)}
    assert settled_keys(folder, "t", "base", "math") == {("a", 0), ("b", 0), ("b", 1)}
    assert count_verdicts(folder, "t", "base", "math") == [
        VerdictCount("a", Outcome.RIGHT, "0", 1),
        VerdictCount("a", Outcome.VOID, None, 1),
        VerdictCount("b", Outcome.RIGHT, "1", 1),
        VerdictCount("b", Outcome.WRONG, "0", 1),
    ]
    assert [problem.metadata for problem in read_problems(folder, "t")] == [{"level": "é"}, {}]


def test_a_folder_of_schema_1_is_read_as_it_is():
    assert read_json(OLD, "run.json")["schema"] == "rlvr-harness/run/1"
    holds_everything(OLD)


def test_a_folder_of_schema_1_is_written_on_and_compacted(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(OLD, folder)
    with RunStore(folder) as store:
        store.write_run(read_json(folder, "run.json"))
        store.compact()
    assert read_json(folder, "run.json")["schema"] == SCHEMA
    assert [path.name for path in (folder / "samples/t/base").iterdir()] == ["part-000002-from-000000.parquet"]
    holds_everything(folder)
    with RunStore(folder) as store:
        store.append_samples([sample(2, "a")])
    assert ("a", 2) in sample_keys(folder, "t", "base")


@pytest.mark.parametrize("newer", ["rlvr-harness/run/1.2", "rlvr-harness/run/1.10", "rlvr-harness/run/2"])
def test_a_newer_schema_is_refused_by_readers_and_writers_naming_both(tmp_path, newer):
    (tmp_path / "run.json").write_text(json.dumps({"schema": newer}))
    for attempt in (lambda: read_json(tmp_path, "run.json"), lambda: RunStore(tmp_path)):
        with pytest.raises(RunFolderError) as found:
            attempt()
        assert str(found.value) == (
            f"{tmp_path} was written under schema '{newer}', this version reads up to '{SCHEMA}'; "
            "install a newer rlvr-harness"
        )


@pytest.mark.parametrize("other", ["rlvr-harness/run/0", "rlvr-harness/results/1", "else", 3])
def test_a_schema_that_is_not_ours_is_refused(tmp_path, other):
    (tmp_path / "run.json").write_text(json.dumps({"schema": other}))
    with pytest.raises(RunFolderError, match=f"schema '{other}', this version reads '{SCHEMA}' and older ones"):
        read_json(tmp_path, "run.json")


def test_a_refused_folder_can_be_opened_by_another_version_afterwards(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"schema": "rlvr-harness/run/9"}))
    with pytest.raises(RunFolderError):
        RunStore(tmp_path)
    (tmp_path / "run.json").unlink()
    with RunStore(tmp_path):
        pass


def test_an_optional_column_that_a_part_lacks_reads_as_null(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_samples([sample(0), sample(1)])
        store.commit()
        store.append_samples([sample(2)])
    path = tmp_path / "samples/t/base/part-000000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["logprob_sum"]), path)
    expected = [sample(0, logprob_sum=None), sample(1, logprob_sum=None), sample(2)]
    assert list(read_samples(tmp_path, "t", "base")) == expected
    with RunStore(tmp_path, warn=pytest.fail) as store:
        store.append_verdicts("t", "base", "math", [verdict(0)])
        store.compact()
    assert list(read_samples(tmp_path, "t", "base")) == expected
