"""The work of a sweep: finds checkpoints, admits or refuses them, and has each one run beside the base."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlvr_harness import app
from rlvr_harness.checkpoint_folders import FoundCheckpoint, find_checkpoints
from rlvr_harness.demo_models import resolve_path
from rlvr_harness.errors import HarnessError, UsageError
from rlvr_harness.preparing import PreparedRun, prepare
from rlvr_harness.registry import load_plugins
from rlvr_harness.run_spec import RunSpec
from rlvr_harness.run_store import RunStore
from rlvr_harness.sweep_analyses import Analyses, analyse, analyse_base, verifiers_of
from rlvr_harness.sweep_runs import (
    ALONE,
    BASE,
    Shared,
    Terms,
    base_spec,
    check_pair,
    pair_spec,
    run_base,
    run_pair,
)
from rlvr_harness.taking_over import Source

SWEEP_FILE = "sweep.json"
DERIVED = ("figures", "tables")
"""Folders that a report fills."""
RESERVED = frozenset({BASE, "damaged", *DERIVED})
"""Names of folders in a sweep that are no checkpoint's."""
DONE, REFUSED, FAILED, UNFINISHED, READY = "done", "refused", "failed", "unfinished", "ready"
Wait = Callable[[float], object]


@dataclass(frozen=True)
class Following:
    """Whether new checkpoints are waited for: looked for every `poll_s`, None: not at all. Ends with step `until`."""

    poll_s: float | None = None
    until: int | None = None
    wait: Wait = time.sleep


@dataclass(frozen=True)
class SweepWish:
    """What is to be swept: the options of every run, where checkpoints are, and what is done with them."""

    spec: RunSpec
    sources: Sequence[str]
    folder: Path
    following: Following = field(default_factory=Following)
    analyses: Analyses = field(default_factory=Analyses)
    quiet: bool = False


