"""Files in IPFS, fetched through the gateway that the owner named."""

from __future__ import annotations

from pathlib import Path

from cove.core.errors import DataMissing
from cove.core.files import FileFacts, FileObject, IpfsFile
from cove.sources.gateway import Gateway
from cove.sources.url import UrlReader, UrlSource


class IpfsSource:
    """Fetches files of type ``ipfs``.

    Args:
        web: Fetches what lies behind URLs.
        gateway: URL of an IPFS gateway, without ``/ipfs``; empty for none, and then no file can be had.

    Raises:
        SettingsWrong: The gateway's URL is none.
    """

    def __init__(self, web: UrlSource, gateway: str) -> None:
        self._gateway = Gateway(web, gateway, kind="ipfs", network="IPFS")

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file. See ``cove.ports``."""
        return self._gateway.look(f"/ipfs/{file.hash}") if isinstance(file, IpfsFile) else self._gateway.nothing()

    def open(self, file: FileObject, offset: int = 0) -> UrlReader:
        """Open a file. See ``cove.ports``."""
        if not isinstance(file, IpfsFile):
            raise DataMissing("The file is not of type ipfs.")
        return self._gateway.fetch(f"/ipfs/{file.hash}", offset)

    def path(self, file: FileObject) -> Path | None:
        """Give None: these files are fetched."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None
