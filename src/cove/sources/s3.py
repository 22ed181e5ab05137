"""Objects in S3 and in what speaks as it does. Endpoints, keys and names are secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from cove.core.errors import DataMissing
from cove.core.files import FileFacts, FileObject, S3File
from cove.core.sigv4 import encoded_path, signed_headers
from cove.core.weburl import WebUrl, parse_url
from cove.sources.http_exchange import Request
from cove.sources.url import UrlReader, UrlSource

_KIND: Final = "s3"


class S3Source:
    """Fetches files of type ``s3`` with signed requests.

    Args:
        web: Fetches what lies behind URLs.
        now: Gives the Unix time in seconds.
    """

    def __init__(self, web: UrlSource, now: Callable[[], float]) -> None:
        self._web = web
        self._now = now

    def info(self, file: FileObject) -> FileFacts:
        """Look at an object. See ``cove.ports``."""
        try:
            return replace(self._web.look(self._request(file)), type=_KIND)
        except DataMissing:
            return FileFacts(valid=False, type=_KIND)

    def open(self, file: FileObject, offset: int = 0) -> UrlReader:
        """Open an object. See ``cove.ports``."""
        return self._web.fetch(self._request(file), offset)

    def path(self, file: FileObject) -> Path | None:
        """Give None: these files are fetched."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None

    def _request(self, file: FileObject) -> Request:
        if not isinstance(file, S3File):
            raise DataMissing("The file is not of type s3.")
        key = file.key

        def sign(request: Request) -> tuple[tuple[str, str], ...]:
            return signed_headers(request.method, request.url, (), key, self._now())

        return Request(url_of(file), "GET", sign=sign)


def url_of(file: S3File) -> WebUrl:
    """Give the URL of an object.

    Raises:
        DataMissing: It is none.
    """
    try:
        service = parse_url(file.endpoint)
        path = encoded_path(file.object_key)
        if file.path_style:
            path = f"{file.bucket}/{path}"
        host = service.authority if file.path_style else f"{file.bucket}.{service.authority}"
        return parse_url(f"{service.scheme}://{host}{service.path.rstrip('/')}/{path}")
    except ValueError:
        raise DataMissing("The object's endpoint or its key is malformed.") from None
