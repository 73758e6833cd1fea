"""Landlock through its three system calls: the kernel's own sandbox for programs without privileges."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from . import syscalls

_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_READ = 0b1100  # read a file, read a folder
_EXECUTE = 1
_ALL_FILE_RIGHTS = (1 << 13) - 1  # ABI 1
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15  # ABI 2, 3, 5
_TCP_RIGHTS = 0b11  # bind, connect: ABI 4
_SCOPES = 0b11  # abstract sockets, signals: ABI 6


def version() -> int:
    """The ABI that this kernel speaks. OSError where Landlock is not built in or not switched on."""
    return syscalls.call("landlock_create_ruleset", None, 0, _VERSION_FLAG)


def _rule_set(file_rights: int) -> int:
    abi = version()
    attributes = (ctypes.c_uint64 * 3)(file_rights, _TCP_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    return syscalls.call("landlock_create_ruleset", ctypes.byref(attributes), size, 0)


def scope_rules() -> int:
    """Rules for a program that has its own file system already: no TCP, no signal or abstract socket outwards."""
    if version() < 4:
        raise OSError("this kernel's Landlock knows files only, and those have a mount namespace")
    return _rule_set(0)


def file_rules(readable: Iterable[str], writable: Iterable[str]) -> int:
    """The same, and of the file system nothing but those paths."""
    abi = version()
    handled = _ALL_FILE_RIGHTS | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    handled |= _IOCTL_DEVICE if abi >= 5 else 0
    rules = _rule_set(handled)
    for path in readable:
        _allow(rules, path, _READ, handled)
    for path in writable:
        _allow(rules, path, handled & ~_EXECUTE, handled)
    return rules


def _allow(rules: int, path: str, rights: int, handled: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        file_only = _READ & ~0b1000 | 0b10 | _TRUNCATE
        is_folder = os.fstat(descriptor).st_mode & 0o170000 == 0o040000
        granted = rights & handled if is_folder else rights & handled & file_only
        # struct landlock_path_beneath_attr is packed: eight bytes of rights, four of descriptor.
        attributes = ctypes.create_string_buffer(granted.to_bytes(8, "little") + descriptor.to_bytes(4, "little"), 12)
        syscalls.call("landlock_add_rule", rules, _RULE_PATH_BENEATH, ctypes.byref(attributes), 0)
    finally:
        os.close(descriptor)


def restrict(rules: int) -> None:
    """From here on the rules hold for this process and all that it starts. Wants no_new_privs."""
    syscalls.call("landlock_restrict_self", rules, 0)
