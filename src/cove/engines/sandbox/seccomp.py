"""The system call filter of ``cove.engines.kernel``, as classic BPF for bubblewrap's ``--seccomp``."""

from __future__ import annotations

import functools
import platform
import struct
from typing import Final

from cove.engines.kernel import FAMILIES, MACHINES, NAMESPACES, TIOCLINUX, TIOCSTI

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_EPERM: Final = 0x00050001
_ENOSYS: Final = 0x00050026
_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06


@functools.cache
def program(machine: str | None = None) -> bytes | None:
    """Give the filter; None for a machine that we have no table of.

    Args:
        machine: As ``uname -m`` says it; None takes this one.
    """
    known = MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    architecture, refused, special = known
    code = [_op(_LOAD, 4), _op(_EQUAL, architecture, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, 0)]
    if architecture == MACHINES["x86_64"][0]:
        code += [_op(_AT_LEAST, 0x40000000, 0, 1), _op(_RETURN, _KILL)]
    for number in refused.values():
        code += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _EPERM)]
    code += [_op(_EQUAL, special["clone3"], 0, 1), _op(_RETURN, _ENOSYS)]
    code += _when(special["clone"], [_op(_LOAD, 16), _op(_ANY_BIT, NAMESPACES, 0, 1), _op(_RETURN, _EPERM)])
    families = [part for family in FAMILIES for part in (_op(_EQUAL, family, 0, 1), _op(_RETURN, _EPERM))]
    code += _when(special["socket"], [_op(_LOAD, 16), *families])
    requests = [part for name in (TIOCSTI, TIOCLINUX) for part in (_op(_EQUAL, name, 0, 1), _op(_RETURN, _EPERM))]
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
