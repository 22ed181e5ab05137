"""A web server of the owner's choice that gives files by their id: how networks of files are reached over HTTP."""

from __future__ import annotations

from dataclasses import replace

from cove.core.errors import DataMissing, SettingsWrong
from cove.core.files import FileFacts
from cove.core.weburl import parse_url
from cove.sources.http_exchange import Request
from cove.sources.url import UrlReader, UrlSource


class Gateway:
    """Gives files by their id, which is a secret: whoever knows it has the file.

    Args:
        web: Fetches. Its guard is asked about the gateway too: one in a private network must be listed there.
        base: URL that an id is put behind; empty where the owner named no gateway.
        kind: Name of the type of file objects.
        network: Its name, for errors.

    Raises:
        SettingsWrong: The URL is none.
    """

    def __init__(self, web: UrlSource, base: str, *, kind: str, network: str) -> None:
        self._web = web
        self._base = base.rstrip("/")
        self._kind = kind
        self._network = network
        try:
            wrong = bool(base) and "?" in parse_url(base).target
        except ValueError as problem:
            raise SettingsWrong(f"Setting url_files.{kind}_gateway must be {problem}.") from None
        if wrong or "#" in base:
            raise SettingsWrong(f"Setting url_files.{kind}_gateway must be a URL without a query.")

    def look(self, path: str) -> FileFacts:
        """Look at a file; never raises.

        Args:
            path: What stands behind the gateway's URL, beginning with ``/`` and ending with the file's id.
        """
        try:
            facts = self._web.look(self._request(path))
        except DataMissing:
            return self.nothing()
        shows_id = path.rpartition("/")[2] in facts.filename
        return replace(facts, type=self._kind, filename="" if shows_id else facts.filename)

    def fetch(self, path: str, offset: int) -> UrlReader:
        """Open a file.

        Args:
            path: As for :meth:`look`.
            offset: Bytes to leave out.

        Raises:
            DataMissing: It cannot be had.
        """
        return self._web.fetch(self._request(path), offset)

    def nothing(self) -> FileFacts:
        """Give what is told of a file that cannot be reached."""
        return FileFacts(valid=False, type=self._kind)

    def _request(self, path: str) -> Request:
        if not self._base:
            raise DataMissing(
                f"This provider has no {self._network} gateway.",
                hint=f"The provider's owner can name one as url_files.{self._kind}_gateway in the settings.",
            )
        return Request(parse_url(self._base + path), "GET")
