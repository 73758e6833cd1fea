"""Damaged parts are set aside with one line when a folder is opened for writing; the rest is kept."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr_harness.errors import RunFolderError
from rlvr_harness.parts.checking import check_part
from rlvr_harness.parts.columns import SAMPLES
from rlvr_harness.parts.reading import PartDamaged
from rlvr_harness.records import Problem
from rlvr_harness.run_reader import count_verdicts, read_problems, read_samples, read_verdicts, sample_keys
from rlvr_harness.run_store import RunStore
from tests.store_fakes import sample, verdict

PART = "samples/t/base/part-000001.parquet"


def torn(whole):
    return whole[: len(whole) // 2]


def flipped(whole):
    return whole[:150] + bytes([whole[150] ^ 0xFF]) + whole[151:]


DAMAGES = [torn, flipped, lambda whole: b"", lambda whole: b"junk" * 50, lambda whole: whole + b"more"]


def fill(folder, batches=((0, 1), (2, 3, 4), (5,))):
    """Each batch of samples in a part of its own, with its verdicts."""
    with RunStore(folder) as store:
        for batch in batches:
            store.append_samples([sample(index) for index in batch])
            store.append_verdicts("t", "base", "math", [verdict(index) for index in batch])
            store.commit()
    return folder


def damage(path, how):
    path.write_bytes(how(path.read_bytes()))


def reopen(folder):
    """The lines that opening for writing gives."""
    lines = []
    with RunStore(folder, warn=lines.append):
        pass
    return lines


def stored(folder):
    return sorted(index for _, index in sample_keys(folder, "t", "base"))


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_part_is_set_aside_as_it_is_and_the_rest_stays(tmp_path, how):
    fill(tmp_path)
    damage(tmp_path / PART, how)
    bytes_before = (tmp_path / PART).read_bytes()
    (line,) = reopen(tmp_path)
    assert (tmp_path / "damaged" / PART).read_bytes() == bytes_before
    assert stored(tmp_path) == [0, 1, 5]
    assert f"1 damaged part was set aside under damaged/ ({PART})" in line
    assert "3 samples will be sampled again and 0 verdicts worked out again" in line
    assert "\n" not in line
    assert f"rlvr-harness resume {tmp_path}" in line


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_part_of_verdicts_costs_its_verdicts_alone(tmp_path, how):
    fill(tmp_path)
    place = "verdicts/t/base/math/part-000001.parquet"
    damage(tmp_path / place, how)
    (line,) = reopen(tmp_path)
    assert (tmp_path / "damaged" / place).is_file()
    assert "0 samples will be sampled again" in line and "3 verdicts worked out again" in line
    assert stored(tmp_path) == [0, 1, 2, 3, 4, 5]
    assert sum(each.count for each in count_verdicts(tmp_path, "t", "base", "math")) == 3


def test_a_part_with_the_columns_of_another_table_is_set_aside(tmp_path):
    fill(tmp_path)
    (tmp_path / PART).write_bytes((tmp_path / "verdicts/t/base/math/part-000001.parquet").read_bytes())
    (line,) = reopen(tmp_path)
    assert (tmp_path / "damaged" / PART).is_file()
    assert "at least 3 samples will be sampled again" in line, "their verdicts show how many there were"
    assert stored(tmp_path) == [0, 1, 5]


@pytest.mark.parametrize(
    ("column", "values"),
    [("finish_reason", ["stop", "tired", "stop"]), ("text", ["a", None, "b"]), ("index", ["2", "3", "4"])],
)
def test_a_part_with_values_no_run_writes_is_set_aside(tmp_path, column, values):
    fill(tmp_path)
    table = pq.read_table(tmp_path / PART)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), tmp_path / PART)
    with pytest.raises(RunFolderError, match="is damaged"):
        list(read_samples(tmp_path, "t", "base"))
    assert len(reopen(tmp_path)) == 1
    assert stored(tmp_path) == [0, 1, 5]


def test_where_nothing_shows_how_much_is_lost_the_line_says_so(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_samples([sample(0)])
    damage(tmp_path / "samples/t/base/part-000000.parquet", torn)
    (line,) = reopen(tmp_path)
    assert "an unknown number of samples will be sampled again" in line


def test_two_damaged_parts_of_one_name_are_both_kept(tmp_path):
    fill(tmp_path)
    last = tmp_path / "samples/t/base/part-000002.parquet"
    for text in (b"one", b"two"):
        last.write_bytes(text)
        reopen(tmp_path)
    aside = tmp_path / "damaged/samples/t/base"
    assert {path.read_bytes() for path in aside.iterdir()} == {b"one", b"two"}


def test_many_damaged_parts_are_one_line(tmp_path):
    fill(tmp_path, batches=[[index] for index in range(8)])
    for path in (tmp_path / "samples/t/base").glob("part-*"):
        damage(path, torn)
    (line,) = reopen(tmp_path)
    assert "8 damaged parts were set aside" in line and line.count("part-") == 3
    assert "at least 8 samples will be sampled again" in line, "the verdicts show how many there were"


def test_row_groups_that_are_whole_are_kept(tmp_path):
    rng = random.Random(0)
    long = [sample(index, text=rng.randbytes(250_000).hex()) for index in range(24)]
    with RunStore(tmp_path) as store:
        store.append_samples(long)
    path = tmp_path / "samples/t/base/part-000000.parquet"
    metadata = pq.read_metadata(path)
    assert metadata.num_row_groups == 3
    middle = metadata.row_group(1).column(3).data_page_offset + 1000
    damage(path, lambda whole: whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    (line,) = reopen(tmp_path)
    lost = metadata.row_group(1).num_rows
    assert f"; {lost} samples will be sampled again" in line
    kept = [*long[: metadata.row_group(0).num_rows], *long[24 - metadata.row_group(2).num_rows :]]
    assert list(read_samples(tmp_path, "t", "base")) == kept
    assert reopen(tmp_path) == []


def test_a_compacted_part_that_is_damaged_gives_way_to_the_parts_still_there(tmp_path):
    fill(tmp_path)
    folder = tmp_path / "samples/t/base"
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    with RunStore(tmp_path) as store:
        store.compact()
    (merged,) = folder.iterdir()
    damage(merged, torn)
    for name, content in old.items():
        (folder / name).write_bytes(content)
    assert len(reopen(tmp_path)) == 1
    assert stored(tmp_path) == [0, 1, 2, 3, 4, 5]


def test_a_part_half_written_is_set_aside_in_silence_and_that_of_a_compaction_deleted(tmp_path):
    fill(tmp_path)
    folder = tmp_path / "samples/t/base"
    (folder / ".part-000003.parquet.tmp").write_bytes(b"half")
    (folder / ".part-000002-from-000000.parquet.tmp").write_bytes(b"half")
    assert reopen(tmp_path) == []
    assert sorted(path.name for path in folder.iterdir()) == [f"part-00000{number}.parquet" for number in range(3)]
    aside = [path.name for path in (tmp_path / "damaged").rglob("*") if path.is_file()]
    assert aside == ["part-000003.parquet.tmp"]


FOREIGN = [
    "notes.txt",
    "part-1.parquet",
    "part-000001 (copy).parquet",
    "part-x.parquet",
    ".nfs0001",
    "PART-000009.parquet",
]


def test_foreign_files_are_left_alone(tmp_path):
    fill(tmp_path)
    for place in ("samples/t/base", "samples", ".", "verdicts/t/base/math"):
        for name in FOREIGN:
            (tmp_path / place / name).write_text("mine")
    with RunStore(tmp_path) as store:
        store.compact()
    for place in ("samples/t/base", "samples", ".", "verdicts/t/base/math"):
        assert [(tmp_path / place / name).read_text() for name in FOREIGN] == ["mine"] * len(FOREIGN)
    assert stored(tmp_path) == [0, 1, 2, 3, 4, 5]
    assert not (tmp_path / "damaged").exists()


def test_readers_say_what_to_do_about_each_kind_of_file(tmp_path):
    with RunStore(fill(tmp_path)) as store:
        store.write_problems("t", [Problem("t", "p", "prompt", "4")])
    resume = rf"; `rlvr-harness resume {tmp_path}`"
    for place, read, way_out in [
        (PART, read_samples, "sets it aside and samples again what it held"),
        ("verdicts/t/base/math/part-000001.parquet", read_verdicts, "sets it aside and works its verdicts out again"),
        ("problems/t.parquet", read_problems, "writes it anew"),
    ]:
        damage(tmp_path / place, torn)
        arguments = ("math",) if read is read_verdicts else ()
        with pytest.raises(RunFolderError, match=rf"^{tmp_path / place} is damaged \(.*\){resume} {way_out}$"):
            list(read(tmp_path, "t", "base", *arguments))


def test_every_changed_byte_of_a_part_is_found_or_changes_nothing(tmp_path):
    samples = [sample(index, f"p{index % 3}", text="abc" * index) for index in range(60)]
    with RunStore(tmp_path) as store:
        store.append_samples(samples)
    path = tmp_path / "samples/t/base/part-000000.parquet"
    whole = path.read_bytes()
    found = 0
    for place in range(0, len(whole), 7):
        for mask in (0xFF, 0x01):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            try:
                check_part(tmp_path, path, SAMPLES)
            except PartDamaged:
                found += 1
            else:
                assert list(read_samples(tmp_path, "t", "base")) == samples, place
    assert found > len(whole) / 7
