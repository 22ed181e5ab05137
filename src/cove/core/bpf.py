"""Pure: classic BPF, in which a process tells the kernel what it will not ask of it."""

from __future__ import annotations

import struct
from typing import Final

ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
EPERM: Final = 0x00050001
ENOSYS: Final = 0x00050026
LOAD: Final = 0x20
EQUAL: Final = 0x15
AT_LEAST: Final = 0x35
ANY_BIT: Final = 0x45
RETURN: Final = 0x06


def operation(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    """Give one instruction; the last two are how many instructions are left out."""
    return struct.pack("=HBBI", code, when_true, when_false, value)


def when(number: int, body: list[bytes]) -> list[bytes]:
    """Run a body for one system call, and allow what it lets through."""
    return [operation(EQUAL, number, 0, len(body) + 1), *body, operation(RETURN, ALLOW)]
