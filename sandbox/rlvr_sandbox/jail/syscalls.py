"""System calls that Python does not offer, through ctypes: namespaces, mounts, capabilities. x86_64 and aarch64."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38

_AT_RECURSIVE, _AT_FDCWD = 0x8000, -100
_CAPABILITY_VERSION_3 = 0x2008_0522
_LAST_CAPABILITY = 63
# name: (x86_64, aarch64)
_NUMBERS = {
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "prctl": (157, 167),
    "capset": (126, 91),
    "mount_setattr": (442, 442),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
_FORK = ctypes.PyDLL(None, use_errno=True).fork  # keeps Python's own lock: the child goes on as its holder
_COLUMN = {"x86_64": 0, "amd64": 0, "aarch64": 1, "arm64": 1}.get(platform.machine().lower())


def machine_column() -> int:
    """0 on x86_64, 1 on aarch64; OSError elsewhere: the numbers of other machines are not known here."""
    if _COLUMN is None:
        raise OSError(f"no system call numbers for {platform.machine()}; x86_64 and aarch64 are supported")
    return _COLUMN


def _checked(result: int, what: str) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


class Prepared:
    """A system call with its arguments laid out. What a child calls is made before the fork: ctypes makes objects, and

    types, for each call, and all memory that a child writes first has to be copied.
    """

    __slots__ = ("_arguments", "_name")

    def __init__(self, name: str, *arguments: Any) -> None:
        """Integers go as longs, bytes and ctypes objects as pointers."""
        self._name = name
        ready = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        self._arguments = (ctypes.c_long(_NUMBERS[name][machine_column()]), *ready)

    def __call__(self) -> int:
        """What the kernel answers. OSError where it refuses."""
        result: int = _SYSCALL(*self._arguments)
        return _checked(result, self._name) if result == -1 else result


def fork() -> int:
    """As os.fork, without what Python does around it for a process with threads or with fork hooks; that takes a third

    of a short child's time. Only for a process that has one thread and sees to the hooks itself.
    """
    return _checked(_FORK(), "fork")


def call(name: str, *arguments: Any) -> int:
    """The system call of that name, at once."""
    return Prepared(name, *arguments)()


def unshare(flags: int) -> None:
    """Puts this process (with CLONE_NEWPID: its next child) into new namespaces."""
    call("unshare", flags)


def prctl(option: int, value: int) -> None:
    """prctl with one argument."""
    call("prctl", option, value, 0, 0, 0)


def mounting(source: str, target: str, kind: str | None, flags: int, options: str = "") -> Prepared:
    """mount(2), prepared."""
    where = (source.encode(), target.encode(), kind.encode() if kind else None)
    return Prepared("mount", *where, flags, options.encode() or None)


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2)."""
    try:
        mounting(source, target, kind, flags, options)()
    except OSError as error:
        raise OSError(error.errno, f"mount({source}, {target}, {kind}): {os.strerror(error.errno or 0)}") from error


def unmount(target: str) -> None:
    """Takes a mount out of the tree, with all below it, even while it is in use."""
    _checked(_LIBC.umount2(target.encode(), ctypes.c_int(MNT_DETACH)), f"umount({target})")


def pivot_root(new: str, old: str) -> None:
    """Makes `new` the root and puts the present root at `old`."""
    call("pivot_root", new.encode(), old.encode())


def make_read_only(target: str) -> None:
    """Every mount from `target` down becomes read-only and without set-uid (Linux 5.12)."""
    attributes = (ctypes.c_uint64 * 4)(MS_RDONLY | MS_NOSUID, 0, 0, 0)
    call("mount_setattr", _AT_FDCWD, target.encode(), _AT_RECURSIVE, ctypes.byref(attributes), 32)


def dropping_capabilities() -> Prepared:
    """No capability is left to the process that calls it, for good."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    return Prepared("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def drop_capabilities() -> None:
    """No capability is left to this process, for good."""
    dropping_capabilities()()


def drop_bounding_set() -> None:
    """No program started from here on can gain a capability; what this process holds it keeps."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last one that this kernel knows, or not permitted: no_new_privs holds then
