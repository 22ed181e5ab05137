"""Synthetic files that stand for a dataset's own in mock jobs: copied from where their owner's policy file says."""

from __future__ import annotations

import mimetypes
import os
import stat
from pathlib import Path
from typing import Final

from cove.core.errors import DataMissing
from cove.core.files import FileFacts, FileObject, SampleFile
from cove.sources.local import LocalReader

_KIND: Final = "sample"
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_MEDIA_TYPES: Final = mimetypes.MimeTypes()
_MISSING: Final = "The sample is not there any more, or it is no regular file."


class SampleSource:
    """Serves files of type ``sample``. They are copied, so that a job's sample stays what its receipt says."""

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file. See ``cove.ports``."""
        if not isinstance(file, SampleFile):
            return FileFacts(valid=False, type=_KIND)
        try:
            found = os.lstat(file.place)
        except (OSError, ValueError):
            return FileFacts(valid=False, type=_KIND)
        if not stat.S_ISREG(found.st_mode):
            return FileFacts(valid=False, type=_KIND)
        name = Path(file.place).name
        media = _MEDIA_TYPES.guess_type(name)[0] or "application/octet-stream"
        return FileFacts(valid=True, type=_KIND, content_length=found.st_size, content_type=media, filename=name)

    def open(self, file: FileObject, offset: int = 0) -> LocalReader:
        """Open a file for reading. See ``cove.ports``."""
        if not isinstance(file, SampleFile):
            raise DataMissing("The file is no sample.")
        try:
            descriptor = os.open(file.place, _FLAGS)
        except (OSError, ValueError):
            raise DataMissing(_MISSING) from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or offset > found.st_size:
            os.close(descriptor)
            raise DataMissing(_MISSING)
        os.lseek(descriptor, offset, os.SEEK_SET)
        return LocalReader(descriptor, found.st_size - offset)

    def path(self, file: FileObject) -> Path | None:
        """Give None: these files are copied."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None
