"""What brings files."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cove.core.files import FileFacts, FileObject


class Reader(Protocol):
    """An open stream of a file's bytes. Blocking: used in a worker thread by one thread at a time."""

    #: Bytes from the offset to the end; None when the source does not say.
    length: int | None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as bytes come; 0 means the end.

        Raises:
            DataMissing: The source broke off, or gave more or less than it said.
        """
        ...

    def close(self) -> None:
        """Let go; may be called from another thread to end a blocked read, and more than once."""
        ...


class FileSource(Protocol):
    """Brings the bytes of one type of file object. All methods block and are called in a worker thread.

    No text of an error quotes a URL, a path, a header or a parameter.
    """

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file without reading it. What cannot be reached has ``valid=False``; this never raises."""
        ...

    def open(self, file: FileObject, offset: int = 0) -> Reader:
        """Open a file for reading.

        Raises:
            DataMissing: It is not there, refused, too large, or at an address that is not allowed; the text says which.
        """
        ...

    def path(self, file: FileObject) -> Path | None:
        """Give the place of a file that lies on this host and is to be bound, not copied; None otherwise.

        Raises:
            DataMissing: It should lie here and does not.
        """
        ...

    def fingerprint(self, file: FileObject) -> str | None:
        """Give a text that changes when a bound file changes, in constant time; None where bytes are hashed instead."""
        ...
