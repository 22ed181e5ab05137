"""What a reading process gives up before it sees its first hostile byte, each as far as this kernel knows it."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from typing import Final

from cove.core import bpf
from cove.core.kernel import MACHINES

_SET_NO_NEW_PRIVILEGES: Final = 38
_SET_SECCOMP: Final = 22
_SET_PARENT_DEATH_SIGNAL: Final = 1
_SET_DUMPABLE: Final = 4
_FILTER: Final = 2
_THREAD: Final = 0x10000
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_OPENAT2: Final = 437

_X86_64: Final = (
    41, 53, 42, 49, 50, 43, 288,  # sockets
    59, 322, 57, 58, 62, 200, 234, 129, 297,  # programs, processes, signals
    85, 87, 263, 82, 264, 316, 83, 258, 84, 86, 265, 88, 266, 90, 268, 91, 92, 93, 94, 260, 76, 133, 259, 188, 189,
    160, 302, 105, 106, 113, 114, 117, 119,  # limits, users
)  # fmt: skip
_AARCH64: Final = (
    198, 199, 203, 200, 201, 202, 242, 221, 281, 129, 130, 131, 138, 240, 35, 38, 276, 34, 37, 36, 53, 52, 54, 55, 45,
    33, 5, 6, 164, 261, 146, 144, 145, 143, 147, 149,
)  # fmt: skip
_REFUSED: Final = {"x86_64": (_X86_64, 257, 2), "aarch64": (_AARCH64, 56, None)}
"""By machine: further system calls that are refused, and the numbers of openat and open."""

_DATA_ROOM: Final = 256 << 20
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_READ: Final = 0x4 | 0x8
_FILE_RIGHTS: Final = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_NETWORK_SINCE: Final = 4
_SCOPES_SINCE: Final = 6

_libc = ctypes.CDLL(None, use_errno=True)


def bound(memory: int, seconds: float, writable: int) -> None:
    """Bound this process: bytes beyond those that it has, seconds of processor time, bytes of a file it may write."""
    status = dict(
        line.split(":", 1)
        for line in open("/proc/self/status", encoding="ascii")  # noqa: SIM115, PTH123 - read to its end at once
    )
    size, data = (int(status[name].split()[0]) << 10 for name in ("VmSize", "VmData"))
    _lower(resource.RLIMIT_DATA, data + memory)
    _lower(resource.RLIMIT_AS, size + memory + writable + _DATA_ROOM)
    _lower(resource.RLIMIT_FSIZE, writable)
    _lower(resource.RLIMIT_CORE, 0)
    whole = max(1, math.ceil(seconds))
    signal.signal(signal.SIGXCPU, _out_of_time)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    hard = whole + 5 if most == resource.RLIM_INFINITY else min(most, whole + 5)
    resource.setrlimit(resource.RLIMIT_CPU, (min(whole, hard), hard))


def confine() -> tuple[str, ...]:
    """Give up rights, other files, the network, and other processes; name what this kernel enforces."""
    _libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    held = ["capabilities"] if _drop_capabilities() else []
    held += ["landlock"] if _only_code(sys.path) else []
    held += ["seccomp"] if _filter() else []
    return tuple(held)


def _lower(which: int, value: int) -> None:
    _, most = resource.getrlimit(which)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(which, (value, value))


def _out_of_time(_number: int, _frame: object) -> None:
    raise TimeoutError


def _drop_capabilities() -> bool:
    """Give up every capability: root is then a user like others."""
    header = ctypes.create_string_buffer(struct.pack("<Ii", 0x20080522, 0))
    return not _libc.capset(header, ctypes.create_string_buffer(bytes(24)))


def program(machine: str | None = None) -> bytes | None:
    """Give the system call filter; None for a machine that we have no table of."""
    machine = machine or platform.machine()
    if machine not in _REFUSED or machine not in MACHINES:
        return None
    architecture, refused, special = MACHINES[machine]
    further, openat, plain_open = _REFUSED[machine]
    op, refuse = bpf.operation, bpf.operation(bpf.RETURN, bpf.EPERM)
    code = [op(bpf.LOAD, 4), op(bpf.EQUAL, architecture, 1, 0), op(bpf.RETURN, bpf.KILL), op(bpf.LOAD, 0)]
    if machine == "x86_64":
        code += [op(bpf.AT_LEAST, 0x40000000, 0, 1), op(bpf.RETURN, bpf.KILL)]
    for number in sorted({*refused.values(), *further}):
        code += [op(bpf.EQUAL, number, 0, 1), refuse]
    for number in (special["clone3"], _OPENAT2):
        code += [op(bpf.EQUAL, number, 0, 1), op(bpf.RETURN, bpf.ENOSYS)]
    code += bpf.when(special["clone"], [op(bpf.LOAD, 16), op(bpf.ANY_BIT, _THREAD, 1, 0), refuse])
    code += bpf.when(openat, [op(bpf.LOAD, 32), op(bpf.ANY_BIT, _WRITING, 0, 1), refuse])
    if plain_open is not None:
        code += bpf.when(plain_open, [op(bpf.LOAD, 24), op(bpf.ANY_BIT, _WRITING, 0, 1), refuse])
    code.append(op(bpf.RETURN, bpf.ALLOW))
    return b"".join(code)


def _filter() -> bool:
    code = program()
    if code is None:
        return False
    content = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(content))
    return not _libc.prctl(_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(described, len(described)), 0, 0)


def _only_code(folders: Iterable[str]) -> bool:
    """Read no files but those of Python and its libraries (Landlock), however else they may be open to this user."""
    version = _libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    rights = _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]
    network = 3 if version >= _NETWORK_SINCE else 0
    scopes = 3 if version >= _SCOPES_SINCE else 0
    size = 8 if version < _NETWORK_SINCE else 16 if version < _SCOPES_SINCE else 24
    described = struct.pack("<QQQ", rights, network, scopes)[:size]
    rules = _libc.syscall(_CREATE_RULESET, ctypes.create_string_buffer(described, size), size, 0)
    if rules < 0:
        return False
    try:
        for folder in {*folders, sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64"}:
            _allow(rules, folder)
        return not _libc.syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, folder: str) -> None:
    if not folder:
        return
    try:
        place = os.open(folder, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError:
        return
    rule = struct.pack("<Qi", _READ, place)
    _libc.syscall(_ADD_RULE, rules, 1, ctypes.create_string_buffer(rule, len(rule)), 0)
    os.close(place)
