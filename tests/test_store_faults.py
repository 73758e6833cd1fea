"""A second writer, a full or vanished disk, missing rights: one clear line, and what was committed stays."""

import ast
import errno
import fcntl
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from rlvr_harness.errors import RunFolderError
from rlvr_harness.run_reader import sample_keys
from rlvr_harness.run_store import RunStore
from tests.store_fakes import Clock, part_files, sample

ROOT = Path(__file__).parent.parent
PLACE = "samples/t/base"


def stored(folder):
    return sorted(index for _, index in sample_keys(folder, "t", "base"))


def fill(folder, *indices):
    with RunStore(folder) as store:
        store.append_samples([sample(index) for index in indices])
    return folder


def big(index):
    return sample(index, text=os.urandom(300_000).hex())


def one_line(found):
    assert "\n" not in str(found.value)
    assert found.value.exit_code == 1
    return str(found.value)


def test_a_second_writer_is_told_which_process_has_the_folder(tmp_path):
    with RunStore(tmp_path), pytest.raises(RunFolderError) as found:
        RunStore(tmp_path)
    assert one_line(found) == f"{tmp_path} is being written by another process ({os.getpid()}); wait for it or end it"


def test_a_second_process_is_refused_too(tmp_path):
    program = "import sys, pathlib\nfrom rlvr_harness.run_store import RunStore\nRunStore(pathlib.Path(sys.argv[1]))"
    with RunStore(tmp_path):
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and f"by another process ({os.getpid()})" in done.stderr


@pytest.mark.parametrize("left", ["", "12345\n", "not a number", "\udcff"])
def test_a_stale_lock_file_is_no_obstacle(tmp_path, left):
    (tmp_path / ".lock").write_text(left, errors="surrogateescape")
    assert stored(fill(tmp_path, 0)) == [0]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named_as_such(tmp_path, monkeypatch, code):
    def refuse(file, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunFolderError) as found:
        RunStore(tmp_path)
    assert "lies on a file system that cannot lock files" in one_line(found) and " -o" in str(found.value)


def test_nothing_is_written_once_the_lock_was_replaced(tmp_path):
    with RunStore(tmp_path) as store:
        (tmp_path / ".lock").unlink()
        with RunStore(tmp_path):
            store.append_samples([sample(0)])
            with pytest.raises(RunFolderError, match=r"\.lock was replaced while this run held it"):
                store.commit()
        store._pending.clear()
    assert stored(tmp_path) == []


def test_a_folder_deleted_under_way_is_said_and_not_begun_anew(tmp_path):
    folder = tmp_path / "run"
    store = RunStore(folder)
    store.append_samples([sample(0)])
    shutil.rmtree(folder)
    with pytest.raises(RunFolderError) as found:
        store.commit()
    assert "was deleted or moved while it was in use" in one_line(found)
    assert f"rlvr-harness resume {folder}" in str(found.value)
    assert not folder.exists()
    store._lock.close()


def test_a_folder_moved_away_and_back_loses_nothing(tmp_path):
    folder = tmp_path / "run"
    with RunStore(folder) as store:
        store.append_samples([sample(0)])
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(RunFolderError, match="deleted or moved"):
            store.commit()
        (tmp_path / "elsewhere").rename(folder)
    assert stored(folder) == [0]


