"""Objects that are sent to S3 in parts: begun, each part put, completed, or aborted (S3's multipart uploads).

Part of an upload that is neither completed nor aborted stays at the storage and costs its owner, so whatever goes wrong
here aborts it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape, unescape

from cove.core.errors import Unavailable
from cove.ports.deliveries import Content

LARGEST_PUT: Final = 5 << 30
"""Bytes that S3 takes in one piece."""
PART_BYTES: Final = 64 << 20
"""Bytes of a part, where the object has no more of them than S3 takes."""

_MOST_PARTS: Final = 10_000
_UPLOAD_ID: Final = re.compile(r"<UploadId>([^<>]{1,2048})</UploadId>")
_DONE: Final = re.compile(r"<(?:\w+:)?CompleteMultipartUploadResult[\s>]")
_ETAG: Final = re.compile(r"[\x21-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True)
class Sized:
    """How objects are cut."""

    #: Bytes of the largest object that is sent in one piece.
    largest_put: int = LARGEST_PUT
    #: Bytes of a part; 5 MiB at the least, by S3's own rules.
    part_bytes: int = PART_BYTES

    def of(self, size: int) -> int:
        """Give the bytes of a part of an object of this size."""
        return max(self.part_bytes, -(-size // _MOST_PARTS))


USUAL: Final = Sized()


@dataclass(frozen=True, slots=True)
class Piece:
    """One request about an object. All of it but the method is secret."""

    method: str
    #: Behind the object's path; encoded.
    query: str = field(repr=False)
    #: Hex sha256 of the body.
    digest: str = field(repr=False)
    size: int = 0
    #: Gives the body; read once.
    chunks: Callable[[], Iterator[bytes]] = field(repr=False, default=lambda: iter(()))


Ask = Callable[[Piece], tuple[Mapping[str, str], str]]
"""Sends one request, and gives the headers of the answer (names in lower case) and its beginning as text.

It raises Refused and Unavailable for every answer that is no success.
"""


def send(ask: Ask, content: Content, part_bytes: int) -> None:
    """Send an object in parts. Blocking.

    Raises:
        Refused: It can never be taken.
        Unavailable: The storage does not answer, or not as S3 does; nothing of the object is left there, as far as it
            answers.
    """
    _, text = ask(_piece("POST", "uploads=", b""))
    found = _UPLOAD_ID.search(text)
    if found is None:
        raise _strange()
    upload = f"uploadId={quote(unescape(found[1]), safe='')}"
    try:
        _complete(ask, upload, _put_all(ask, upload, content, part_bytes))
    except BaseException:
        with contextlib.suppress(Exception):
            ask(_piece("DELETE", upload, b""))
        raise


def _put_all(ask: Ask, upload: str, content: Content, part_bytes: int) -> list[str]:
    # The digest of a part stands in front of it, so that the bytes are read twice, side by side.
    hashed, sent = _Cut(content.chunks()), _Cut(content.chunks())
    etags: list[str] = []
    for start in range(0, content.size, part_bytes):
        size = min(part_bytes, content.size - start)
        digest = hashlib.sha256()
        for chunk in hashed.next(size):
            digest.update(chunk)
        query = f"partNumber={len(etags) + 1}&{upload}"
        piece = Piece("PUT", query, digest.hexdigest(), size, lambda size=size: sent.next(size))  # type: ignore[misc]
        headers, _ = ask(piece)
        etag = headers.get("etag", "")
        if _ETAG.fullmatch(etag) is None:
            raise _strange()
        etags.append(etag)
    return etags


def _complete(ask: Ask, upload: str, etags: list[str]) -> None:
    _, text = ask(_piece("POST", upload, _list(etags)))
    if _DONE.search(text) is None:  # S3 may say that it failed after it said 200
        raise _strange()


class _Cut:
    """Gives pieces of exact sizes of what comes in chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def next(self, size: int) -> Iterator[bytes]:
        """Give the next bytes, so many of them."""
        while size:
            chunk = self._left or next(self._chunks, b"")
            if not chunk:
                raise Unavailable("results", "A stored result is shorter than it was.")
            given, self._left = chunk[:size], chunk[size:]
            size -= len(given)
            yield given


def _piece(method: str, query: str, body: bytes) -> Piece:
    return Piece(method, query, hashlib.sha256(body).hexdigest(), len(body), lambda: iter((body,) if body else ()))


def _list(etags: list[str]) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def _strange() -> Unavailable:
    return Unavailable("the consumer's storage", "The storage did not answer to an upload in parts as S3 does.")
