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
    "capset": (126, 91),
    "mount_setattr": (442, 442),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
_LIBC = ctypes.CDLL(None, use_errno=True)
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


def call(name: str, *arguments: Any) -> int:
    """The system call of that name; integers go as longs, bytes and ctypes objects as pointers."""
    ready = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(_NUMBERS[name][machine_column()]), *ready), name)


def unshare(flags: int) -> None:
    """Puts this process (with CLONE_NEWPID: its next child) into new namespaces."""
    _checked(_LIBC.unshare(ctypes.c_int(flags)), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int) -> None:
    """Joins the namespace that the descriptor stands for."""
    _checked(_LIBC.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def prctl(option: int, value: int) -> None:
    """prctl with one argument."""
    zero = ctypes.c_ulong(0)
    _checked(_LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), f"prctl({option})")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2)."""
    given = [part.encode() if part else None for part in (source, target, kind, options)]
    result = _LIBC.mount(given[0], given[1], given[2], ctypes.c_ulong(flags), given[3])
    _checked(result, f"mount({source}, {target}, {kind})")


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


def drop_capabilities() -> None:
    """No capability is left to this process, for good."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def drop_bounding_set() -> None:
    """No program started from here on can gain a capability; what this process holds it keeps."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last one that this kernel knows, or not permitted: no_new_privs holds then
