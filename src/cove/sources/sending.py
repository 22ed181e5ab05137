"""Sends files to places that consumers named, never to an address that they may not reach."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from cove.core.errors import DataMissing, Refused, Unavailable
from cove.core.files import S3File
from cove.core.output import STORAGE_FIELD, UrlPlace
from cove.core.sending import encoded, object_key
from cove.core.sigv4 import signed_headers
from cove.core.weburl import WebUrl, parse_url
from cove.ports.deliveries import Content, Parcel
from cove.sources import multipart
from cove.sources.guard import AddressGuard
from cove.sources.http_body import body_of
from cove.sources.http_exchange import Answer, Limits, Request, exchange, reason_of
from cove.sources.s3 import url_of

PART: Final = "the consumer's storage"
_MOST_READ: Final = 1 << 16
_NEVER: Final = frozenset({410, 413})
_TYPE: Final = ("Content-Type", "application/octet-stream")


class GuardedSender:
    """A ``Sender`` over connections of its own, each to an address that was checked. No redirect is followed.

    Args:
        guard: Says which addresses may be reached.
        limits: How long one file may take.
        now: Gives the Unix time in seconds.
        tls: Which certificates are believed; None: those that the system believes.
        mark: Value of the header ``Via``; empty sends none.
        sized: From which size on objects go to S3 in parts, and how large these are.
    """

    def __init__(
        self,
        guard: AddressGuard,
        limits: Limits,
        now: Callable[[], float],
        *,
        tls: ssl.SSLContext | None = None,
        mark: str = "",
        sized: multipart.Sized = multipart.USUAL,
    ) -> None:
        self._guard = guard
        self._limits = limits
        self._now = now
        self._tls = tls or ssl.create_default_context()
        self._mark = (("Via", mark),) if mark else ()
        self._sized = sized

    def send(self, parcel: Parcel) -> None:
        """Put a file to its place, over one that is there. See ``cove.ports.deliveries``."""
        deadline = time.monotonic() + self._limits.total_seconds
        try:
            if isinstance(parcel.place, S3File) and parcel.content.size > self._sized.largest_put:
                self._in_parts(parcel.place, parcel, deadline)
            else:
                self._ask(self._request(parcel), deadline).close()
        except DataMissing as problem:
            # An address that is not allowed now may be another one tomorrow: it is tried again like one that is down.
            raise Unavailable(PART, problem.message.replace("source", "storage")) from None

    def _ask(self, request: Request, deadline: float) -> Answer:
        """Send one request, and give the answer where it is a success; the caller closes it."""
        limits = Limits(self._limits.stall_seconds, max(deadline - time.monotonic(), 0.001))
        endpoints = self._guard.endpoints(request.url.host, request.url.port)
        answer = exchange(request, endpoints, limits, self._tls)
        if 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own
            return answer
        answer.close()
        if answer.status in _NEVER:
            text = f"The storage answered with status {answer.status}: it will not take the results."
            raise Refused(STORAGE_FIELD, "not_taken", hint=text)
        raise Unavailable(PART, f"The storage answered with status {answer.status}.")

    def _in_parts(self, place: S3File, parcel: Parcel, deadline: float) -> None:
        file = replace(place, object_key=object_key(place.object_key, parcel.name))

        def ask(piece: multipart.Piece) -> tuple[Mapping[str, str], str]:
            # What is begun is aborted even where its time is over.
            until = time.monotonic() + self._limits.stall_seconds if piece.method == "DELETE" else deadline
            url = url_of(file)
            asked = replace(url, target=f"{url.target}?{piece.query}")
            upload = (piece.size, piece.chunks)
            request = Request(
                asked, piece.method, (_TYPE, *self._mark), sign=self._signer(place, piece.digest), upload=upload
            )
            answer = self._ask(request, until)
            try:
                return answer.headers, _beginning(answer) if piece.method == "POST" else ""
            finally:
                answer.close()

        multipart.send(ask, parcel.content, self._sized.of(parcel.content.size))

    def _signer(self, place: S3File, digest: str) -> Callable[[Request], tuple[tuple[str, str], ...]]:
        def sign(request: Request) -> tuple[tuple[str, str], ...]:
            return signed_headers(request.method, request.url, (_TYPE,), place.key, self._now(), body=digest)

        return sign

    def _request(self, parcel: Parcel) -> Request:
        content = parcel.content
        upload = (content.size, content.chunks)
        match parcel.place:
            case UrlPlace():
                url = _below(_parsed(parcel.place.url), parcel.name)
                given = parcel.place.headers
                typed = () if any(name.lower() == "content-type" for name, _ in given) else (_TYPE,)
                return Request(url, parcel.place.method, (*given, *typed, *self._mark), upload=upload)
            case S3File():
                return self._signed(parcel.place, parcel.name, content)

    def _signed(self, place: S3File, name: str, content: Content) -> Request:
        file = replace(place, object_key=object_key(place.object_key, name))
        sign = self._signer(place, _digest(content))
        return Request(url_of(file), "PUT", (_TYPE, *self._mark), sign=sign, upload=(content.size, content.chunks))


def _beginning(answer: Answer) -> str:
    """Give the first bytes of an answer, as text."""
    body, found = body_of(answer.stream, answer.headers), bytearray()
    buffer = memoryview(bytearray(_MOST_READ))
    try:
        while len(found) < _MOST_READ and (count := body.readinto(buffer[: _MOST_READ - len(found)])):
            found += buffer[:count]
    except OSError as problem:
        raise DataMissing(answer.line.reason or reason_of(problem)) from None
    return found.decode("utf-8", "replace")


def _parsed(url: str) -> WebUrl:
    try:
        return parse_url(url)
    except ValueError:
        raise Refused(STORAGE_FIELD, "url_invalid", hint="The storage's URL is malformed.") from None


def _below(url: WebUrl, name: str) -> WebUrl:
    """Give the URL of a file below a folder's; its query, which may be what grants access, stays."""
    path, mark, query = url.target.partition("?")
    return replace(url, target=f"{path}{encoded(name)}{mark}{query}")


def _digest(content: Content) -> str:
    digest = hashlib.sha256()
    for chunk in content.chunks():
        digest.update(chunk)
    return digest.hexdigest()