class Sweep:
    """A sweep under way; `record` is the content of sweep.json."""

    def __init__(self, wish: SweepWish, store: RunStore, record: dict[str, Any]) -> None:
        """Nothing is done yet. Raises HarnessError where the base cannot be sampled as asked."""
        self.wish, self.record = wish, record
        self._store, self._registry = store, load_plugins(wish.spec.without)
        self._entries: dict[str, dict[str, Any]] = record["checkpoints"]
        self._admitted: set[str] = set()
        self._given_up: set[str] = set()
        self._told: set[str] = set()
        self._alone: PreparedRun | None = None
        self._base_done = False

    def go(self) -> None:
        """Every checkpoint by step, and with `following` those that come."""
        following = self.wish.following
        while True:
            todo = self._admit(self._look())
            if todo:
                self._base()
                self._one(todo[0], len(todo))
            elif following.poll_s is None or self._over():
                return
            else:
                following.wait(following.poll_s)

    def done(self) -> list[Path]:
        """The folders of finished checkpoints, by step."""
        entries = [(name, one) for name, one in self._entries.items() if one["state"] == DONE]
        ordered = sorted(entries, key=lambda pair: (pair[1]["step"] is None, pair[1]["step"] or 0))
        return [self.wish.folder / name for name, _ in ordered]

    def end(self) -> None:
        """Raises HarnessError where something that was there has no result."""
        faulty = {name: one["why"] for name, one in self._entries.items() if "why" in one and name in self._given_up}
        if faulty:
            name, why = next(iter(faulty.items()))
            others = f" ({len(faulty)} in all: {', '.join(faulty)})" if len(faulty) > 1 else ""
            raise HarnessError(f"no result for {name}{others}: {why}")
        if not self.done():
            raise UsageError(f"no finished checkpoint in {', '.join(self.wish.sources)}")

    def _over(self) -> bool:
        until = self.wish.following.until
        steps = [one["step"] for one in self._entries.values() if one["state"] == DONE]
        return until is not None and any(step is not None and step >= until for step in steps)

    def _look(self) -> list[FoundCheckpoint]:
        """What can be worked on now, by step; what is not finished is told, once."""
        before, todo = repr(self._entries), []
        for one in self._found():
            entry = self._entries.setdefault(one.name, {"state": READY})
            entry |= {"path": str(one.path), "step": one.step, "adapter": one.is_adapter, "series": one.series}
            if entry["state"] == DONE and entry["analyses"] == self.wish.analyses.as_data():
                continue
            if one.lacks:
                how = "skipped" if self.wish.following.poll_s is None else "waited for"
                self._tell(f"{one.name}: {how}, {one.lacks} in {one.path}")
                entry |= {} if entry["state"] == DONE else {"state": UNFINISHED, "why": one.lacks}
            elif one.name not in self._given_up:
                todo.append(one)
        if repr(self._entries) != before:
            self._keep()
        return todo

    def _found(self) -> list[FoundCheckpoint]:
        """What lies in the folders, under the names that it has in sweep.json already."""
        folders = [Path(resolve_path(source)) for source in self.wish.sources]
        for folder in folders:
            if self.wish.following.poll_s is None and not folder.is_dir():
                raise UsageError(f"checkpoints '{folder}': no such folder")
        until = self.wish.following.until
        found: list[FoundCheckpoint] = []
        for one in find_checkpoints(folders, "tokenizer" not in self.wish.spec.model_args):
            if until is None or one.step is None or one.step <= until:
                found.append(replace(one, name=self._name_of(one, found)))
        return found

    def _name_of(self, one: FoundCheckpoint, found: Sequence[FoundCheckpoint]) -> str:
        """The name of its folder in the sweep: the one it has already, else one that is free."""
        for name, entry in self._entries.items():
            if Path(entry["path"]).resolve() == one.path.resolve():
                return name
        taken = {*self._entries, *RESERVED, *(other.name for other in found)}
        names = (one.name, *(f"{one.name}-{number}" for number in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)

    def _admit(self, todo: Sequence[FoundCheckpoint]) -> list[FoundCheckpoint]:
        """Those that may stand beside the base as it was, or will be, sampled; the others are told and left out."""
        pairs: dict[str, PreparedRun] = {}
        for one in todo:
            if one.name not in self._admitted and not (self.wish.folder / one.name / "run.json").is_file():
                with self._giving_up(one.name, REFUSED):
                    pairs[one.name] = prepare(self._spec_of(one), self._registry)
        if pairs and "terms" not in self.record:
            profiles = {BASE: self._prepared_base().profiles[ALONE]}
            profiles |= {name: pair.profiles[ALONE] for name, pair in pairs.items()}
            self.record["terms"] = Terms.of(profiles, self.wish.spec.allow_unfair).as_data()
            self._keep()
        for name, pair in pairs.items():
            with self._giving_up(name, REFUSED):
                check_pair(pair, self._shared().terms, self._shared().base)
        admitted = [one for one in todo if one.name not in self._given_up]
        self._admitted |= {one.name for one in admitted}
        return admitted

    def _prepared_base(self) -> PreparedRun:
        if self._alone is None:
            self._alone = prepare(base_spec(self.wish.spec, self.wish.folder / BASE), self._registry)
        return self._alone

    def _shared(self) -> Shared:
        terms = Terms.from_data(self.record["terms"])
        return Shared(self._registry, terms, self._prepared_base(), self.wish.folder / BASE)

    def _spec_of(self, one: FoundCheckpoint) -> RunSpec:
        return pair_spec(self.wish.spec, one, self.wish.folder / one.name)

    def _base(self) -> None:
        if not self._base_done:
            self._tell(f"base: {self.wish.spec.base}")
            run_base(self._shared(), self.wish.quiet)
            self._analyse_base()
            self._report([self.wish.folder / BASE], self.wish.folder / BASE)
            self._base_done = True

    def _one(self, one: FoundCheckpoint, left: int) -> None:
        """Runs and analyses a checkpoint; a fault of its own is told, and the others go on."""
        entry, step = self._entries[one.name], "" if one.step is None else f", step {one.step:,}"
        self._tell(f"{one.name}{step}: {len(self.done()) + 1} of {len(self.done()) + left}")
        with self._giving_up(one.name, FAILED):
            if entry["state"] != DONE:
                run_pair(self._spec_of(one), one, self._shared(), self.wish.quiet)
                entry |= {"state": DONE, "analyses": []}
                self._keep()
            self._analyse(one.name)
            entry.pop("why", None)
        if entry["state"] == DONE:
            self._keep()
            for derived in DERIVED:  # what a report over fewer checkpoints drew does not belong to this one
                shutil.rmtree(self.wish.folder / derived, ignore_errors=True)
            self._report([self.wish.folder / one.name], self.wish.folder / one.name)
            self._report(self.done(), self.wish.folder)

    def _report(self, folders: Sequence[Path], target: Path) -> None:
        app.rebuild_report(folders, target, self.wish.spec.without)

    def _analyse_base(self) -> None:
        """Its own texts under itself, for all checkpoints."""
        if self.wish.analyses.kinds:
            analyse_base(self.wish.folder / BASE, ALONE, self.wish.analyses, self._teller(BASE))

    def _analyse(self, name: str) -> None:
        wish, source = self.wish.analyses, self.wish.folder / BASE
        if wish.kinds:
            taken = Source(source, ALONE, verifiers_of(source))
            analyse(taken, self.wish.folder / name, (BASE, ALONE), wish, self._teller(name))
        self._entries[name]["analyses"] = wish.as_data()

    @contextmanager
    def _giving_up(self, name: str, state: str) -> Iterator[None]:
        """Leaves a checkpoint that fails for the next call of the command."""
        try:
            yield
        except HarnessError as error:
            entry = self._entries[name]
            entry |= {"state": DONE if entry["state"] == DONE else state, "why": str(error)}
            self._given_up.add(name)
            self._tell(f"{name}: {state}, {error}")
            self._keep()

    def _teller(self, name: str) -> Callable[[str], None]:
        return lambda line: self._tell(f"{name}: {line}")

    def _keep(self) -> None:
        content: Mapping[str, Any] = self.record
        self._store.write_json(SWEEP_FILE, content)

    def _tell(self, line: str) -> None:
        """To stderr, a line once."""
        if line not in self._told:
            self._told.add(line)
            print(line, file=sys.stderr, flush=True)
