import errno
import json
import math
import os
import random
import resource
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest

from rlvr_harness.errors import RunFolderError
from rlvr_harness.records import FinishReason, Outcome, Problem, Sample, Verdict
from rlvr_harness.run_reader import count_verdicts, read_json, read_samples, read_texts, read_verdicts, sample_keys
from rlvr_harness.run_store import COMMIT_EVERY_S, SAMPLE_SCHEMA, VERDICT_SCHEMA, RunStore


class Clock:
    """Seconds that pass only when told."""

    now = 0.0

    def __call__(self):
        return self.now


def sample(index, problem_id="p", task="t", text=None, **changes):
    fields = {"finish_reason": FinishReason.STOP, "n_tokens": 3, "logprob_sum": -1.5} | changes
    return Sample(task, "base", problem_id, index, 2**63 - 1 - index, text or f"text {index}", **fields)


def verdict(index, outcome=Outcome.RIGHT, answer="4", reason="match"):
    return Verdict("p", index, outcome, answer, reason, 0.25)


def store_samples(folder, *batches, task="t"):
    """Each batch in a part of its own."""
    with RunStore(folder) as store:
        for batch in batches:
            store.append_samples([sample(index, task=task) for index in batch])
            store.commit()


def store_verdicts(folder, *verdicts):
    for each in verdicts:
        with RunStore(folder) as store:
            store.append_verdicts("t", "base", "math", [each])


def stored_verdicts(folder):
    return list(read_verdicts(folder, "t", "base", "math"))


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def stored(folder, task="t"):
    return sorted(index for _, index in sample_keys(folder, task, "base"))


def test_samples_come_back_as_they_were(tmp_path):
    samples = [
        sample(0, text="naïve \u2028 \x00 {\\boxed{4}} \U0001f600"),
        sample(1, text=" ", finish_reason=FinishReason.LENGTH, n_tokens=0, logprob_sum=None),
        sample(2, problem_id="a/b c", finish_reason=FinishReason.ERROR, logprob_sum=-math.inf),
    ]
    with RunStore(tmp_path) as store:
        store.append_samples(samples)
    assert list(read_samples(tmp_path, "t", "base")) == samples


def test_verdicts_come_back_as_they_were(tmp_path):
    given = [verdict(0), verdict(1, Outcome.WRONG, None, "no_answer"), verdict(2, Outcome.VOID, None, "worker_lost")]
    with RunStore(tmp_path) as store:
        store.append_verdicts("t", "base", "math", given)
    assert list(read_verdicts(tmp_path, "t", "base", "math")) == given


def test_a_run_folder_has_the_documented_layout(tmp_path):
    with RunStore(tmp_path) as store:
        store.write_run({"spec": {}})
        store.write_problems("t", [Problem("t", "p", "prompt", "4", metadata={"id": "p"})])
        store.append_samples([sample(0)])
        store.append_verdicts("t", "base", "math", [verdict(0)])
        store.write_json("results.json", {"schema": "x"})
    assert files(tmp_path) == [
        ".lock",
        "problems/t.parquet",
        "results.json",
        "run.json",
        "samples/t/base/part-000000.parquet",
        "verdicts/t/base/math/part-000000.parquet",
    ]


def test_columns_are_the_documented_ones():
    assert list(SAMPLE_SCHEMA) == ["problem_id", "index", "seed", "text", "finish_reason", "n_tokens", "logprob_sum"]
    assert list(VERDICT_SCHEMA) == ["problem_id", "index", "outcome", "answer", "reason", "seconds"]


def test_parts_are_zstd_parquet(tmp_path):
    store_samples(tmp_path, [0])
    part = pq.ParquetFile(tmp_path / "samples/t/base/part-000000.parquet")
    assert part.metadata.row_group(0).column(3).compression == "ZSTD"
    assert part.schema_arrow.names == list(SAMPLE_SCHEMA)