def test_a_sub_folder_deleted_under_way_is_made_anew(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_samples([sample(0)])
        store.commit()
        shutil.rmtree(tmp_path / "samples")
        store.append_samples([sample(1)])
    assert stored(tmp_path) == [1]


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_stops_the_run_and_keeps_what_is_stored_and_what_waits(small_disk):
    folder = small_disk / "run"
    with RunStore(folder) as store:
        store.append_samples([sample(0)])
        store.commit()
        (small_disk / "others").write_bytes(os.urandom(500_000))
        store.append_samples([big(1), big(2)])
        with pytest.raises(RunFolderError) as found:
            store.commit()
        assert one_line(found) == (
            f"{folder}: the disk is full; free some space, then `rlvr-harness resume {folder}` goes on"
        )
        assert part_files(folder, PLACE) == ["part-000000.parquet"], "no half file is left"
        assert stored(folder) == [0]
        (small_disk / "others").unlink()
    assert stored(folder) == [0, 1, 2], "what waited is written once there is space"


def test_a_disk_too_full_to_merge_leaves_the_parts_and_the_run_goes_on(small_disk):
    folder, lines = small_disk / "run", []
    with RunStore(folder, Clock(), lines.append) as store:
        for index in range(4):
            store.append_samples([sample(index, text=os.urandom(70_000).hex())])
            store.commit()
        (small_disk / "others").write_bytes(os.urandom(600_000))
        store.compact()
        assert stored(folder) == [0, 1, 2, 3]
        assert part_files(folder, PLACE) == [f"part-{number:06d}.parquet" for number in range(4)]
    assert len(lines) == 1 and "small parts stay as they are, nothing is lost" in lines[0]


def test_a_read_only_disk_is_named(small_disk):
    folder = fill(small_disk / "run", 0)
    store = RunStore(folder)
    store.append_samples([sample(1)])
    store._lock.close()  # an open file would keep the disk writable
    store._lock = type("NoLock", (), {"check": lambda self: None, "close": lambda self: None})()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RunFolderError) as found:
        store.commit()
    assert "the file system is read-only; mount it writable, then `rlvr-harness resume" in one_line(found)
    with pytest.raises(RunFolderError, match="the file system is read-only"):
        RunStore(folder)
    assert stored(folder) == [0]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    store.__exit__(None, None, None)
    assert stored(folder) == [0, 1]


@contextmanager
def file_size_limit(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_limit_on_file_sizes_is_named(tmp_path):
    with RunStore(tmp_path) as store:
        store.append_samples([sample(0)])
        with file_size_limit(64), pytest.raises(RunFolderError) as found:
            store.commit()
        assert "a file passes the size limit of this process; raise it (ulimit -f)" in one_line(found)
        assert part_files(tmp_path, PLACE) == []
    assert stored(tmp_path) == [0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EDQUOT, "the disk is full; free some space"),
        (errno.EACCES, "permission denied"),
        (errno.EPERM, "permission denied"),
        (errno.ESTALE, "was deleted or moved"),
        (errno.EIO, "cannot be written: [Errno 5]"),
    ],
)
def test_other_faults_of_the_system_keep_what_waits_and_name_the_way_on(tmp_path, monkeypatch, code, words):
    def fail(file):
        raise OSError(code, os.strerror(code))

    with RunStore(tmp_path) as store:
        store.append_samples([sample(0)])
        with monkeypatch.context() as patch, pytest.raises(RunFolderError) as found:
            patch.setattr(os, "fsync", fail)
            store.commit()
        assert words in one_line(found) and f"`rlvr-harness resume {tmp_path}` goes on" in str(found.value)
    assert stored(tmp_path) == [0]
    assert part_files(tmp_path, PLACE) == ["part-000000.parquet"]


def test_a_user_without_the_right_to_write_is_told_so(tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    folder = fill(tmp_path / "run", 0)
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/") and path.stat().st_mode & 0o001 == 0:
            pytest.skip(f"{path} is closed to other users")
    program = "import sys, pathlib\nfrom rlvr_harness.run_store import RunStore\nRunStore(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, user=65534, group=65534, cwd=ROOT
    )
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("another user cannot read this installation")
    assert "permission denied at" in done.stderr.splitlines()[-1]
    assert stored(folder) == [0]


def test_one_module_of_the_store_changes_files():
    """`disk` alone renames, deletes, links or makes; parts are filled through it or under a temporary name."""
    changes = {"replace", "rename", "unlink", "rmdir", "mkdir", "link", "hardlink_to", "symlink_to", "touch", "rmtree"}
    core = ROOT / "rlvr_harness"
    for path in [core / "run_store.py", core / "run_reader.py", *(core / "parts").glob("*.py")]:
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        called = {call.attr for call in calls if isinstance(call, ast.Attribute)}
        assert path.name == "disk.py" or not called & changes, path.name
