"""Killed at any step that changes the file system, the store loses no committed row and doubles none."""

import random
import shutil

import pytest

from rlvr_harness.parts.compacting import FAN_IN
from rlvr_harness.records import Outcome
from rlvr_harness.run_reader import read_samples, read_verdicts, sample_keys
from rlvr_harness.run_store import RunStore
from tests.store_fakes import Clock, DyingDisk, Killed, part_files, raw_keys, sample, verdict

OUTCOMES = (Outcome.RIGHT, Outcome.WRONG, Outcome.VOID)
VERDICTS_AT = "verdicts/t/base/math"


class History:
    """Appends, commits, merges and reopens at random, and knows what a folder must then hold."""

    def __init__(self, folder, seed):
        self.folder = folder
        self.rng = random.Random(seed)
        self.samples = set()
        self.trying = set()
        self.settled = {}
        self.maybe_settled = {}

    def go(self, steps):
        with RunStore(self.folder, Clock()) as store:
            for _ in range(steps):
                self._append(store)
                if self.rng.random() < 0.3:
                    store.compact()
                else:
                    store.commit()
                self._acknowledge()

    def _append(self, store):
        stored = sample_keys(self.folder, "t", "base")
        fresh = [(f"p{self.rng.randrange(3)}", self.rng.randrange(15)) for _ in range(4)]
        fresh = sorted({key for key in fresh if key not in stored})
        self.trying |= set(fresh)
        store.append_samples([sample(index, problem_id) for problem_id, index in fresh])
        judged = [
            verdict(self.rng.randrange(6), self.rng.choice(OUTCOMES), str(self.rng.randrange(9))) for _ in range(3)
        ]
        store.append_verdicts("t", "base", "math", judged)
        self.maybe_settled = settle(self.settled, judged)

    def _acknowledge(self):
        self.samples |= self.trying
        self.settled = self.maybe_settled

    def check(self):
        stored = list(read_samples(self.folder, "t", "base"))
        keys = {(each.problem_id, each.index) for each in stored}
        assert len(keys) == len(stored)
        assert self.samples <= keys <= self.samples | self.trying
        assert all(each == sample(each.index, each.problem_id) for each in stored)
        settled = {each.index: each for each in read_verdicts(self.folder, "t", "base", "math")}
        assert settled in (self.settled, self.maybe_settled)
        self.samples, self.trying = keys, set()
        self.settled = self.maybe_settled = settled

    def check_once_open(self):
        """An open folder holds every sample in one row of one file, and no file that is replaced or unfinished."""
        with RunStore(self.folder, Clock()):
            rows = raw_keys(self.folder)
            assert len(rows) == len(set(rows))
            assert all(name.startswith("part-") for name in part_files(self.folder))


def settle(settled, judged):
    """The last verdict that is not void, else the first void one, of each index."""
    found = dict(settled)
    for each in judged:
        if each.index not in found or each.outcome is not Outcome.VOID:
            found[each.index] = each
    return found


def steps_of(monkeypatch, folder, seed, rounds):
    with monkeypatch.context() as patch:
        disk = DyingDisk(patch)
        History(folder, seed).go(rounds)
    return disk.done


@pytest.mark.parametrize("seed", range(15))
def test_a_kill_at_a_random_step_of_a_random_history_loses_and_doubles_nothing(tmp_path, monkeypatch, seed):
    moments = random.Random(1000 + seed)
    steps = steps_of(monkeypatch, tmp_path / "whole", seed, rounds=5)
    history = History(tmp_path / "run", seed)
    for _ in range(3):
        with monkeypatch.context() as patch:
            DyingDisk(patch, moments.randrange(steps))
            with pytest.raises(Killed):
                history.go(50)
        history.check()
    history.check_once_open()
    history.go(3)
    history.check()


@pytest.fixture(scope="module")
def many_parts(tmp_path_factory):
    """A folder with as many small parts as are merged at once, all but one."""
    folder = tmp_path_factory.mktemp("many") / "run"
    with pytest.MonkeyPatch.context() as patch:
        DyingDisk(patch)
        with RunStore(folder, Clock()) as store:
            for index in range(FAN_IN - 1):
                store.append_samples([sample(index, f"p{index % 3}")])
                store.commit()
            store._merging = False
    return folder


def commit_the_last(folder):
    with RunStore(folder, Clock()) as store:
        store.append_samples([sample(FAN_IN - 1, f"p{(FAN_IN - 1) % 3}"), sample(0, "p0", text="a second one")])
        store.commit()


@pytest.mark.slow
def test_a_kill_before_between_and_after_every_step_of_a_merge_is_harmless(many_parts, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        disk = DyingDisk(patch)
        shutil.copytree(many_parts, tmp_path / "whole")
        begin = disk.done
        commit_the_last(tmp_path / "whole")
        steps = disk.done - begin
    assert part_files(tmp_path / "whole") == ["part-000031-from-000000.parquet"]
    assert steps > FAN_IN, "a merge deletes what it replaced"
    before = {sample(index, f"p{index % 3}") for index in range(FAN_IN - 1)}
    after = before | {sample(FAN_IN - 1, f"p{(FAN_IN - 1) % 3}")}
    for step in range(steps):
        folder = tmp_path / f"{step}"
        shutil.copytree(many_parts, folder)
        with monkeypatch.context() as patch:
            DyingDisk(patch, step)
            with pytest.raises(Killed):
                commit_the_last(folder)
        assert set(read_samples(folder, "t", "base")) in (before, after), step
        assert len(list(read_samples(folder, "t", "base"))) in (FAN_IN - 1, FAN_IN), step
        with monkeypatch.context() as patch:
            DyingDisk(patch)
            commit_the_last(folder)
        assert set(read_samples(folder, "t", "base")) == after, step
        shutil.rmtree(folder)
