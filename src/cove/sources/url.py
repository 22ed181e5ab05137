"""Files behind http and https URLs. URLs, headers and parameters are secrets: no error and no ``repr`` shows them."""

from __future__ import annotations

import re
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from cove.core.errors import DataMissing
from cove.core.files import FileFacts, FileObject, UrlFile
from cove.core.weburl import WebUrl, joined, parse_url, with_parameters
from cove.sources.guard import AddressGuard
from cove.sources.http_body import Body, announced_length, body_of
from cove.sources.http_exchange import Answer, Limits, Request, exchange, reason_of

MAX_REDIRECTS: Final = 5
SLOWEST_BYTES: Final = 1024
"""Bytes that must come in every stretch of ``stall_seconds``: a server that drips single bytes holds a thread."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD: Final = frozenset({307, 308})
_WHOLE: Final = frozenset({200, 203})
_PARTIAL: Final = 206
_BEHIND_END: Final = 416
_RANGE: Final = re.compile(r"bytes[ =](?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)", re.ASCII)
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_FILENAME: Final = re.compile(r"filename\*?=(?:UTF-8''([^;\s]+)|\"([^\"]*)\"|([^;\s]+))", re.ASCII | re.IGNORECASE)
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
_SKIP_BYTES: Final = 1 << 20


class SourceRefusal(DataMissing):
    """The source answered, with another status than those that come with a file.

    Args:
        status: Of HTTP.
        message: One sentence for people.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UrlReader:
    """A file that is being fetched."""

    def __init__(self, answer: Answer, body: Body, *, allowed_bytes: int, stall_seconds: float) -> None:
        self.length = None if body.chunked else body.left
        self._answer = answer
        self._body = body
        self._left = allowed_bytes
        self._stall_seconds = stall_seconds
        self._stretch_began = time.monotonic()
        self._stretch_bytes = 0
        answer.line.socket.settimeout(stall_seconds)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as bytes come; 0 means the end. See :class:`cove.ports.Reader`."""
        announced = self._body.left == 0 and not self._body.chunked and not self._body.ended
        try:
            count = self._body.readinto(buffer)
            surplus = announced and self._body.ended and self._answer.says_more()
        except (OSError, ValueError) as problem:
            self._answer.line.check()
            raise DataMissing(reason_of(problem)) from None
        except DataMissing:
            self._answer.line.check()
            raise
        self._answer.line.check()
        if surplus:
            raise DataMissing("The source gave more bytes than it announced.")
        self._count(count)
        return count

    def close(self) -> None:
        """Let go, from any thread; a read that waits ends with DataMissing."""
        self._answer.close()

    def _count(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise too_large()
        self._stretch_bytes += count
        now = time.monotonic()
        if now - self._stretch_began < self._stall_seconds:
            return
        if count and self._stretch_bytes < SLOWEST_BYTES:
            raise DataMissing("The source sends too slowly.")
        self._stretch_began, self._stretch_bytes = now, 0


class UrlSource:
    """Fetches files of type ``url`` with ``http.client``, in the calling thread.

    Args:
        guard: Says where requests may go; each redirect is asked about again.
        max_bytes: Largest file.
        stall_seconds: Seconds to wait for a connection, for an answer's headers, or for the next bytes.
        total_seconds: Seconds for a whole file.
        tls: Which certificates are believed; None: those that the system believes.
        mark: Value of the header ``Via`` of every request; empty sends none.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        max_bytes: int,
        stall_seconds: float = 30.0,
        total_seconds: float = 6 * 3600.0,
        tls: ssl.SSLContext | None = None,
        mark: str = "",
    ) -> None:
        self._guard = guard
        self._max_bytes = max_bytes
        self._limits = Limits(stall_seconds, total_seconds)
        self._tls = tls or ssl.create_default_context()
        self._mark = (("Via", mark),) if mark else ()

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file: HEAD first, then one byte of it for servers that refuse HEAD. See ``cove.ports``."""
        try:
            return self.look(_request(file))
        except DataMissing:
            return FileFacts(valid=False, type="url")

    def open(self, file: FileObject, offset: int = 0) -> UrlReader:
        """Open a file; a server that ignores ranges is read up to the offset. See ``cove.ports``."""
        return self.fetch(_request(file), offset)

    def look(self, request: Request) -> FileFacts:
        """Look at what a request gives, as :meth:`info` does; also for other types that are fetched in the end.

        Raises:
            DataMissing: It cannot be reached.
        """
        answer = self._look(request, time.monotonic() + self._limits.stall_seconds)
        answer.close()
        return self._facts(answer, request.url)

    def fetch(self, request: Request, offset: int = 0) -> UrlReader:
        """Open what a request gives, as :meth:`open` does.

        Raises:
            DataMissing: It cannot be had.
        """
        if offset:
            request = replace(request, headers=(*request.headers, ("Range", f"bytes={offset}-")))
        answer = self._ask(request, time.monotonic() + self._limits.stall_seconds)
        try:
            return self._reader(answer, offset)
        except DataMissing:
            answer.close()
            raise

    def path(self, file: FileObject) -> Path | None:
        """Give None: these files are fetched."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None

    def _look(self, request: Request, deadline: float) -> Answer:
        if request.method != "POST":
            answer = self._ask(replace(request, method="HEAD"), deadline)
            answer.close()
            if answer.status in _WHOLE:
                return answer
        return self._ask(replace(request, headers=(*request.headers, ("Range", "bytes=0-0"))), deadline)

    def _ask(self, request: Request, deadline: float) -> Answer:
        """Send a request, and follow where it is sent on to, all before a deadline (monotonic)."""
        for _ in range(MAX_REDIRECTS + 1):
            endpoints = self._guard.endpoints(request.url.host, request.url.port)
            limits = Limits(deadline - time.monotonic(), self._limits.total_seconds)
            marked = replace(request, headers=(*request.headers, *self._mark))
            answer = exchange(marked, endpoints, limits, self._tls)
            if answer.status not in _REDIRECTS:
                return answer
            answer.close()
            request = _redirected(request, answer)
        raise DataMissing(f"The source redirects more than {MAX_REDIRECTS} times.")

    def _reader(self, answer: Answer, offset: int) -> UrlReader:
        if answer.status == _BEHIND_END and _range_of(answer) == (None, offset):
            return self._made(answer, Body(answer.stream, 0, ended=True), offset)
        if answer.status not in _WHOLE | {_PARTIAL}:
            raise _refusal(answer.status)
        body = body_of(answer.stream, answer.headers)
        if answer.status == _PARTIAL:
            if not offset or _range_of(answer)[0] != offset:
                raise DataMissing("The source gave another part of the file than was asked for.")
            return self._made(answer, body, offset)
        if not body.chunked and body.left is not None and body.left > self._max_bytes:
            raise too_large()
        if offset:
            self._skip(answer, body, offset)
        return self._made(answer, body, offset)

    def _skip(self, answer: Answer, body: Body, offset: int) -> None:
        reader = UrlReader(answer, body, allowed_bytes=self._max_bytes, stall_seconds=self._limits.stall_seconds)
        scratch = memoryview(bytearray(min(offset, _SKIP_BYTES)))
        left = offset
        while left:
            count = reader.readinto(scratch[:left])
            if count == 0:
                raise DataMissing("The source's file is shorter than the part of it that was read before.")
            left -= count

    def _made(self, answer: Answer, body: Body, offset: int) -> UrlReader:
        allowed = self._max_bytes - offset
        if not body.chunked and body.left is not None and body.left > allowed:
            raise too_large()
        return UrlReader(answer, body, allowed_bytes=allowed, stall_seconds=self._limits.stall_seconds)

    def _facts(self, answer: Answer, url: WebUrl) -> FileFacts:
        if answer.status == _PARTIAL:
            size = _range_of(answer)[1]
        elif answer.status in _WHOLE:
            size = announced_length(answer.headers)
        else:
            return FileFacts(valid=False, type="url")
        media = _MEDIA_TYPE.match(answer.headers.get("content-type", ""))
        return FileFacts(
            valid=size is None or size <= self._max_bytes,
            type="url",
            content_length=size,
            content_type=media[0].lower() if media else "",
            filename=_filename(answer, url),
        )


