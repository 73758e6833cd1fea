"""The container's system call profile in Docker's format, from the list that the programs' filter is made of."""

from __future__ import annotations

import errno
import json
import sys
from typing import Any

from rlvr_sandbox.jail import seccomp

# The zygote's own needs, before any program: the engine starts it by execve, and a stdin program's input is a memfd.
# Each program gets the full filter on top of this one, these two denied included.
NEEDED_TO_START = ("execve", "memfd_create")


def profile() -> dict[str, Any]:
    """The profile; `python -m rlvr_sandbox.backends.docker_seccomp` prints it as JSON."""
    denied = [name for name in seccomp.DENIED if name not in NEEDED_TO_START]
    absent = [name for name in seccomp.ABSENT if name not in NEEDED_TO_START]
    bits = [1 << bit for bit in range(32) if seccomp.NEW_NAMESPACES & 1 << bit]
    # The kernel reads these arguments as 32 bits, the filter as 64.
    terminal = [_masked(1, 0xFFFF_FFFF, request) for request in (seccomp.TIOCSTI, seccomp.TIOCLINUX)]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            _refusal(denied, errno.EPERM),
            _refusal(absent, errno.ENOSYS),
            *(_refusal(["clone"], errno.EPERM, _masked(0, bit, bit)) for bit in bits),
            _refusal(["socketpair"], errno.EPERM, {"index": 0, "value": seccomp.AF_UNIX, "op": "SCMP_CMP_NE"}),
            *(_refusal(["ioctl"], errno.EPERM, argument) for argument in terminal),
        ],
    }


def _refusal(names: list[str], code: int, argument: dict[str, Any] | None = None) -> dict[str, Any]:
    refused: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": code}
    return refused if argument is None else {**refused, "args": [argument]}


def _masked(index: int, mask: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


if __name__ == "__main__":
    json.dump(profile(), sys.stdout, indent=1)
    print()
