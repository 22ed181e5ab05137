"""What GraphQL queries give. URLs, queries, headers and variables are secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from cove.core.errors import DataMissing
from cove.core.files import GRAPHQL_NAME, FileFacts, FileObject, GraphqlFile
from cove.core.weburl import parse_url
from cove.sources.http_exchange import Request
from cove.sources.url import UrlReader, UrlSource

_KIND: Final = "graphql"
_OUR_HEADERS: Final = frozenset({"content-type", "accept"})


class GraphqlSource:
    """Sends queries of type ``graphql`` with POST, and gives the answer's bytes as they are.

    Args:
        web: Fetches what lies behind URLs.
    """

    def __init__(self, web: UrlSource) -> None:
        self._web = web

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file, which asks the query. See ``cove.ports``."""
        try:
            return replace(self._web.look(_request(file)), type=_KIND, filename=GRAPHQL_NAME)
        except DataMissing:
            return FileFacts(valid=False, type=_KIND)

    def open(self, file: FileObject, offset: int = 0) -> UrlReader:
        """Ask the query and give its answer. See ``cove.ports``."""
        return self._web.fetch(_request(file), offset)

    def path(self, file: FileObject) -> Path | None:
        """Give None: these files are fetched."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None


def _request(file: FileObject) -> Request:
    if not isinstance(file, GraphqlFile):
        raise DataMissing("The file is not of type graphql.")
    try:
        body = json.dumps({"query": file.query, "variables": json.loads(file.userdata)}).encode()
        url = parse_url(file.url)
    except (ValueError, RecursionError):
        raise DataMissing("The query's URL or its variables are malformed.") from None
    own = tuple((name, value) for name, value in file.headers if name.lower() not in _OUR_HEADERS)
    headers = (*own, ("Content-Type", "application/json"), ("Accept", "application/json"))
    return Request(url, "POST", headers, body)
