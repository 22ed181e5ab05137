# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""What the keeper's supervisors keep of a run: its log, and copies of its regular files. Standard library only."""

import os
import stat

_COPY = 1 << 20
_MAX_DEPTH = 64
_LITTLE = 512 << 20


def is_nearly_full(facts: os.statvfs_result) -> bool:
    """Say whether a run that writes into a file of this host must not go on: less than 512 MiB, or a 16th, is left."""
    left, size = facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize
    return left < min(_LITTLE, size // 16)


class Log:
    """The captured output: capped, with a line that says so."""

    def __init__(self, run, limit):
        self._descriptor = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600, dir_fd=run)
        self._left = limit
        self._note = b""

    def write(self, part):
        """Keep what still fits."""
        kept = part[: self._left]
        if len(kept) < len(part):
            self._note = b"\n[the log is full: the rest was dropped]\n"
        self._left -= len(kept)
        try:
            if kept:
                os.write(self._descriptor, kept)
        except OSError:
            self._left = 0

    def close(self):
        """Say what was dropped, and let go."""
        try:
            if self._note:
                os.write(self._descriptor, self._note)
        except OSError:
            pass
        os.close(self._descriptor)


def copy_folder(source, into, depth, left_out, budget):
    """Copy regular files by their descriptors, never following a link; name the rest in ``left_out``."""
    for name in os.listdir(source):
        try:
            facts = os.stat(name, dir_fd=source, follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISDIR(facts.st_mode) and depth < _MAX_DEPTH:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=source)
            os.mkdir(name, 0o700, dir_fd=into)
            target = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=into)
            copy_folder(below, target, depth + 1, left_out, budget)
            os.close(below)
            os.close(target)
        elif stat.S_ISREG(facts.st_mode) and facts.st_size <= budget[0]:
            budget[0] -= facts.st_size
            _copy_file(source, into, name)
        else:
            left_out.append(ascii(name)[:100])


def _copy_file(source, into, name):
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=source)
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=into)
    left = os.fstat(descriptor).st_size
    while left > 0:
        count = os.sendfile(target, descriptor, None, min(left, _COPY))
        if count == 0:
            break
        left -= count
    os.close(descriptor)
    os.close(target)


def memory_file(content):
    """Give a descriptor that holds some bytes."""
    descriptor = os.memfd_create("cove", 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
