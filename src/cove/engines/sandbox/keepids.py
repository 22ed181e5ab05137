# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""A user of this host for one run alone, as its supervisor takes it. Standard library only.

One file holds them all: the byte at a uid's offset is locked for as long as its supervisor lives, so no crash can leave
one taken. The byte itself is 1 from the take to a clean end. Where it is 1 and not locked, a supervisor was killed, and
the uid is free only when none of its processes is left.
"""

import fcntl
import os
import struct

_TAKEN, _FREE = b"\1", b"\0"


def take(place, first, count):
    """Give a uid that no living run has, and the descriptor that holds it; None where all are taken."""
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    begin = os.getpid() % count
    for step in range(count):
        uid = first + (begin + step) % count
        if not _lock(descriptor, fcntl.F_WRLCK, uid):
            continue
        if os.pread(descriptor, 1, uid) == _TAKEN and _has_processes(uid):
            _lock(descriptor, fcntl.F_UNLCK, uid)
            continue
        os.pwrite(descriptor, _TAKEN, uid)
        return uid, descriptor
    os.close(descriptor)
    return None


def give_back(uid, descriptor):
    """Let others have a uid, now that nothing runs under it."""
    os.pwrite(descriptor, _FREE, uid)
    os.close(descriptor)


def _lock(descriptor, kind, uid):
    """Lock one byte for this open file, and not for this process: so it holds in what was forked, too."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", kind, os.SEEK_SET, uid, 1, 0) + bytes(4))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _has_processes(uid):
    """Look in the status of each process: the owner of its folder says root where it may not be traced."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/status") as file:
                    facts = {line.split()[0]: line.split()[1:] for line in file if line[:4] in ("Stat", "Uid:")}
            except OSError:
                continue
            if str(uid) in facts.get("Uid:", ()) and facts["State:"][0] not in ("Z", "X"):  # the dead harm nobody
                return True
    return False
