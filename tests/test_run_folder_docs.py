"""Every block of docs/run-folder.md runs on a folder of an earlier version and on the same folder compacted."""

import re
import shutil
from pathlib import Path

import pytest

from rlvr_harness.run_store import SCHEMA, RunStore

HERE = Path(__file__).parent
TEXT = (HERE.parent / "docs" / "run-folder.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(params=["old", "compacted"])
def folder(request, tmp_path, monkeypatch):
    shutil.copytree(HERE / "run_folder_1", tmp_path / "run")
    if request.param == "compacted":
        with RunStore(tmp_path / "run") as store:
            store.compact()
    monkeypatch.chdir(tmp_path / "run")
    return request.param


def test_the_pyarrow_lines_read_samples(folder):
    (block,) = blocks("python")
    found = {}
    exec(compile(block, "docs/run-folder.md", "exec"), found)
    assert set(found["texts"]["problem_id"].to_pylist()) == {"a", "b"}
    assert {(row["problem_id"], row["index"]) for row in found["long"].to_pylist()} == {("a", 1), ("b", 1)}


def test_the_duckdb_queries_give_what_the_run_has(folder):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    many, exact = blocks("sql")
    counted, joined = (duckdb.sql(query).fetchall() for query in many.split(";")[:2])
    assert {row[0] for row in counted} == {"a", "b"}
    assert [row[:2] for row in joined] == [("b", 0)]
    assert duckdb.sql(exact).fetchall() == [("a", 1, 1), ("b", 2, 1)]


def test_the_table_of_schemas_ends_with_the_present_one():
    rows = re.findall(r"^\| (\d+(?:\.\d+)?) \|", TEXT, re.MULTILINE)
    assert f"rlvr-harness/run/{rows[-1]}" == SCHEMA
