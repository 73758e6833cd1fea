"""`sweep`: every checkpoint of a training against its base, which is sampled once; one run folder for each."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlvr_harness.device_groups import is_side_by_side
from rlvr_harness.errors import RunFolderError, UsageError
from rlvr_harness.report.overview import study_heading
from rlvr_harness.report.study import studies
from rlvr_harness.report.study_charts import study_table
from rlvr_harness.report.terminal import render_table, render_terminal
from rlvr_harness.run_reader import read_json
from rlvr_harness.run_spec import identity, parse_spec
from rlvr_harness.run_store import RunStore
from rlvr_harness.schemas.checking import read_results
from rlvr_harness.stopping import Stopped
from rlvr_harness.sweep_work import SWEEP_FILE, Sweep, SweepWish

SCHEMA = "rlvr-harness/sweep/1"


def wish_of(options: Mapping[str, Any], sources: Sequence[str]) -> SweepWish:
    """The wish of given options. Raises UsageError for those of `run` that a sweep cannot take."""
    for name, why in (
        ("model", "checkpoints are given as arguments; leave out --model"),
        ("also", "give the models of --also as further checkpoints"),
        ("budget", "--budget decides by all models together, so the base could not be sampled once; leave it out"),
    ):
        if options.get(name):
            raise UsageError(f"sweep: {why}")
    if is_side_by_side(str(options.get("device") or "")):
        raise UsageError("sweep: the base is sampled once, then each checkpoint by itself; name --devices without /")
    if not options.get("base"):
        raise UsageError("sweep: --base is required")
    spec = parse_spec({**options, "model": options["base"]}, "sweep")
    stem = f"sweep-{Path(sources[0]).resolve().name}-vs-{Path(str(spec.base)).name}"
    return SweepWish(spec, list(sources), spec.output_path or Path("runs") / stem)


def sweep(wish: SweepWish) -> Iterator[str]:
    """Samples, verifies and measures every checkpoint; yields the tables and where the report lies."""
    record = _record(wish)
    with _hint(wish), RunStore(wish.folder) as store:
        work = Sweep(wish, store, record)
        work.go()
    if done := work.done():
        yield from _tables(done)
        yield f"report: {wish.folder / 'report.html'}"
    work.end()


def _record(wish: SweepWish) -> dict[str, Any]:
    """sweep.json as it stands; raises RunFolderError where it is that of another sweep, or the folder another's."""
    path = wish.folder / SWEEP_FILE
    if not path.is_file():
        if wish.folder.is_dir() and any(each.name != ".lock" for each in wish.folder.iterdir()):
            raise RunFolderError(f"{wish.folder} is not empty and holds no sweep; choose another folder with -o")
        return {"schema": SCHEMA, "spec": wish.spec.as_data(), "checkpoints": {}}
    record = read_json(wish.folder, SWEEP_FILE)
    if record.get("schema") != SCHEMA or not isinstance(record.get("checkpoints"), dict):
        raise RunFolderError(f"{path} is of another version or damaged; choose another folder with -o")
    before, now = identity(record["spec"]), identity(wish.spec.as_data())
    if differing := sorted(key for key in now if key != "model" and before.get(key) != now[key]):
        raise RunFolderError(
            f"{wish.folder} holds a sweep with another {', '.join(differing)}; choose another folder with -o"
        )
    return record


@contextmanager
def _hint(wish: SweepWish) -> Iterator[None]:
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        print(
            f"stopped; nothing finished is lost: the same command goes on in {shlex.quote(str(wish.folder))}",
            file=sys.stderr,
        )
        raise


def _tables(folders: Sequence[Path]) -> Iterator[str]:
    reports = [read_results(folder) for folder in folders]
    if len(reports) == 1:
        yield render_terminal(reports[0])
        return
    for study in studies(reports):
        yield render_table(study_heading(study), study_table(study))
