"""What a program sees of the file system: the interpreter and its libraries, read-only, and nothing else."""

# pathlib would lie in the memory of every program; these are a few plain calls.
# ruff: noqa: PTH102, PTH103, PTH106, PTH110, PTH112, PTH114, PTH115, PTH118, PTH120, PTH123, PTH211
from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from . import syscalls

SITE = "/site"
WORK = "/tmp"
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/share/zoneinfo")
DEVICES = ("null", "zero", "full", "random", "urandom")
DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "shm": WORK,  # semaphores of multiprocessing live there
}
_FILES = {
    "/etc/passwd": "program:x:1000:1000::/tmp:/bin/false\n",
    "/etc/group": "program:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
}
_STAGE = "/tmp"  # exists everywhere; covered in our own mount namespace only
_OLD = "/.old"


class Bind(NamedTuple):
    """One thing of the machine that is shown; `descriptor` was opened before the identity was given up."""

    source: str
    target: str
    descriptor: int


def interpreter_paths() -> list[str]:
    """Folders (and files) that the running interpreter needs, as real paths, none inside another."""
    wanted = [p for p in _SYSTEM_LIBRARIES if os.path.isdir(p) and not os.path.islink(p)]
    wanted += [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    wanted += [os.path.join(sys.base_exec_prefix, name) for name in ("lib", "lib64")]
    wanted += ["/etc/ld.so.cache", *_mapped_files()]
    found = sorted({os.path.realpath(p) for p in wanted if p and os.path.exists(p)}, key=len)
    kept: list[str] = []
    for path in found:
        if not any(path == k or path.startswith(k + "/") for k in kept):
            kept.append(path)
    return kept


def _mapped_files() -> list[str]:
    """Shared objects of this process that lie anywhere at all."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        return sorted({line.split(None, 5)[5].rstrip("\n") for line in lines if ".so" in line and "/" in line})


def site_folders(paths: Iterable[str]) -> list[str]:
    """Folders of installed packages below the paths: hidden, since a data set or an answer may lie there."""
    found = set()
    for path in paths:
        for top in [path, *_subfolders(path, "python")]:
            for name in ("site-packages", "dist-packages"):
                folder = os.path.join(top, name)
                if os.path.isdir(folder) and not os.path.islink(folder):
                    found.add(folder)
    return sorted(found)


def _subfolders(path: str, prefix: str) -> list[str]:
    try:
        return [e.path for e in os.scandir(path) if e.name.startswith(prefix) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def root_links() -> dict[str, str]:
    """Symbolic links at the root (`/lib -> usr/lib`), which paths inside libraries rely on."""
    names = ("/lib", "/lib64", "/lib32", "/bin")
    return {name: os.readlink(name) for name in names if os.path.islink(name)}


def open_binds(modules: Mapping[str, str]) -> list[Bind]:
    """Everything to be shown, opened. `modules`: name below `SITE` to the folder or file that it stands for."""
    pairs = [(path, path) for path in interpreter_paths()]
    pairs += [(os.path.realpath(path), f"{SITE}/{name}") for name, path in modules.items()]
    pairs += [(f"/dev/{name}", f"/dev/{name}") for name in DEVICES]
    return [Bind(source, target, os.open(source, os.O_PATH | os.O_CLOEXEC)) for source, target in pairs]


def build_root(binds: Iterable[Bind]) -> None:
    """A new root of its own: an empty tmpfs with the binds in it. The machine's root is gone from here on.

    Of /proc a program sees itself and what it started: what it may not trace is hidden, and that is all of ours.
    """
    links, binds = root_links(), list(binds)
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", _STAGE, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=1m,nr_inodes=4k,mode=755")
    for bind in binds:
        _bind(bind)
    os.mkdir(_STAGE + _OLD)
    os.makedirs(f"{_STAGE}/proc", exist_ok=True)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", f"{_STAGE}/proc", "proc", flags, "hidepid=2")
    syscalls.pivot_root(_STAGE, _STAGE + _OLD)
    os.chdir("/")
    syscalls.unmount(_OLD)
    os.rmdir(_OLD)
    for mask in site_folders([bind.target for bind in binds]):
        syscalls.mount("none", mask, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=4k,nr_inodes=2,mode=555")
    _furnish(links)
    syscalls.make_read_only("/")


def _bind(bind: Bind) -> None:
    target = _STAGE + bind.target
    if os.path.isdir(f"/proc/self/fd/{bind.descriptor}"):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    syscalls.mount(f"/proc/self/fd/{bind.descriptor}", target, None, syscalls.MS_BIND | syscalls.MS_REC)
    os.close(bind.descriptor)


def _furnish(links: Mapping[str, str]) -> None:
    """The small things that honest programs open: an /etc, links in /dev, a work folder to mount on."""
    for folder in ("/etc", "/dev", "/proc", SITE, WORK):
        os.makedirs(folder, exist_ok=True)
    for path, text in _FILES.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    for name, target in links.items():
        if not os.path.lexists(name):
            os.symlink(target, name)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"/dev/{name}")


def make_work_folder(disk_mb: int) -> None:
    """An empty work folder of that size, in the place of the one before; it takes no more than it did."""
    if os.path.ismount(WORK):
        syscalls.unmount(WORK)
    # One inode a kilobyte: more small files than honest work needs, fewer than would fill kernel memory.
    options = f"size={disk_mb}m,nr_inodes={disk_mb * 1024},mode=755"
    syscalls.mount("tmpfs", WORK, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
