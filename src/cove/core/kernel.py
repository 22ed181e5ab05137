"""Pure: what no algorithm may ask of the kernel, for every engine (``container.md``, row "kernel surface").

Everything is allowed but what reaches around the sandbox: other namespaces, mounts, keys, tracing, loading code into
the kernel, the clock, and sockets that no network namespace holds.
"""

from __future__ import annotations

import json
from typing import Any, Final

NAMESPACES: Final = 0x7E020080
"""Every ``CLONE_NEW`` flag."""

TIOCSTI: Final = 0x5412
TIOCLINUX: Final = 0x541C
FAMILIES: Final = (17, 38, 40, 44)
"""Families of sockets that are refused: packet, alg, vsock, xdp."""

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
MACHINES: Final = {
    "x86_64": (0xC000003E, _X86_64, {"clone": 56, "clone3": 435, "socket": 41, "ioctl": 16, "personality": 135}),
    "aarch64": (0xC00000B7, _AARCH64, {"clone": 220, "clone3": 435, "socket": 198, "ioctl": 29, "personality": 92}),
}
"""By ``uname -m``: the number of its architecture, what is refused, and what is looked at more closely."""

_EPERM: Final = 1
_ENOSYS: Final = 38
_ARCHITECTURES: Final = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_LOW_HALF: Final = 0xFFFFFFFF


def oci_profile(machine: str) -> str | None:
    """Give the filter as the JSON that Docker, Podman and Kubernetes read; None for a machine that has no table.

    Names are given, not numbers, so a name that the daemon's library does not know yet is left out by it: those are
    newer than every kernel that it was built for.

    Args:
        machine: As ``uname -m`` says it on the machine that runs the job.
    """
    if machine not in MACHINES:
        return None
    refused = sorted(MACHINES[machine][1])
    rules: list[dict[str, Any]] = [
        {"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
    ]
    # A flag per rule: a comparison under a mask asks for all of its bits.
    flags = [1 << bit for bit in range(32) if NAMESPACES >> bit & 1]
    rules += [_refused_when("clone", 0, "SCMP_CMP_MASKED_EQ", flag, flag) for flag in flags]
    rules += [_refused_when("socket", 0, "SCMP_CMP_MASKED_EQ", _LOW_HALF, family) for family in FAMILIES]
    rules += [_refused_when("ioctl", 1, "SCMP_CMP_MASKED_EQ", _LOW_HALF, request) for request in (TIOCSTI, TIOCLINUX)]
    # 0 is the usual one and 0xFFFFFFFF the question; in every other value a set bit has a clear one behind it.
    rules += [
        _refused_when("personality", 0, "SCMP_CMP_MASKED_EQ", 1 << bit | 1 << (bit + 1) % 32, 1 << bit)
        for bit in range(32)
    ]
    return json.dumps(
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [_ARCHITECTURES[machine]], "syscalls": rules}
    )


def _refused_when(name: str, index: int, how: str, value: int, second: int) -> dict[str, Any]:
    compared = {"index": index, "value": value, "valueTwo": second, "op": how}
    return {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM, "args": [compared]}
