"""The system call filter of ``cove.core.kernel``, as classic BPF for bubblewrap's ``--seccomp``."""

from __future__ import annotations

import functools
import platform

from cove.core.bpf import ALLOW, ANY_BIT, AT_LEAST, ENOSYS, EPERM, EQUAL, KILL, LOAD, RETURN, when
from cove.core.bpf import operation as op
from cove.core.kernel import FAMILIES, MACHINES, NAMESPACES, TIOCLINUX, TIOCSTI


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
    code = [op(LOAD, 4), op(EQUAL, architecture, 1, 0), op(RETURN, KILL), op(LOAD, 0)]
    if architecture == MACHINES["x86_64"][0]:
        code += [op(AT_LEAST, 0x40000000, 0, 1), op(RETURN, KILL)]
    for number in refused.values():
        code += [op(EQUAL, number, 0, 1), op(RETURN, EPERM)]
    code += [op(EQUAL, special["clone3"], 0, 1), op(RETURN, ENOSYS)]
    code += when(special["clone"], [op(LOAD, 16), op(ANY_BIT, NAMESPACES, 0, 1), op(RETURN, EPERM)])
    families = [part for family in FAMILIES for part in (op(EQUAL, family, 0, 1), op(RETURN, EPERM))]
    code += when(special["socket"], [op(LOAD, 16), *families])
    requests = [part for name in (TIOCSTI, TIOCLINUX) for part in (op(EQUAL, name, 0, 1), op(RETURN, EPERM))]
    code += when(special["ioctl"], [op(LOAD, 24), *requests])
    asked = [
        op(LOAD, 16),
        op(EQUAL, 0, 2, 0),
        op(EQUAL, 0xFFFFFFFF, 1, 0),
        op(RETURN, EPERM),
    ]
    code += when(special["personality"], asked)
    code.append(op(RETURN, ALLOW))
    return b"".join(code)
