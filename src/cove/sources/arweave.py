"""Files in Arweave, fetched through the gateway that the owner named."""

from __future__ import annotations

from pathlib import Path

from cove.core.errors import DataMissing
from cove.core.files import ArweaveFile, FileFacts, FileObject
from cove.sources.gateway import Gateway
from cove.sources.url import UrlReader, UrlSource


class ArweaveSource:
    """Fetches files of type ``arweave``.

    Args:
        web: Fetches what lies behind URLs.
        gateway: URL of an Arweave gateway; empty for none, and then no file can be had.

    Raises:
        SettingsWrong: The gateway's URL is none.
    """

    def __init__(self, web: UrlSource, gateway: str) -> None:
        self._gateway = Gateway(web, gateway, kind="arweave", network="Arweave")

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file. See ``cove.ports``."""
        return (
            self._gateway.look(f"/{file.transaction_id}") if isinstance(file, ArweaveFile) else self._gateway.nothing()
        )

    def open(self, file: FileObject, offset: int = 0) -> UrlReader:
        """Open a file. See ``cove.ports``."""
        if not isinstance(file, ArweaveFile):
            raise DataMissing("The file is not of type arweave.")
        return self._gateway.fetch(f"/{file.transaction_id}", offset)

    def path(self, file: FileObject) -> Path | None:
        """Give None: these files are fetched."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None