def test_problems_keep_reference_and_metadata_for_the_audit(tmp_path):
    with RunStore(tmp_path) as store:
        store.write_problems("t", [Problem("t", "p", "prompt", "4", metadata={"level": "é"})])
    assert pq.read_table(tmp_path / "problems/t.parquet").to_pylist() == [
        {"problem_id": "p", "prompt": "prompt", "reference": "4", "metadata": '{"level": "é"}'}
    ]


def test_nothing_is_committed_before_two_seconds_have_passed(tmp_path):
    clock = Clock()
    with RunStore(tmp_path, clock) as store:
        store.append_samples([sample(0)])
        clock.now = COMMIT_EVERY_S - 0.001
        store.commit_if_due()
        assert stored(tmp_path) == []
        clock.now = COMMIT_EVERY_S
        store.commit_if_due()
        assert stored(tmp_path) == [0]


def test_the_oldest_waiting_row_decides_when_to_commit(tmp_path):
    clock = Clock()
    with RunStore(tmp_path, clock) as store:
        store.append_samples([sample(0)])
        clock.now = 1.5
        store.append_verdicts("t", "base", "math", [verdict(0)])
        clock.now = 2.0
        store.commit_if_due()
        assert stored(tmp_path) == [0]
        assert len(list(read_verdicts(tmp_path, "t", "base", "math"))) == 1


def test_the_wait_begins_anew_after_a_commit(tmp_path):
    clock = Clock()
    with RunStore(tmp_path, clock) as store:
        store.append_samples([sample(0)])
        clock.now = 2.0
        store.commit_if_due()
        store.append_samples([sample(1)])
        clock.now = 3.9
        store.commit_if_due()
        assert stored(tmp_path) == [0]


def test_a_commit_of_nothing_writes_nothing(tmp_path):
    with RunStore(tmp_path) as store:
        store.commit()
    assert files(tmp_path) == [".lock"]


def test_leaving_the_store_commits_even_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunStore(tmp_path) as store:
        store.append_samples([sample(0)])
        raise KeyboardInterrupt
    assert stored(tmp_path) == [0]


def test_a_second_session_goes_on_numbering_parts(tmp_path):
    store_samples(tmp_path, [0], [1])
    store_samples(tmp_path, [2])
    assert [path for path in files(tmp_path) if "part" in path] == [
        f"samples/t/base/part-00000{number}.parquet" for number in range(3)
    ]
    assert stored(tmp_path) == [0, 1, 2]


