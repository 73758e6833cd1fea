"""Finds parts that do not read as what was written, and sets them aside so that a run can go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr_harness.parts import disk
from rlvr_harness.parts.columns import SAMPLES, SCORED, VERDICTS, PartKind
from rlvr_harness.parts.compacting import part_writer
from rlvr_harness.parts.keys import KeySet
from rlvr_harness.parts.naming import (
    Part,
    all_parts,
    covered_parts,
    is_compaction,
    live_parts,
    next_number,
    part_folders,
    part_name,
    unfinished_files,
)
from rlvr_harness.parts.reading import KEY, PartDamaged, damage_named, folder_batches, open_part, typed


@dataclass(frozen=True)
class Damage:
    """A part that was set aside; `lost`: rows that could not be kept, None where the file does not tell."""

    kind: PartKind
    part: Path
    lost: int | None


def repair(root: Path) -> list[Damage]:
    """Makes every part under `root` readable again, only for the holder of its lock; says what was set aside.

    Files that a compaction left behind are deleted, since other parts hold their rows; nothing else is.
    """
    found: list[Damage] = []
    for kind in (SAMPLES, VERDICTS, *SCORED):
        for folder in part_folders(root, kind.top):
            with disk.disk_errors(root):
                found += _repair_folder(root, folder, kind)
    return found


def _repair_folder(root: Path, folder: Path, kind: PartKind) -> Iterator[Damage]:
    for path in unfinished_files(folder):
        if is_compaction(path):
            disk.remove(path)
        else:
            disk.set_aside(root, path)
    whole: set[Part] = set()
    while unchecked := [part for part in live_parts(folder) if part not in whole]:
        for part in unchecked:
            try:
                check_part(root, part.path, kind)
            except PartDamaged:
                yield Damage(kind, part.path.relative_to(root), _save(root, part, kind))
                break  # what it replaced may be live again, and what could be saved of it is a new part
            whole.add(part)
    for part in covered_parts(folder):
        disk.remove(part.path)


def check_part(root: Path, path: Path, kind: PartKind) -> None:
    """Reads a whole part; raises PartDamaged where a byte of it is not as it was written."""
    with damage_named(root, path, kind), open_part(path, kind) as part:
        for number in range(part.num_row_groups):
            _check_group(part, number, kind)


def _check_group(part: pq.ParquetFile, number: int, kind: PartKind) -> pa.Table:
    table = part.read_row_group(number)
    if len(table) != part.metadata.row_group(number).num_rows:
        raise pa.ArrowInvalid(f"it lacks rows in row group {number}")
    table.validate(full=True)
    for batch in table.to_batches():
        typed(batch, kind, list(kind.columns))
    return table


def _save(root: Path, part: Part, kind: PartKind) -> int | None:
    """Sets a damaged part aside and keeps its row groups that are whole; how many rows are lost, None for unknown."""
    folder = part.path.parent
    try:
        with damage_named(root, part.path, kind), open_part(part.path, kind) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
            whole = list(_whole_groups(root, part.path, kind, file))
    except PartDamaged:
        disk.set_aside(root, part.path)
        return None
    replaced = any(part.covers(other) for other in all_parts(folder))
    if not whole or (replaced and kind is VERDICTS):
        # Verdicts that a compaction was about to replace are live again; those saved would come after later ones.
        disk.set_aside(root, part.path)
        return rows

    def copy(target: Path) -> None:
        with open_part(part.path, kind) as source, part_writer(target, schema, kind) as writer:
            for number in whole:
                writer.write_table(source.read_row_group(number))

    saved = folder / part_name(next_number(all_parts(folder))) if replaced else part.path
    disk.set_aside(root, part.path, keep=True)
    disk.write_whole(root, saved, copy)
    if replaced:
        disk.remove(part.path)  # it lies under damaged/
    with open_part(saved, kind) as file:
        return rows - int(file.metadata.num_rows)


def _whole_groups(root: Path, path: Path, kind: PartKind, part: pq.ParquetFile) -> Iterator[int]:
    for number in range(part.num_row_groups):
        try:
            with damage_named(root, path, kind):
                _check_group(part, number, kind)
        except PartDamaged:
            continue
        yield number


def repair_line(root: Path, found: list[Damage]) -> str:
    """What was set aside and how much has to be done again, in one line."""
    scores = any(each.kind in SCORED for each in found)
    again = "; `rlvr-harness ppl` and `entropy` work out again what they lack" if scores else ""
    samples = _to_do_again(root, [each for each in found if each.kind is SAMPLES])
    verdicts = _to_do_again(root, [each for each in found if each.kind is VERDICTS])
    names = ", ".join(each.part.as_posix() for each in found[:3]) + (", ..." if len(found) > 3 else "")
    count = f"{len(found):,} damaged part{'s were' if len(found) > 1 else ' was'}"
    return (
        f"warning: {root}: {count} set aside under {disk.DAMAGED}/ ({names}); {samples} samples will be sampled again "
        f"and {verdicts} verdicts worked out again: {disk.resume_hint(root)}{again}"
    )


def _to_do_again(root: Path, found: list[Damage]) -> str:
    """Number of rows lost; where a file does not tell, as many as the other tables show to be missing."""
    if all(each.lost is not None for each in found):
        return f"{sum(each.lost or 0 for each in found):,}"
    missing = 0
    for folder in {(root / each.part).parent for each in found}:
        missing += len(_shown_elsewhere(root, folder, found[0].kind) - _keys(root, folder, found[0].kind))
    return f"at least {missing:,}" if missing else "an unknown number of"


def _shown_elsewhere(root: Path, folder: Path, kind: PartKind) -> KeySet:
    """Keys that the samples of a model show its verdicts must have, or its verdicts its samples."""
    place = folder.relative_to(root / kind.top)
    if kind is VERDICTS:
        return _keys(root, root / "samples" / place.parent, SAMPLES)
    keys = KeySet()
    for judged in part_folders(root, "verdicts"):
        if judged.parent == root / "verdicts" / place:
            keys = KeySet(keys | _keys(root, judged, VERDICTS))
    return keys


def _keys(root: Path, folder: Path, kind: PartKind) -> KeySet:
    keys = KeySet()
    for batch in folder_batches(root, folder, kind, KEY):
        keys.add_columns(batch.column(0), batch.column(1))
    return keys
