"""Many small parts become few large ones, with the same rows, while a run goes on and when it ends."""

import dataclasses
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr_harness.parts.columns import SAMPLES, VERDICTS
from rlvr_harness.parts.compacting import FAN_IN, LEAST_AT_CLOSE, last_merge, merge, next_merge
from rlvr_harness.parts.naming import live_parts
from rlvr_harness.records import Outcome
from rlvr_harness.run_reader import count_verdicts, read_samples, read_texts, read_verdicts, sample_keys
from rlvr_harness.run_store import RunStore
from tests.store_fakes import Clock, part_files, raw_keys, sample, verdict

PLACE = "samples/t/base"


def commit_each(store, samples):
    for each in samples:
        store.append_samples([each])
        store.commit()


def mixed(count):
    """Samples in an order of no kind: p0..p9, every index once."""
    samples = [sample(index, f"p{index % 10}") for index in range(count)]
    random.Random(0).shuffle(samples)
    return samples


def test_parts_are_merged_while_the_run_goes_on(tmp_path):
    with RunStore(tmp_path, Clock()) as store:
        samples = mixed(2 * FAN_IN + 3)
        commit_each(store, samples)
        assert part_files(tmp_path, PLACE) == [
            "part-000031-from-000000.parquet",
            "part-000063-from-000032.parquet",
            "part-000064.parquet",
            "part-000065.parquet",
            "part-000066.parquet",
        ]
        assert set(read_samples(tmp_path, "t", "base")) == set(samples)


def test_merged_parts_are_merged_again(tmp_path):
    folder = tmp_path / PLACE
    folder.mkdir(parents=True)
    table = pa.table({"x": [1]})
    for number in range(FAN_IN):
        pq.write_table(table, folder / f"part-{number * 32 + 31:06d}-from-{number * 32:06d}.parquet")
    for number in (1024, 1025):
        pq.write_table(table, folder / f"part-{number:06d}.parquet")
    assert next_merge(folder, SAMPLES, FAN_IN + 1) == []
    chosen = next_merge(folder, SAMPLES, FAN_IN)
    assert (chosen[0].first, chosen[-1].last, len(chosen)) == (0, 1025, FAN_IN + 2)


def test_full_parts_are_left_and_separate_what_is_merged(tmp_path):
    commit_each_in = tmp_path / PLACE
    with RunStore(tmp_path, Clock()) as store:
        commit_each(store, mixed(9))
        store.append_samples([sample(100, text=random.Random(0).randbytes(20_000).hex())])
        store.commit()
        commit_each(store, [sample(200)])
    kind = dataclasses.replace(SAMPLES, full_bytes=15_000)
    for chosen in (next_merge(commit_each_in, kind, 2), last_merge(commit_each_in, kind)):
        assert [part.last for part in chosen] == list(range(9))[: len(chosen)]
    assert next_merge(commit_each_in, kind, 10) == []


def test_a_merge_takes_no_more_than_two_full_parts(tmp_path):
    with RunStore(tmp_path, Clock()) as store:
        commit_each(store, mixed(10))
    size = max(part.path.stat().st_size for part in live_parts(tmp_path / PLACE))
    chosen = next_merge(tmp_path / PLACE, dataclasses.replace(SAMPLES, full_bytes=2 * size), 2)
    assert 3 <= len(chosen) <= 4


def test_few_parts_are_left_as_they_are_when_the_run_ends_and_many_are_merged(tmp_path):
    for count, left in ((LEAST_AT_CLOSE - 1, LEAST_AT_CLOSE - 1), (LEAST_AT_CLOSE, 1)):
        folder = tmp_path / str(count)
        with RunStore(folder, Clock()) as store:
            commit_each(store, mixed(count))
        assert len(part_files(folder, PLACE)) == left
        assert len(sample_keys(folder, "t", "base")) == count