def test_a_half_written_file_is_invisible_to_readers(tmp_path):
    store_samples(tmp_path, [0])
    folder = tmp_path / "samples/t/base"
    whole = (folder / "part-000000.parquet").read_bytes()
    (folder / ".part-000001.parquet.tmp").write_bytes(whole[: len(whole) // 2])
    assert stored(tmp_path) == [0]
    store_samples(tmp_path, [1])
    assert stored(tmp_path) == [0, 1]


def test_no_temporary_file_is_left_behind(tmp_path):
    store_samples(tmp_path, [0], [1])
    assert [path for path in files(tmp_path) if "tmp" in path] == []


def test_a_duplicate_sample_is_read_once_and_the_first_one_counts(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_samples([sample(0, text="first")])
        store.commit()
        store.append_samples([sample(0, text="second"), sample(1)])
    assert [each.text for each in read_samples(tmp_path, "t", "base")] == ["first", "text 1"]


def test_a_later_verdict_settles_a_void_one(tmp_path):
    store_verdicts(tmp_path, verdict(0, Outcome.VOID, None, "worker_lost"), verdict(0))
    assert list(read_verdicts(tmp_path, "t", "base", "math")) == [verdict(0)]


def test_a_later_void_never_unsettles_a_verdict(tmp_path):
    store_verdicts(tmp_path, verdict(0), verdict(0, Outcome.VOID, None, "worker_lost"))
    assert list(read_verdicts(tmp_path, "t", "base", "math")) == [verdict(0)]


def test_verdicts_are_counted_as_they_are_read_whatever_their_order(tmp_path):
    rng = random.Random(0)
    outcomes = (Outcome.RIGHT, Outcome.WRONG, Outcome.VOID)
    with RunStore(tmp_path) as store:
        for _ in range(40):
            rows = [verdict(rng.randrange(30), rng.choice(outcomes), rng.choice(["1", "2", None])) for _ in range(20)]
            store.append_verdicts("t", "base", "math", rows)
            store.commit()
    read = Counter((v.outcome, v.answer if v.outcome is not Outcome.VOID else None) for v in stored_verdicts(tmp_path))
    counted = Counter()
    for each in count_verdicts(tmp_path, "t", "base", "math"):
        counted[each.outcome, each.answer if each.outcome is not Outcome.VOID else None] += each.count
    assert counted == read
    assert counted.total() == 30


def test_no_verdicts_are_counted_where_none_are_stored(tmp_path):
    assert count_verdicts(tmp_path, "t", "base", "math") == []


def test_texts_come_once_per_index_the_first_one(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_samples([sample(0, text="first")])
        store.commit()
        store.append_samples([sample(0, text="second"), sample(1, finish_reason=FinishReason.LENGTH)])
    assert list(read_texts(tmp_path, "t", "base")) == [("p", 0, "first", "stop", 3), ("p", 1, "text 1", "length", 3)]


def test_verdicts_of_two_verifiers_lie_apart(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_verdicts("t", "base", "math", [verdict(0)])
        store.append_verdicts("t", "base", "lm-eval", [verdict(0, Outcome.WRONG, "4", "mismatch")])
    assert [each.outcome for each in read_verdicts(tmp_path, "t", "base", "lm-eval")] == [Outcome.WRONG]


@pytest.mark.parametrize("task", ["a/b", "..", ".", "a%2Fb", "ä ö", "hf:org/name", "../../outside"])
def test_odd_task_names_stay_inside_the_folder_and_apart(tmp_path, task):
    folder = tmp_path / "run"
    store_samples(folder, [0], task=task)
    store_samples(folder, [1], task="plain")
    with RunStore(folder) as store:
        store.write_problems(task, [Problem(task, "p", "", "")])
    assert (stored(folder, task), stored(folder, "plain")) == ([0], [1])
    parts = [path for path in files(tmp_path) if "samples/" in path]
    assert len(parts) == 2 and all(path.startswith("run/samples/") and path.count("/") == 4 for path in parts)


def test_tasks_that_differ_by_escaping_alone_lie_apart(tmp_path):
    store_samples(tmp_path, [0], task="a/b")
    store_samples(tmp_path, [1], task="a%2Fb")
    assert (stored(tmp_path, "a/b"), stored(tmp_path, "a%2Fb")) == ([0], [1])


def test_a_second_writer_is_refused_and_told_why(tmp_path):
    with RunStore(tmp_path), pytest.raises(RunFolderError, match="is being written by another process"):
        RunStore(tmp_path)


def test_the_lock_ends_with_its_process(tmp_path):
    program = "import os, sys, pathlib\nfrom rlvr_harness.run_store import RunStore\n"
    program += "store = RunStore(pathlib.Path(sys.argv[1]))\nos.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    store_samples(tmp_path, [0])
    assert stored(tmp_path) == [0]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be a folder"):
        RunStore(tmp_path / "file" / "run")


@contextmanager
def full_disk():
    """A limit on the size of any file written: what the kernel then says is an OSError, as on a full disk.

    Held for as short as can be: it holds for the file that pytest prints to, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_stored_survives_a_write_that_fails(tmp_path):
    store_samples(tmp_path, [0])
    with RunStore(tmp_path) as store:
        store.write_run({"spec": {"k": 1}})
    with RunStore(tmp_path) as store:
        with full_disk(), pytest.raises(RunFolderError, match=f"^{tmp_path}"):
            store.write_run({"spec": {"k": 2}, "notes": ["x" * 500]})
        store.append_samples([sample(1)])
        with full_disk(), pytest.raises(RunFolderError, match=f"^{tmp_path}"):
            store.commit()
        store._pending.clear()
    assert stored(tmp_path) == [0]
    assert read_json(tmp_path, "run.json")["spec"] == {"k": 1}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so_and_how_to_go_on(tmp_path, code):
    def fill(path):
        raise OSError(code, os.strerror(code))

    store = RunStore(tmp_path)
    with pytest.raises(RunFolderError, match=f"disk is full; free some space, then `rlvr-harness resume {tmp_path}`"):
        store._replace(tmp_path / "run.json", fill)
    store.__exit__(None, None, None)


def test_a_full_disk_leaves_no_half_file_under_the_final_name(tmp_path):
    def fill(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunStore(tmp_path) as store:
        with pytest.raises(RunFolderError):
            store._replace(tmp_path / "run.json", fill)
        assert not (tmp_path / "run.json").exists()


def test_pending_rows_are_kept_when_a_commit_fails(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_samples([sample(0)])
        (tmp_path / "samples").write_text("in the way")
        with pytest.raises(RunFolderError):
            store.commit()
        (tmp_path / "samples").unlink()
    assert stored(tmp_path) == [0]


@pytest.mark.parametrize("damage", [lambda whole: whole[:100], lambda whole: b"", lambda whole: b"junk" * 50])
def test_a_damaged_part_is_named(tmp_path, damage):
    store_samples(tmp_path, [0], [1])
    part = tmp_path / "samples/t/base/part-000001.parquet"
    part.write_bytes(damage(part.read_bytes()))
    with pytest.raises(
        RunFolderError, match=r"part-000001\.parquet is damaged .*resume .*` sets it aside and samples again"
    ):
        list(read_samples(tmp_path, "t", "base"))
    with pytest.raises(RunFolderError, match=r"part-000001\.parquet is damaged"):
        sample_keys(tmp_path, "t", "base")


def test_a_flipped_byte_in_the_stored_values_is_found_or_harmless(tmp_path):
    samples = [sample(index, text="abc" * index) for index in range(200)]
    with RunStore(tmp_path) as store:
        store.append_samples(samples)
    part = tmp_path / "samples/t/base/part-000000.parquet"
    whole = part.read_bytes()
    named = 0
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    for place in range(4, len(whole) - footer, 23):
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert list(read_samples(tmp_path, "t", "base")) == samples
        except RunFolderError as error:
            assert "part-000000.parquet is damaged" in str(error)
            named += 1
    assert named > 0


def test_a_part_of_another_layout_is_named(tmp_path):
    store_verdicts(tmp_path, verdict(0))
    (tmp_path / "samples/t/base").mkdir(parents=True)
    (tmp_path / "verdicts/t/base/math/part-000000.parquet").rename(tmp_path / "samples/t/base/part-000000.parquet")
    with pytest.raises(RunFolderError, match=r"part-000000\.parquet is damaged"):
        list(read_samples(tmp_path, "t", "base"))


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(RunFolderError, match=r"holds no results\.json"):
        read_json(tmp_path, "results.json")


@pytest.mark.parametrize("text", ["{", "", "[1]", "\udcff"])
def test_a_damaged_json_file_is_named(tmp_path, text):
    (tmp_path / "run.json").write_text(text, errors="surrogateescape")
    with pytest.raises(RunFolderError, match=r"run\.json (cannot be read|is damaged)"):
        read_json(tmp_path, "run.json")


def test_numbers_that_are_not_numbers_never_reach_a_json_file(tmp_path):
    with RunStore(tmp_path) as store:
        store.write_run({"spec": {}})
        with pytest.raises(ValueError, match="Out of range"):
            store.write_json("run.json", {"value": math.nan})
    assert json.loads((tmp_path / "run.json").read_text())["spec"] == {}


def test_an_empty_folder_holds_no_samples(tmp_path):
    assert list(read_samples(tmp_path, "t", "base")) == []
    assert list(read_verdicts(tmp_path, "t", "base", "math")) == []
