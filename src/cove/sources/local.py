"""Files and folders below roots of this host that the owner configured: bound read-only into a run, never copied."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from cove.core.errors import DataMissing
from cove.core.filelist import is_relative_path
from cove.core.files import FileFacts, FileObject, LocalFile

_MEDIA_TYPES: Final = mimetypes.MimeTypes()
"""The table of Python itself: what this host's tables say would make answers differ between hosts."""

_MISSING: Final = "The file is not below its root on the provider's host, or it is a link."


@dataclass(frozen=True, slots=True)
class LocalRoot:
    """A folder whose files may be named."""

    #: Absolute; it may be a link itself.
    path: Path
    #: Accounts that own the NFTs of assets that may name files here, lower case; see ``core.trust.may_use_root``.
    publishers: frozenset[str] = frozenset()


class LocalReader:
    """A file that is being read. What it gains after it was opened is not read; what it loses is an error."""

    def __init__(self, descriptor: int, length: int) -> None:
        self.length: int | None = length
        self._left = length
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        #: Held while reading, so that a close by another thread cannot give the descriptor's number to another file.
        self._lock = Lock()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as bytes come; 0 means the end. See :class:`cove.ports.Reader`."""
        if not self._left or not buffer:
            return 0
        try:
            with self._lock:
                count = self._file.readinto(buffer[: self._left])
        except (OSError, ValueError):
            raise DataMissing("The file cannot be read any further.") from None
        if not count:
            raise DataMissing("The file became shorter while it was read.")
        self._left -= count
        return count

    def close(self) -> None:
        """Let go; may be repeated."""
        with self._lock:
            self._file.close()


class LocalSource:
    """Serves files of type ``local``.

    Every part of a path is opened without following links, from the root down, so that neither ``..`` nor a link leads
    out of the root. Links inside a root are not followed either: bind mounts and real files are what it may hold.

    Args:
        roots: By the name that file objects use.
    """

    def __init__(self, roots: Mapping[str, LocalRoot]) -> None:
        self._roots = dict(roots)

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file. See ``cove.ports``."""
        try:
            found = self._stat(file)
        except DataMissing:
            return FileFacts(valid=False, type="local")
        name = _name(file)
        if stat.S_ISDIR(found.st_mode):
            return FileFacts(valid=True, type="local", content_type="inode/directory", filename=name)
        media = media_type(name)
        return FileFacts(valid=True, type="local", content_length=found.st_size, content_type=media, filename=name)

    def open(self, file: FileObject, offset: int = 0) -> LocalReader:
        """Open a file for reading; folders can only be bound. See ``cove.ports``."""
        place = self._descend(file)
        try:
            found = os.fstat(place)
            if not stat.S_ISREG(found.st_mode):
                raise DataMissing("It is a folder, which can be bound into a run but not read.")
            if offset > found.st_size:
                raise DataMissing("The file is shorter than the part of it that was read before.")
            # The place is held without the right to read; this gives that right to the very same file.
            descriptor = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            raise DataMissing("The provider's service may not read the file.") from None
        finally:
            os.close(place)
        os.lseek(descriptor, offset, os.SEEK_SET)
        return LocalReader(descriptor, found.st_size - offset)

    def path(self, file: FileObject) -> Path | None:
        """Give the real place of a file or folder, without any link in it. See ``cove.ports``."""
        place = self._descend(file)
        try:
            return Path(f"/proc/self/fd/{place}").readlink()
        finally:
            os.close(place)

    def fingerprint(self, file: FileObject) -> str | None:
        """Give device, inode, size and time of change.

        Constant in time, so it sees a folder's own changes (what is added, removed or renamed right in it), but not
        those deeper in it or inside its files, and no change that sets the time back.
        """
        found = self._stat(file)
        return f"stat:{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"

    def _stat(self, file: FileObject) -> os.stat_result:
        place = self._descend(file)
        try:
            return os.fstat(place)
        finally:
            os.close(place)

    def _descend(self, file: FileObject) -> int:
        """Give a descriptor (``O_PATH``) of a file or folder; nothing of it is opened for reading, so no FIFO waits."""
        if not isinstance(file, LocalFile) or not is_relative_path(file.path):
            raise DataMissing("The file is not of type local, or its path is malformed.")
        root = self._roots.get(file.root)
        if root is None:
            raise DataMissing("The provider's settings name no such root.")
        names = [] if file.path == "." else file.path.split("/")
        try:
            place = os.open(root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            for name in names:
                above, place = place, _step(place, name)
                os.close(above)
        except OSError:
            raise DataMissing(_MISSING) from None
        mode = os.fstat(place).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            os.close(place)
            raise DataMissing(_MISSING)
        return place


def media_type(name: str) -> str:
    """Give the media type that a file's name stands for."""
    return _MEDIA_TYPES.guess_type(name)[0] or "application/octet-stream"


def _step(folder: int, name: str) -> int:
    """Open one name in a folder, and let go of the folder where that fails."""
    try:
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        os.close(folder)
        raise


def _name(file: FileObject) -> str:
    if not isinstance(file, LocalFile):
        return ""
    return "" if file.path == "." else file.path.rpartition("/")[2]
