"""Released results that were published as assets: files of this provider, bound read-only into runs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from cove.core.errors import DataMissing
from cove.core.files import FileFacts, FileObject, LocalFile, ResultFileObject
from cove.sources.local import LocalReader, LocalRoot, LocalSource, media_type

_KIND: Final = "result"
_NFT: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)


class ResultSource:
    """Serves files of type ``result``.

    Args:
        folder: Has a folder for each asset, named by its NFT, with its results named by their index.
    """

    def __init__(self, folder: Path) -> None:
        self._files = LocalSource({_KIND: LocalRoot(folder)})

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file. See ``cove.ports``."""
        try:
            found = self._files.info(_place(file))
        except DataMissing:
            return FileFacts(valid=False, type=_KIND)
        if not found.valid:
            return FileFacts(valid=False, type=_KIND)
        name = _name(file)
        return replace(found, type=_KIND, filename=name, content_type=media_type(name))

    def open(self, file: FileObject, offset: int = 0) -> LocalReader:
        """Open a file for reading. See ``cove.ports``."""
        return self._files.open(_place(file), offset)

    def path(self, file: FileObject) -> Path | None:
        """Give its real place. See ``cove.ports``."""
        return self._files.path(_place(file))

    def fingerprint(self, file: FileObject) -> str | None:
        """Give what changes with it: nothing does, once it is published."""
        return self._files.fingerprint(_place(file))


def _place(file: FileObject) -> LocalFile:
    if not isinstance(file, ResultFileObject) or _NFT.fullmatch(file.nft) is None:
        raise DataMissing("The file is no published result of the asset that names it.")
    return LocalFile(_KIND, f"{file.nft}/{file.index}")


def _name(file: FileObject) -> str:
    return file.filename.replace("\\", "/").rpartition("/")[2] if isinstance(file, ResultFileObject) else ""
