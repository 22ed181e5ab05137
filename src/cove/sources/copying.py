"""Copies a file to its place and hashes it in the same pass. Blocking: for worker threads."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from cove.core.errors import DataMissing, NoSpace
from cove.core.files import FileObject
from cove.ports import FileSource, Reader
from cove.sources import source_for

BUFFER_BYTES: Final = 512 << 10
_BUFFERS: Final = 4
_LOOK_SECONDS: Final = 0.2
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def copy_to(reader: Reader, descriptor: int, *, limit_bytes: int | None, stop: Callable[[], bool]) -> tuple[int, str]:
    """Write all that a reader gives to an open file, and give its size and sha256 (hex).

    The digest is computed in a second thread while the next bytes come. That thread also asks ``stop`` several times a
    second and then closes the reader, so that a source which says nothing cannot delay a stop. After a stop the size
    and the digest are those of the part that was written: ask ``stop`` again before they are used.

    Args:
        reader: Read to its end; the caller closes it.
        descriptor: Open for writing; the caller closes it.
        limit_bytes: Most bytes to write; None: as many as the reader gives.
        stop: Says whether to end now.

    Raises:
        DataMissing: The source broke off, or gives more than ``limit_bytes``.
        NoSpace: The disk is full.
    """
    _check_space(descriptor, reader.length)
    hashing = _Hashing(stop, reader)
    size = 0
    try:
        while not stop():
            buffer = hashing.free.get()
            count = _fill(reader, buffer)
            if count == 0:
                break
            size += count
            _check_size(size, limit_bytes)
            hashing.take(buffer, count)
            _write(descriptor, buffer[:count])
    except DataMissing:
        if not stop():
            raise
    finally:
        digest = hashing.finish()
    return size, digest


def hash_of(
    sources: Mapping[str, FileSource], file: FileObject, max_bytes: int | None = None, *, until: float | None = None
) -> str:
    """Give the sha256 (hex) of a file, read from its beginning to its end.

    Args:
        sources: By type of the file object.
        file: Which file.
        max_bytes: Most bytes to read; None: as many as the source allows.
        until: When to give up (monotonic seconds), also on a source that goes on sending; None: as the source does.

    Raises:
        DataMissing: It cannot be had, is larger, or takes longer.
    """
    digest = hashlib.sha256()
    size = 0
    reader = source_for(file, sources).open(file)
    buffer = memoryview(bytearray(BUFFER_BYTES))
    try:
        while count := reader.readinto(buffer):
            size += count
            _check_size(size, max_bytes)
            if until is not None and time.monotonic() > until:
                raise DataMissing("The source takes too long.")
            digest.update(buffer[:count])
    finally:
        reader.close()
    return digest.hexdigest()


class _Hashing:
    """A thread that hashes filled buffers in order, gives them back, and looks for a wish to stop."""

    def __init__(self, stop: Callable[[], bool], reader: Reader) -> None:
        self.free: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(_BUFFERS):
            self.free.put(memoryview(bytearray(BUFFER_BYTES)))
        self._filled: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
        self._digest = hashlib.sha256()
        self._stop = stop
        self._reader = reader
        self._thread = Thread(target=self._run, name="cove-hash", daemon=True)
        self._thread.start()

    def take(self, buffer: memoryview, count: int) -> None:
        """Hash the first bytes of a buffer; it must not change until it comes back by ``free``."""
        self._filled.put((buffer, count))

    def finish(self) -> str:
        """Wait for the end of what was taken, and give the digest (hex)."""
        self._filled.put(None)
        self._thread.join()
        return self._digest.hexdigest()

    def _run(self) -> None:
        while True:
            try:
                taken = self._filled.get(timeout=_LOOK_SECONDS)
            except Empty:
                if self._stop():
                    self._reader.close()
                continue
            if taken is None:
                return
            buffer, count = taken
            self._digest.update(buffer[:count])
            self.free.put(buffer)


def _fill(reader: Reader, buffer: memoryview) -> int:
    """Fill a whole buffer, unless the end comes first: few large writes instead of many small ones."""
    filled = 0
    while filled < len(buffer):
        count = reader.readinto(buffer[filled:])
        if count == 0:
            break
        filled += count
    return filled


def _check_size(size: int, limit_bytes: int | None) -> None:
    if limit_bytes is not None and size > limit_bytes:
        raise DataMissing(f"The file is larger than the {limit_bytes} bytes that are allowed.")


def _check_space(descriptor: int, length: int | None) -> None:
    """Fail before the first byte where the disk has no room for what was announced."""
    if length is None:
        return
    free = os.fstatvfs(descriptor)
    if free.f_blocks and length > free.f_bavail * free.f_frsize:
        raise NoSpace("There is no space left on the provider's disk.")


def _write(descriptor: int, part: memoryview) -> None:
    try:
        while part:
            part = part[os.write(descriptor, part) :]
    except OSError as problem:
        if problem.errno in _FULL:
            raise NoSpace("There is no space left on the provider's disk.") from None
        raise
