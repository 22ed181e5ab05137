"""Takes a file over into a folder of ours, checked on the way: whole under its name, or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from cove.core.errors import StaleWrite

CHUNK_BYTES: Final = 1 << 20

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_THE_FILE: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EINVAL})


def holds(target: Path, size: int, sha256: str) -> bool:
    """Say whether a file is there already, with these very bytes."""
    try:
        file = open_regular(target)
    except OSError:
        return False
    with file:
        return os.fstat(file.fileno()).st_size == size and _digest(file, size) == sha256


def keep(target: Path, content: Callable[[], Path], size: int, sha256: str, root: Path) -> None:
    """Take a file over unless it is there already; the source may then be gone.

    Args:
        target: Where it belongs.
        content: Says where it lies; asked when it is needed.
        size: Its bytes.
        sha256: Their digest.
        root: Folders below are made, and taken back where the file did not come.

    Raises:
        StaleWrite: The source is no regular file, or has other bytes.
        OSError: The disk says no.
    """
    if holds(target, size, sha256):
        return  # taken over before, by a service that was killed before it noted it
    make(target.parent)
    try:
        take(target, content(), size, sha256)
    except BaseException as problem:
        if isinstance(problem, StaleWrite) and holds(target, size, sha256):
            return  # by another one, just now, and the source is gone with that
        remove_empty(target.parent, root)
        raise


def take(target: Path, source: Path, size: int, sha256: str) -> None:
    """Move a file to its place, or copy it where it cannot be moved; its content then outlives a power cut.

    Raises:
        StaleWrite: The source is no regular file, or has other bytes.
        OSError: The disk says no.
    """
    try:
        file = open_regular(source)
    except OSError as problem:
        if problem.errno in _NOT_THE_FILE:
            raise _changed() from None
        raise
    with file:
        facts = os.fstat(file.fileno())
        if facts.st_size != size:
            raise _changed()
        if not (_may_be_moved(facts, target.parent) and _move(file, source, target, size, sha256)):
            copy(file, target, size, sha256)


def look(place: Path) -> tuple[int, str]:
    """Give size and sha256 of a regular file as it is now.

    Raises:
        OSError: It is none, or cannot be read.
    """
    with open_regular(place) as file:
        size = os.fstat(file.fileno()).st_size
        return size, _digest(file, size)


def open_regular(place: Path) -> BinaryIO:
    """Open a regular file without following a link; OSError for anything else."""
    # Not blocking, so that a pipe in the file's place is looked at and not waited for.
    descriptor = os.open(place, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _changed() -> StaleWrite:
    return StaleWrite("The file is not the one that was released.")


def _check(digest: str, wanted: str) -> None:
    if digest != wanted:
        raise _changed()


def _may_be_moved(facts: os.stat_result, folder: Path) -> bool:
    """Say whether a file can be ours by renaming: same file system, our own, and with no other name to change it by."""
    return facts.st_nlink == 1 and facts.st_uid == os.geteuid() and facts.st_dev == folder.stat().st_dev


def _move(file: BinaryIO, source: Path, target: Path, size: int, sha256: str) -> bool:
    """Check a file and give it its new name; False where the file system wants a copy after all."""
    _check(_digest(file, size), sha256)
    os.fchmod(file.fileno(), 0o600)
    os.fsync(file.fileno())
    try:
        source.rename(target)
    except OSError as problem:
        if problem.errno in {errno.EXDEV, errno.EPERM, errno.EACCES}:
            return False
        if problem.errno == errno.ENOENT:
            raise _changed() from None
        raise
    now, checked = target.lstat(), os.fstat(file.fileno())
    if (now.st_dev, now.st_ino) != (checked.st_dev, checked.st_ino):
        # The name stood for another file by the time of the rename.
        target.unlink()
        raise _changed()
    return True


def copy(file: BinaryIO, target: Path, size: int, sha256: str) -> None:
    """Copy and hash in one pass, so that the digest is that of the very bytes that are written.

    Raises:
        StaleWrite: The file has other bytes.
        OSError: The disk says no.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as written:
            _check(_digest(file, size, written), sha256)
            os.fsync(descriptor)
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _digest(file: BinaryIO, size: int, copy: BinaryIO | None = None) -> str:
    """Hash a file from its start, and copy it on the way; never more than one byte beyond the size it should have."""
    file.seek(0)
    buffer = memoryview(bytearray(min(CHUNK_BYTES, size + 1)))
    digest = hashlib.sha256()
    remaining = size + 1
    while remaining > 0 and (count := file.readinto(buffer[:remaining])):  # type: ignore[attr-defined]
        digest.update(buffer[:count])
        if copy is not None:
            _write_all(copy, buffer[:count])
        remaining -= count
    return digest.hexdigest()


def _write_all(copy: BinaryIO, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[copy.write(chunk) :]


def make(folder: Path) -> None:
    """Make a folder, and those above it, for the service's user alone."""
    for missing in (folder.parent, folder):
        if not missing.is_dir():
            missing.mkdir(mode=0o700, parents=True, exist_ok=True)


def flush_folder(folder: Path) -> None:
    """Make a folder's new names outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_empty(folder: Path, root: Path) -> None:
    """Take back folders that were made for a file that did not come."""
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent
