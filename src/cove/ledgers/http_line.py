"""HTTP to one fixed URL, for the many small calls that a chain's node is asked.

A general client takes 0.6 ms of processor time for such a call, most of what an order costs the service; this one takes
a tenth of it. It knows one URL, POST, and answers that are read whole. The parsing is httptools', as in the server.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self, cast
from urllib.parse import unquote, urlsplit

import httptools
import httpx2

_IDLE_SECONDS: Final = 4.0
_PORTS: Final = {"http": 80, "https": 443}


class LineError(Exception):
    """An exchange failed.

    Args:
        sent: False where no connection could be made, so that nothing was sent.
    """

    def __init__(self, *, sent: bool) -> None:
        super().__init__("the exchange failed")
        self.sent = sent


class TooLargeError(Exception):
    """The answer has more bytes than are read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    #: Seconds, as text; empty where there is no such header.
    retry_after: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in the parts that an exchange needs; it may hold an access key, so no text shows it."""

    host: str
    port: int
    secure: bool
    #: Request line and all headers but the length, ready to be sent.
    head: bytes = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL; user and password in it become the header for them.

        Raises:
            ValueError: It is no http(s) URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("http:// or https:// and a host are expected")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        named = host if parts.port is None else f"{host}:{parts.port}"
        if any(character <= " " for character in path + named):
            raise ValueError("there is a blank in the URL")
        lines = [f"POST {path} HTTP/1.1", f"Host: {named}", "Content-Type: application/json", "Accept: */*"]
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
        head = "\r\n".join([*lines, "Content-Length: "]).encode("ascii")
        return cls(parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "https", head)


class HttpLine:
    """Connections to one URL, kept while they are of use.

    Args:
        target: Where to.
        max_answer: Bytes of the largest answer.
        connections: How many at the most; further calls wait for one.
        monotonic: Gives seconds.
        tls: Whom to trust; None trusts whom our other clients trust.
    """

    def __init__(
        self,
        target: Target,
        max_answer: int,
        connections: int = 16,
        monotonic: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._target = target
        self._max_answer = max_answer
        self._monotonic = monotonic
        self._tls = tls
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[_Connection, float]] = []

    async def post(self, content: bytes) -> Answer:
        """Send a body and give the answer. There is no limit of time: the caller has one.

        Raises:
            LineError: No connection could be made, or it broke, or what came is no HTTP.
            TooLargeError: The answer is too large.
        """
        async with self._free:
            connection = self._idle_one() or await self._connect()
            try:
                answer = await connection.exchange(b"%b%d\r\n\r\n%b" % (self._target.head, len(content), content))
            except BaseException:
                connection.abort()
                raise
            if connection.reusable:
                self._idle.append((connection, self._monotonic()))
            else:
                connection.abort()
            return answer

    def close(self) -> None:
        """Let go of the connections that wait for use."""
        for connection, _ in self._idle:
            connection.abort()
        self._idle.clear()

    def _idle_one(self) -> _Connection | None:
        while self._idle:
            connection, since = self._idle.pop()
            if connection.reusable and self._monotonic() - since < _IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        if self._target.secure and self._tls is None:
            self._tls = httpx2.create_ssl_context()
        tls = self._tls if self._target.secure else None
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self._max_answer), self._target.host, self._target.port, ssl=tls
            )
        except (OSError, ValueError):
            raise LineError(sent=False) from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection, with one exchange at a time."""

    def __init__(self, max_answer: int) -> None:
        self.reusable = False
        self._max_answer = max_answer
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._content = bytearray()
        self._retry_after = ""
        self._has_end = False
        self._has_headers = False

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            LineError: The connection broke, or what came is no HTTP.
            TooLargeError: The answer is too large.
        """
        if self._transport is None or self._transport.is_closing():
            raise LineError(sent=True)
        self._begin()
        self.reusable = False
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def abort(self) -> None:
        """Close at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------------------------------ asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases

    def data_received(self, data: bytes) -> None:
        """Parse what came; what nobody asked for makes the connection useless."""
        if self._waiting is None or self._waiting.done():
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(LineError(sent=True))

    def eof_received(self) -> None:
        """Take the end of the connection for the end of an answer that has no other."""
        if self._has_headers and not self._has_end:
            self._complete(keep=False)

    def connection_lost(self, problem: Exception | None) -> None:
        """Fail what is not answered."""
        self.reusable = False
        self._fail(LineError(sent=True))
        del problem

    # ------------------------------------------------------------------------------------------ httptools' calls

    def on_message_begin(self) -> None:
        """Use a connection no more that says something after its answer: the next answer might be taken for another."""
        if self._waiting is None or self._waiting.done():
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the few headers that matter."""
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif name.lower() in {b"content-length", b"transfer-encoding"}:
            self._has_end = True

    def on_headers_complete(self) -> None:
        """Note that only the body is to come."""
        self._has_headers = True

    def on_body(self, body: bytes) -> None:
        """Keep the body, up to its limit."""
        self._content += body
        if len(self._content) > self._max_answer:
            self._fail(TooLargeError())

    def on_message_complete(self) -> None:
        """Give the answer."""
        self._complete(keep=self._parser.should_keep_alive())

    def _complete(self, *, keep: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self.reusable = keep
            self._waiting.set_result(Answer(self._parser.get_status_code(), self._retry_after, bytes(self._content)))

    def _fail(self, problem: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(problem)
