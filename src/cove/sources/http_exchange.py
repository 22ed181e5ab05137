"""One HTTP request and its answer over a connection of its own, to an address that was checked, within time limits."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Timer
from typing import Final

from cove.core.errors import DataMissing
from cove.core.weburl import WebUrl
from cove.sources.guard import Endpoint
from cove.sources.http_body import Stream

_TOO_SLOW: Final = "The source did not answer in time."
_TOO_LONG: Final = "The source took longer than the time that a file may take."
_WITH_BODY: Final = frozenset({"POST", "PUT"})
_AFTERWORD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a source may take."""

    #: Seconds for the connection, for the headers of an answer, and to the next bytes.
    stall_seconds: float
    #: Seconds for a whole file.
    total_seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a server. All of it is secret."""

    url: WebUrl = field(repr=False)
    method: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: Sent with POST and PUT alone.
    body: bytes = field(default=b"", repr=False)
    #: A long body in place of ``body``: how many bytes, and what gives them in pieces; None without one.
    upload: tuple[int, Callable[[], Iterator[bytes]]] | None = field(default=None, repr=False)
    #: Gives the headers that sign the request, right before it is sent; never for where a redirect leads.
    sign: Callable[[Request], tuple[tuple[str, str], ...]] | None = field(default=None, repr=False)


class Line:
    """A connection that can be cut from any thread; every later read then fails with the reason that was given."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        #: Why it was cut; None while it was not.
        self.reason: str | None = None
        self._timer: Timer | None = None

    def cut_after(self, seconds: float, reason: str) -> None:
        """Cut the connection after so many seconds, instead of what was set before."""
        self.keep()
        self._timer = Timer(seconds, self.cut, (reason,))
        self._timer.daemon = True
        self._timer.start()

    def keep(self) -> None:
        """Take back :meth:`cut_after`."""
        if self._timer is not None:
            self._timer.cancel()

    def cut(self, reason: str) -> None:
        """End the connection, and any read that waits on it. May be repeated; the first reason counts."""
        if self.reason is None:
            self.reason = reason
        with contextlib.suppress(OSError):
            # Not the method of a TLS socket: that one would let the waiting thread read ciphertext as if it were data.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def check(self) -> None:
        """Return while the connection was not cut.

        Raises:
            DataMissing: It was, for the reason given.
        """
        if self.reason is not None:
            raise DataMissing(self.reason)

    def close(self) -> None:
        """Cut the connection and let go of it."""
        self.keep()
        self.cut("The source was closed.")
        self.socket.close()


@dataclass(slots=True)
class Answer:
    """The headers of an answer, and the connection behind them."""

    status: int
    #: Names in lower case; values of equal names joined with a comma.
    headers: Mapping[str, str] = field(repr=False)
    stream: Stream = field(repr=False)
    line: Line = field(repr=False)
    response: http.client.HTTPResponse = field(repr=False)

    def says_more(self) -> bool:
        """Say whether the server sends bytes behind the end of the body that it announced."""
        self.line.socket.settimeout(_AFTERWORD_SECONDS if self.response.will_close else 0.0)
        try:
            return bool(self.stream.readinto1(memoryview(bytearray(1))))
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the connection; may be called from another thread than the one that reads."""
        self.line.close()
        self.response.close()


def exchange(request: Request, endpoints: Sequence[Endpoint], limits: Limits, tls: ssl.SSLContext) -> Answer:
    """Send a request and read the headers of the answer.

    Raises:
        DataMissing: The server cannot be reached, is not who it should be, or does not speak HTTP in time.
    """
    deadline = time.monotonic() + limits.stall_seconds
    line = Line(_connect(endpoints, deadline))
    try:
        line.cut_after(max(deadline - time.monotonic(), 0.0), _TOO_SLOW)
        if request.url.scheme == "https":
            line.socket = tls.wrap_socket(line.socket, server_hostname=request.url.host, suppress_ragged_eofs=False)
            line.check()
        if request.upload is not None:  # each piece of it may take as long as an answer otherwise
            line.socket.settimeout(limits.stall_seconds)
            line.cut_after(limits.total_seconds, _TOO_LONG)
        response = _ask(line.socket, request)
        answer = Answer(response.status, _headers(response), response.fp, line, response)
        line.cut_after(limits.total_seconds, _TOO_LONG)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        reason = line.reason or reason_of(problem)
        line.close()
        raise DataMissing(reason) from None
    except BaseException:  # what gives an upload's bytes may fail in ways of its own
        line.close()
        raise
    try:
        line.check()
    except DataMissing:
        answer.close()
        raise
    return answer


def reason_of(problem: Exception) -> str:
    """Say in one sentence what went wrong, without anything that the error itself may quote."""
    match problem:
        case ssl.SSLCertVerificationError():
            return "The source's certificate could not be verified."
        case ssl.SSLError():
            return "The source's encrypted connection failed."
        case TimeoutError():
            return _TOO_SLOW
        case OSError():
            return "The connection to the source failed."
        case _:
            return "The source's answer is not HTTP."


def _connect(endpoints: Sequence[Endpoint], deadline: float) -> socket.socket:
    problem: OSError = TimeoutError()
    for position, endpoint in enumerate(endpoints):
        share = (deadline - time.monotonic()) / (len(endpoints) - position)
        if share <= 0:
            break
        try:
            return endpoint.connect(share)
        except OSError as failed:
            problem = failed
    if isinstance(problem, TimeoutError):
        raise DataMissing(_TOO_SLOW) from None
    raise DataMissing("The source cannot be reached.") from None


def _ask(connected: socket.socket, request: Request) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(request.url.host, request.url.port)
    connection.auto_open = 0
    connection.sock = connected
    connection.putrequest(request.method, request.url.target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", request.url.authority)
    connection.putheader("Connection", "close")
    connection.putheader("Accept-Encoding", "identity")
    for name, value in (*request.headers, *(request.sign(request) if request.sign else ())):
        connection.putheader(name, value)
    if request.method in _WITH_BODY:
        size = len(request.body) if request.upload is None else request.upload[0]
        connection.putheader("Content-Length", str(size))
    if request.upload is None:
        connection.endheaders(request.body or None)
    else:
        connection.endheaders()
        # Who refuses a file may say so before it is sent, and read no more of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in request.upload[1]():
                connected.sendall(piece)
    return connection.getresponse()


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.getheaders():
        lower = name.lower()
        found[lower] = f"{found[lower]}, {value}" if lower in found else value
    return found