def too_large() -> DataMissing:
    """Make the error for a file over the limit."""
    return DataMissing("The file is larger than the provider fetches.", hint="url.max_bytes in the settings limits it.")


def _request(file: FileObject) -> Request:
    if not isinstance(file, UrlFile):
        raise DataMissing("The file is not of type url.")
    try:
        url = with_parameters(parse_url(file.url), file.userdata)
    except ValueError:
        raise DataMissing("The file's URL or its parameters are malformed.") from None
    return Request(url, file.method, file.headers)


def _redirected(request: Request, answer: Answer) -> Request:
    try:
        url = joined(request.url, answer.headers.get("location", "\0"))
    except ValueError:
        raise DataMissing("The source redirects to a malformed URL.") from None
    if request.url.scheme == "https" and url.scheme != "https":
        raise DataMissing("The source redirects from https to http.")
    if request.body and (answer.status not in _KEEPS_METHOD or url.origin != request.url.origin):
        raise DataMissing("The source redirects a query to where it was not meant to go.")
    method = request.method if answer.status in _KEEPS_METHOD or request.method == "HEAD" else "GET"
    # The owner's headers hold their keys: they go to the server that they were meant for, and to no other.
    headers = request.headers if url.origin == request.url.origin else _own_headers(request)
    return Request(url, method, headers, request.body)


def _own_headers(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in request.headers if name == "Range")


def _refusal(status: int) -> SourceRefusal:
    match status:
        case 401 | 403:
            return SourceRefusal(status, f"The source refuses to give the file (status {status}).")
        case 404 | 410:
            return SourceRefusal(status, f"The source has no such file (status {status}).")
        case _:
            return SourceRefusal(status, f"The source answered with status {status} instead of the file.")


def _range_of(answer: Answer) -> tuple[int | None, int | None]:
    """Give where a part begins, and the whole size; None for what is not said."""
    match = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
    if match is None:
        return None, None
    return (int(match[1]) if match[1] else None), (int(match[2]) if match[2] != "*" else None)


def _filename(answer: Answer, url: WebUrl) -> str:
    match = _FILENAME.search(answer.headers.get("content-disposition", ""))
    given = next((part for part in match.groups() if part), "") if match else ""
    name = given or url.path.rpartition("/")[2]
    return _UNSAFE.sub("_", unquote(name, errors="replace"))[:255]
