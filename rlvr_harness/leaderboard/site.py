"""Writes a site: built aside from run folders, then put in place of an earlier one of ours, never of anything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rlvr_harness.errors import RunFolderError
from rlvr_harness.leaderboard.downloads import SCHEMA, Identifiers, csv_text, json_text, site_data
from rlvr_harness.leaderboard.folders import Run, open_runs
from rlvr_harness.leaderboard.grouping import Group, grouped
from rlvr_harness.leaderboard.pages import Site, pages
from rlvr_harness.leaderboard.rows import Row, rows_of
from rlvr_harness.report.reading import text
from rlvr_harness.stages.reporting import write_reports

TITLE = "What RLVR added: pass@k against the base"
STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Choices:
    """What a site is called, and the date that it bears, if any: without one, equal runs give equal bytes."""

    title: str = TITLE
    date: str | None = None


def build_site(folders: Sequence[Path], target: Path, choices: Choices) -> list[Group]:
    """Writes the site over these run folders to `target`; what it shows, group by group.

    Raises RunFolderError, with `target` as it was, for a folder that cannot be shown and for a `target` that holds
    anything but an earlier site.
    """
    place = target.resolve()
    check_replaceable(place, target)
    runs = open_runs(folders)
    for run in runs:
        _check_apart(run.folder, place)
    groups = grouped(row for run in runs for row in rows_of(run))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as scratch:
            built = Path(scratch) / "site"
            built.mkdir()
            _write(built, runs, groups, choices)
            _swap(built, place, Path(scratch) / "old")
    except OSError as fault:
        raise RunFolderError(f"{target}: cannot write the site: {fault.strerror or fault}") from fault
    return groups


def check_replaceable(place: Path, named: Path) -> None:
    """Raises RunFolderError unless nothing is at `place`, an empty folder, or a site of ours with no file added."""
    if not place.exists():
        return
    if not place.is_dir():
        raise RunFolderError(f"{named} is a file; name a folder for the site with -o")
    present = {
        path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    if not present and not any(place.iterdir()):
        return
    files = _files_of_site(place)
    if files is None:
        raise RunFolderError(f"{named} is not empty and holds no leaderboard of ours; choose another folder with -o")
    if added := sorted(present - files):
        raise RunFolderError(f"{named} holds {text(added[0], 200)}, which is not of the site; move it elsewhere first")


def _files_of_site(place: Path) -> set[str] | None:
    """The files that an earlier build wrote; None where there was none."""
    try:
        data = json.loads((place / "data.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("files"), list):
        return None
    return {str(name) for name in data["files"]}


def _check_apart(folder: Path, place: Path) -> None:
    """The site must not lie where replacing it would touch a run."""
    run = folder.resolve()
    if place == run or place in run.parents:
        raise RunFolderError(f"{folder} lies within the folder of the site; choose another one with -o")


def _write(built: Path, runs: Sequence[Run], groups: Sequence[Group], choices: Choices) -> None:
    rows: dict[str, Row] = {ranked.row.digest: ranked.row for group in groups for ranked in group.rows}
    ids = Identifiers(groups)
    for run in runs:
        folder = built / "runs" / ids.run(rows[run.digest])
        # Written anew from the numbers: a report.html that came with the folder could hold anything.
        write_reports([run.results], folder)
        _save(folder / "results.json", json.dumps(run.results, indent=1) + "\n")
    site = Site(text(choices.title, 200) or TITLE, choices.date, groups, ids)
    for name, content in pages(site).items():
        _save(built / name, content)
    for path in sorted(STATIC.iterdir()):
        _save(built / "assets" / path.name, path.read_text(encoding="utf-8"))
    # Without it GitHub Pages runs Jekyll over the folder.
    _save(built / ".nojekyll", "")
    data = site_data(site.title, site.date, groups)
    _save(built / "data.csv", csv_text(data["rows"]))
    files = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    _save(built / "data.json", json_text(data | {"files": sorted(files | {"data.json"})}))


def _save(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")


def _swap(built: Path, place: Path, aside: Path) -> None:
    """Puts `built` in the place of what is there, which goes to `aside`; on any fault it comes back."""
    had = place.exists()
    if had:
        place.rename(aside)
    try:
        built.rename(place)
    finally:
        if had and not place.exists():
            aside.rename(place)
