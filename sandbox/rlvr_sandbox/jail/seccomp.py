"""The system call filter of a program, assembled by hand: what it may not ask of the kernel. Loaded through ctypes."""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import NamedTuple

from . import syscalls

# Denied with an error number, so that honest code that only tries gets an exception. name: (x86_64, aarch64), -1: none.
DENIED = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438), "kcmp": (312, 272), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "personality": (135, 92),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116), "iopl": (172, -1),
    "ioperm": (173, -1), "modify_ldt": (154, -1), "vhangup": (153, 58), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "mbind": (237, 235), "set_mempolicy": (238, 237), "fanotify_init": (300, 262),
    "sethostname": (170, 161), "setdomainname": (171, 162), "lookup_dcookie": (212, 18), "uselib": (134, -1),
}  # fmt: skip
# "No such call": libc and libraries then take the older way. No poll of ours sees the memory of a memfd.
ABSENT = {
    "clone3": (435, 435), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
}  # fmt: skip
# Where a program's user is root outside, it could change the modes of the machine's devices, which no read-only mount
# protects in every tool.
_MODES = {
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, -1),
    "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
}  # fmt: skip
_CLONE, _SOCKETPAIR, _IOCTL = (56, 220), (53, 199), (16, 29)
NEW_NAMESPACES = 0x7E02_0000
AF_UNIX = 1
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

_AUDIT_ARCH = (0xC000_003E, 0xC000_00B7)
_X32_BIT = 0x4000_0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ERROR, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_SET_MODE_FILTER = 1


class _Step(NamedTuple):
    """One instruction; `when_true` and `when_false` name where to go on, "" is the next one."""

    code: int
    value: int
    when_true: str = ""
    when_false: str = ""
    label: str = ""


# What is done about a call: the end of every filter, which the search for its number leads to.
_ENDINGS = (
    _Step(_LOAD, _ARGUMENTS_AT, label="clone"),
    _Step(_ANY_BIT, NEW_NAMESPACES, "deny", "allow"),
    _Step(_LOAD, _ARGUMENTS_AT, label="socketpair"),
    _Step(_EQUAL, AF_UNIX, "allow", "deny"),
    _Step(_LOAD, _ARGUMENTS_AT + 8, label="ioctl"),
    _Step(_EQUAL, TIOCSTI, "deny", ""),
    _Step(_EQUAL, TIOCLINUX, "deny", "allow"),
    _Step(_RETURN, _ALLOW, label="allow"),
    _Step(_RETURN, _ERROR | errno.EPERM, label="deny"),
    _Step(_RETURN, _ERROR | errno.ENOSYS, label="absent"),
    _Step(_RETURN, _KILL, label="kill"),
)


def _ranges(column: int, keep_modes: bool) -> list[tuple[int, str]]:
    """The first number of each run of calls that are treated alike, ascending from 0, and what is done about them."""
    denied = [*DENIED.values(), *(_MODES.values() if keep_modes else ())]
    endings = {numbers[column]: "deny" for numbers in denied}
    endings |= {numbers[column]: "absent" for numbers in ABSENT.values()}
    endings |= {_CLONE[column]: "clone", _SOCKETPAIR[column]: "socketpair", _IOCTL[column]: "ioctl"}
    found = [(0, "allow")]
    for number in sorted({at for call in endings if call >= 0 for at in (call, call + 1)}):
        ending = endings.get(number, "allow")
        if ending != found[-1][1]:
            found.append((number, ending))
    return [*found, (_X32_BIT, "kill")] if column == 0 else found


def _search(ranges: list[tuple[int, str]], steps: list[_Step]) -> str:
    """Adds the steps that find the number's range by halving; the label where they begin."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle, at = len(ranges) // 2, len(steps)
    first = ranges[middle][0]
    step = _Step(_AT_LEAST, first, label=f"from {first}")
    steps.append(step)
    below = _search(ranges[:middle], steps)
    steps[at] = step._replace(when_true=_search(ranges[middle:], steps), when_false=below)
    return step.label


def assemble(column: int, keep_modes: bool = False) -> bytes:
    """The filter for one machine (0: x86_64, 1: aarch64), eight bytes a step. `keep_modes` denies chmod and chown.

    The number is searched for by halving: as it is loaded the kernel walks the filter once for every call that it has,
    which takes as long as the rest of the confinement where the numbers stand in a row.
    """
    steps = [_Step(_LOAD, _ARCH_AT), _Step(_EQUAL, _AUDIT_ARCH[column], "", "kill"), _Step(_LOAD, _NUMBER_AT)]
    _search(_ranges(column, keep_modes), steps)
    steps += _ENDINGS
    places = {step.label: at for at, step in enumerate(steps)}
    return b"".join(
        struct.pack(
            "<HBBI",
            step.code,
            *(places[label] - at - 1 if label else 0 for label in (step.when_true, step.when_false)),
            step.value,
        )
        for at, step in enumerate(steps)
    )


class Filter:
    """A filter ready to be loaded: made once, loaded by each child."""

    def __init__(self, keep_modes: bool = False) -> None:
        """Assembles for this machine; OSError where its numbers are not known."""
        code = assemble(syscalls.machine_column(), keep_modes)
        self._code = ctypes.create_string_buffer(code, len(code))
        padded = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(self._code))
        program = ctypes.create_string_buffer(padded, len(padded))
        self._load = syscalls.Prepared("seccomp", _SET_MODE_FILTER, 0, ctypes.byref(program))

    def load(self) -> None:
        """From here on the filter holds for this process and all that it starts. Wants no_new_privs."""
        self._load()