def test_a_run_that_fails_is_not_kept_waiting_by_a_merge(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunStore(tmp_path, Clock()) as store:
        commit_each(store, mixed(LEAST_AT_CLOSE + 4))
        raise KeyboardInterrupt
    assert len(part_files(tmp_path, PLACE)) == LEAST_AT_CLOSE + 4


def test_a_merge_goes_on_a_step_at_a_time_and_no_commit_waits_for_it(tmp_path):
    clock = Clock()

    class Slow(Clock):
        def __call__(self):
            clock.now += 1.0  # every look at the clock finds the time for merging used up
            return clock.now

    rng = random.Random(0)
    long = [sample(index, text=rng.randbytes(200_000).hex()) for index in range(FAN_IN)]
    with RunStore(tmp_path, Slow()) as store:
        commit_each(store, long)
        assert len(live_parts(tmp_path / PLACE)) == FAN_IN, "12.8 MB of texts take more than one step of 4 MB"
        commit_each(store, [sample(100), sample(101), sample(102), sample(103)])
        assert len(live_parts(tmp_path / PLACE)) == 1 + 4
    assert set(read_samples(tmp_path, "t", "base")) == {*long, *(sample(index) for index in range(100, 104))}


def test_a_compacted_folder_is_one_part_sorted_by_problem_and_index(tmp_path):
    samples = mixed(50)
    with RunStore(tmp_path, Clock()) as store:
        commit_each(store, samples)
        store.compact()
        assert part_files(tmp_path, PLACE) == ["part-000049-from-000000.parquet"]
        assert raw_keys(tmp_path) == sorted((each.problem_id, each.index) for each in samples)
        commit_each(store, [sample(50)])
        assert "part-000050.parquet" in part_files(tmp_path, PLACE)
    assert set(read_samples(tmp_path, "t", "base")) == {*samples, sample(50)}


def test_compaction_keeps_the_first_of_each_sample_and_the_verdict_that_settles(tmp_path):
    rng = random.Random(1)
    outcomes = (Outcome.RIGHT, Outcome.WRONG, Outcome.VOID)
    with RunStore(tmp_path, Clock()) as store:
        for round_ in range(25):
            store.append_samples([sample(rng.randrange(20), text=f"round {round_} {place}") for place in range(5)])
            judged = [verdict(rng.randrange(20), rng.choice(outcomes), str(round_)) for _ in range(6)]
            store.append_verdicts("t", "base", "math", judged)
            store.commit()
        before = everything(tmp_path)
        store.compact()
        assert everything(tmp_path) == before
        assert len(raw_keys(tmp_path)) == len(set(raw_keys(tmp_path))) == 20
        assert len(raw_keys(tmp_path, "verdicts/t/base/math")) == 20


def everything(folder):
    return (
        set(read_samples(folder, "t", "base")),
        set(read_texts(folder, "t", "base")),
        set(read_verdicts(folder, "t", "base", "math")),
        count_verdicts(folder, "t", "base", "math"),
    )


@pytest.mark.parametrize("read", [read_samples, read_texts])
def test_a_reader_goes_on_when_parts_are_merged_under_its_eyes(tmp_path, read):
    with RunStore(tmp_path, Clock()) as store:
        commit_each(store, mixed(20))
        rows = read(tmp_path, "t", "base")
        begun = [next(rows) for _ in range(5)]
        store.compact()
        assert sorted([*begun, *rows], key=str) == sorted(read(tmp_path, "t", "base"), key=str)


def test_verdicts_are_read_once_each_when_parts_are_merged_under_the_readers_eyes(tmp_path):
    with RunStore(tmp_path, Clock()) as store:
        for index in range(20):
            store.append_verdicts("t", "base", "math", [verdict(index % 15, answer=str(index))])
            store.commit()
        rows = read_verdicts(tmp_path, "t", "base", "math")
        begun = [next(rows) for _ in range(5)]
        store.compact()
        assert len({each.index for each in begun}) == 5
        assert {*begun, *rows} == set(read_verdicts(tmp_path, "t", "base", "math"))


def test_columns_that_this_version_does_not_know_survive_a_merge(tmp_path):
    with RunStore(tmp_path, Clock()) as store:
        commit_each(store, [sample(0), sample(1)])
    path = tmp_path / PLACE / "part-000001.parquet"
    pq.write_table(pq.read_table(path).append_column("thinking", pa.array([17])), path)
    with RunStore(tmp_path) as store:
        store.compact()
    (merged,) = (tmp_path / PLACE).iterdir()
    assert pq.read_table(merged)["thinking"].to_pylist() == [None, 17]
    assert set(read_samples(tmp_path, "t", "base")) == {sample(0), sample(1)}


def test_a_merge_that_is_dropped_leaves_everything_as_it_was(tmp_path):
    with RunStore(tmp_path, Clock()) as store:
        commit_each(store, mixed(5))
        under_way = merge(tmp_path, live_parts(tmp_path / PLACE), SAMPLES)
        next(under_way)
        under_way.close()
    assert part_files(tmp_path, PLACE) == [f"part-{number:06d}.parquet" for number in range(5)]


def test_a_part_damaged_meanwhile_stops_merging_with_a_line_and_not_the_run(tmp_path):
    lines = []
    with RunStore(tmp_path, Clock(), lines.append) as store:
        commit_each(store, mixed(3))
        (tmp_path / PLACE / "part-000001.parquet").write_bytes(b"")
        store.compact()
        commit_each(store, [sample(9)])
    (line,) = lines
    assert line.startswith("warning: small parts stay as they are, nothing is lost: ") and "is damaged" in line
    assert len(part_files(tmp_path, PLACE)) == 4


def test_verdict_parts_are_full_sooner_since_they_hold_more_rows():
    assert VERDICTS.full_bytes < SAMPLES.full_bytes
