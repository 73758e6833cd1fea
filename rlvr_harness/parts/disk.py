"""The only module that changes files of the run folder: whole files or none, a lock, and plain words for faults."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rlvr_harness.errors import RunFolderError

DAMAGED = "damaged"
"""Folder, inside the run folder, of what was set aside."""
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO)


class FolderLock:
    """Keeps a second writer out, by a lock that the kernel releases with the process."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder where needed; raises RunFolderError when another process writes it."""
        self._folder = folder
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = (folder / ".lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = self._holder()
            self._file.close()
            raise RunFolderError(_lock_fault(folder, error, holder)) from error
        self._sign()

    def check(self) -> None:
        """Raises RunFolderError when the folder, or the lock in it, was taken away: nothing may be written then."""
        try:
            there = (self._folder / ".lock").stat()
        except OSError as error:
            raise RunFolderError(explain(self._folder, error)) from error
        if not os.path.samestat(there, os.fstat(self._file.fileno())):
            raise RunFolderError(
                f"{self._folder}/.lock was replaced while this run held it: another process may write here; "
                f"{resume_hint(self._folder)} when no other run is at work"
            )

    def close(self) -> None:
        """Releases the lock."""
        self._file.close()

    def _holder(self) -> str:
        with suppress(OSError, UnicodeDecodeError):  # the number only adds to a message
            self._file.seek(0)
            return self._file.read(20).strip()
        return ""

    def _sign(self) -> None:
        with suppress(OSError):  # on a full disk too the folder can be opened
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()


def _lock_fault(folder: Path, error: OSError, holder: str) -> str:
    if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
        who = f"another process ({holder})" if holder.isdecimal() else "another process"
        return f"{folder} is being written by {who}; wait for it or end it"
    if error.errno in _NO_LOCKS:
        return (
            f"{folder} lies on a file system that cannot lock files ({error.strerror}), so two runs could write it at "
            "once; mount it with locks, or put the run on another disk with -o"
        )
    return f"{folder} cannot be locked: {error}"


def resume_hint(folder: Path) -> str:
    """The command that goes on with a run."""
    return f"`rlvr-harness resume {shlex.quote(str(folder))}` goes on"


def explain(folder: Path, error: OSError) -> str:
    """What the system's error means for the run folder, and what to do, in one line."""
    resume = resume_hint(folder)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{folder}: the disk is full; free some space, then {resume}"
    if error.errno == errno.EFBIG:
        return f"{folder}: a file passes the size limit of this process; raise it (ulimit -f), then {resume}"
    if error.errno == errno.EROFS:
        return f"{folder} cannot be written: the file system is read-only; mount it writable, then {resume}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{folder} cannot be written: permission denied at {error.filename or folder}; allow it, then {resume}"
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return f"{folder} was deleted or moved while it was in use; put it back, then {resume}"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{folder} cannot be a folder: {error.filename or folder} is or lies in a file; choose another with -o"
    return f"{folder} cannot be written: {error}; when that is mended, {resume}"


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns the system's errors inside the block into RunFolderError."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(explain(folder, error)) from error


def write_whole(folder: Path, path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` fill a temporary file, then gives it its name: a reader meets the whole file or none.

    The file is on the disk when this returns, and nothing is left of it when it raises.
    """
    temporary = temporary_of(path)
    with disk_errors(folder):
        make_folder(folder, path.parent)
        try:
            write(temporary)
            finish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_of(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(f".{path.name}.tmp")


def finish(temporary: Path, path: Path) -> None:
    """Gives a written file its name, both it and the name on the disk."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(temporary, path)  # noqa: PTH105  (one way to change a file, which tests can count)
    sync_folder(path.parent)


def make_folder(root: Path, folder: Path) -> None:
    """Makes `folder` below `root`, which must be there: a run folder that was taken away is not begun anew."""
    if folder == root or folder.is_dir():
        return
    make_folder(root, folder.parent)
    folder.mkdir()
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove(path: Path) -> None:
    """Deletes a file whose content lies elsewhere."""
    path.unlink(missing_ok=True)


def set_aside(root: Path, path: Path, keep: bool = False) -> Path:
    """Moves a file to the same place under `damaged/`, beside any earlier one; `keep`: leaves the name here too."""
    target = root / DAMAGED / path.relative_to(root)
    free, number = target.with_name(target.name.removeprefix(".")), 0
    while free.exists():
        number += 1
        free = target.with_name(f"{target.name.removeprefix('.')}.{number}")
    with disk_errors(root):
        make_folder(root, free.parent)
        if keep:
            _double(path, free)
        else:
            os.replace(path, free)  # noqa: PTH105
        sync_folder(free.parent)
        sync_folder(path.parent)
    return free


def _double(path: Path, second: Path) -> None:
    try:
        second.hardlink_to(path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        shutil.copyfile(path, second)  # this file system knows no second names
