"""The system call filter decides as it should, on both machines: it is interpreted here, step by step."""

import errno
import struct

import pytest

from rlvr_sandbox.jail.seccomp import assemble

KILL, DENY, NO_SUCH_CALL, ALLOW = 0x80000000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x7FFF0000
ARCH = (0xC000003E, 0xC00000B7)


def decide(column, number, arguments=(0, 0), arch=None):
    """What the kernel would do: runs the filter over one `struct seccomp_data`."""
    data = struct.pack("<iIQ6Q", number, ARCH[column] if arch is None else arch, 0, *arguments, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("<HBBI", assemble(column)))
    at, accumulator = 0, 0
    while True:
        code, when_true, when_false, value = steps[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x06:
            return value
        else:
            test = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += when_true if test else when_false


CALLS = {"read": (0, 63), "execve": (59, 221), "socket": (41, 198), "ptrace": (101, 117), "mount": (165, 40)}
CALLS |= {"clone": (56, 220), "socketpair": (53, 199), "ioctl": (16, 29), "unshare": (272, 97), "futex": (202, 98)}


@pytest.mark.parametrize("column", [0, 1], ids=["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("call", "arguments", "decision"),
    [
        ("read", (0, 0), ALLOW),
        ("futex", (0, 0), ALLOW),
        ("execve", (0, 0), DENY),
        ("socket", (1, 1), DENY),
        ("ptrace", (16, 1), DENY),
        ("mount", (0, 0), DENY),
        ("unshare", (0, 0), DENY),
        ("clone", (0x3D0F00, 0), ALLOW),
        ("clone", (0x11, 0), ALLOW),
        ("clone", (0x10000011, 0), DENY),
        ("clone", (0x20000011, 0), DENY),
        ("socketpair", (1, 1), ALLOW),
        ("socketpair", (2, 1), DENY),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), DENY),
    ],
)
def test_decision(column, call, arguments, decision):
    assert decide(column, CALLS[call][column], arguments) == decision


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("number", [435, 425, 426, 427])
def test_clone3_and_io_uring_do_not_exist(column, number):
    assert decide(column, number) == NO_SUCH_CALL


@pytest.mark.parametrize("column", [0, 1])
def test_a_foreign_architecture_is_killed(column):
    assert decide(column, 0, arch=0x40000003) == KILL


def test_the_x32_calls_of_x86_64_are_killed():
    assert decide(0, 0x40000000 + 59) == KILL


@pytest.mark.parametrize("column", [0, 1])
def test_a_call_is_decided_within_fifteen_steps(column):
    # The kernel walks it for every call that it has when a program is started.
    steps = list(struct.iter_unpack("<HBBI", assemble(column)))
    longest, waiting = 0, [(0, 1)]
    while waiting:
        at, walked = waiting.pop()
        code, when_true, when_false, _ = steps[at]
        longest = max(longest, walked)
        if code != 0x06:
            jumps = {when_true, when_false} if code != 0x20 else {0}
            waiting += [(at + 1 + jump, walked + 1) for jump in jumps]
    assert longest <= 15
