"""Our system call filter, as classic BPF for bubblewrap's ``--seccomp``.

Everything is allowed but what reaches around the sandbox (``container.md``, row "kernel surface"): other namespaces,
mounts, keys, tracing, loading code into the kernel, the clock, and sockets that no network namespace holds.
"""

from __future__ import annotations

import functools
import platform
import struct
from typing import Final

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_EPERM: Final = 0x00050001
_ENOSYS: Final = 0x00050026
_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NAMESPACES: Final = 0x7E020080  # every CLONE_NEW flag
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C
_FAMILIES: Final = (17, 38, 40, 44)  # packet, alg, vsock, xdp
_COMMON: Final = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438,
    "mount_setattr": 442}  # fmt: skip
_X86_64: Final = {**_COMMON, "ptrace": 101, "syslog": 103, "vhangup": 153, "pivot_root": 155, "adjtimex": 159,
    "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168,
    "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "init_module": 175,
    "delete_module": 176, "quotactl": 179, "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249,
    "keyctl": 250, "unshare": 272, "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323}  # fmt: skip
_AARCH64: Final = {**_COMMON, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60, "acct": 89,
    "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116,
    "ptrace": 117, "reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "adjtimex": 171,
    "add_key": 217, "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225, "perf_event_open": 241,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270,
    "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
    "kexec_file_load": 294}  # fmt: skip
_MACHINES: Final = {
    "x86_64": (0xC000003E, _X86_64, {"clone": 56, "clone3": 435, "socket": 41, "ioctl": 16, "personality": 135}),
    "aarch64": (0xC00000B7, _AARCH64, {"clone": 220, "clone3": 435, "socket": 198, "ioctl": 29, "personality": 92}),
}


@functools.cache
def program(machine: str | None = None) -> bytes | None:
    """Give the filter; None for a machine that we have no table of.

    Args:
        machine: As ``uname -m`` says it; None takes this one.
    """
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    architecture, refused, special = known
    code = [_op(_LOAD, 4), _op(_EQUAL, architecture, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, 0)]
    if architecture == _MACHINES["x86_64"][0]:
        code += [_op(_AT_LEAST, 0x40000000, 0, 1), _op(_RETURN, _KILL)]
    for number in refused.values():
        code += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _EPERM)]
    code += [_op(_EQUAL, special["clone3"], 0, 1), _op(_RETURN, _ENOSYS)]
    code += _when(special["clone"], [_op(_LOAD, 16), _op(_ANY_BIT, _NAMESPACES, 0, 1), _op(_RETURN, _EPERM)])
    families = [part for family in _FAMILIES for part in (_op(_EQUAL, family, 0, 1), _op(_RETURN, _EPERM))]
    code += _when(special["socket"], [_op(_LOAD, 16), *families])
    requests = [part for name in (_TIOCSTI, _TIOCLINUX) for part in (_op(_EQUAL, name, 0, 1), _op(_RETURN, _EPERM))]
    code += _when(special["ioctl"], [_op(_LOAD, 24), *requests])
    asked = [_op(_LOAD, 16), _op(_EQUAL, 0, 2, 0), _op(_EQUAL, 0xFFFFFFFF, 1, 0), _op(_RETURN, _EPERM)]
    code += _when(special["personality"], asked)
    code.append(_op(_RETURN, _ALLOW))
    return b"".join(code)


def _when(number: int, body: list[bytes]) -> list[bytes]:
    """Run a body for one system call, and allow what it lets through."""
    return [_op(_EQUAL, number, 0, len(body) + 1), *body, _op(_RETURN, _ALLOW)]


def _op(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)
