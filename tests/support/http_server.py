"""A server on loopback that answers exactly the bytes that a test gives it, well-behaved or hostile."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes = b""


Handler = Callable[[socket.socket, Asked], None]


@dataclass
class Server:
    """A running server."""

    port: int
    #: By path, without the query.
    handlers: dict[str, Handler] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    scheme: str = "http"
    host: str = "127.0.0.1"

    def url(self, path: str = "/file") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    def serve(self, content: bytes, path: str = "/file", *, ranges: bool = True, headers: str = "") -> None:
        """Serve bytes as a good server does."""

        def answer(connection: socket.socket, asked: Asked) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", "")) if ranges else None
            status, part, more = "200 OK", content, ""
            if wanted is not None:
                first = int(wanted[1])
                last = min(int(wanted[2] or len(content)), len(content) - 1)
                if first >= len(content):
                    status, part, more = "416 Range Not Satisfiable", b"", f"Content-Range: bytes */{len(content)}\r\n"
                else:
                    part = content[first : last + 1]
                    status, more = "206 Partial Content", f"Content-Range: bytes {first}-{last}/{len(content)}\r\n"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(part)}\r\nConnection: close\r\n{more}{headers}\r\n"
            connection.sendall(head.encode() + (b"" if asked.method == "HEAD" else part))

        self.handlers[path] = answer

    def say(self, raw: bytes, path: str = "/file") -> None:
        """Answer these very bytes, then close."""
        self.handlers[path] = lambda connection, _: connection.sendall(raw)

    def drip(self, first: bytes, again: bytes, path: str = "/file", *, seconds: float = 0.01) -> None:
        """Answer ``first``, then ``again`` for ever."""

        def answer(connection: socket.socket, _: Asked) -> None:
            connection.sendall(first)
            while not self.closing.wait(seconds):
                connection.sendall(again)

        self.handlers[path] = answer

    def hang(self, first: bytes, path: str = "/file") -> None:
        """Answer ``first``, then nothing until the other side goes away."""

        def answer(connection: socket.socket, _: Asked) -> None:
            connection.sendall(first)
            connection.recv(1)

        self.handlers[path] = answer

    def redirect(self, location: str, path: str = "/file", status: int = 302) -> None:
        """Send the asker on."""
        self.say(f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode(), path)


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a server until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener.getsockname()[1], scheme="https" if tls else "http")
        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(listener, server, tls, threads))
        accepting.start()
        try:
            yield server
        finally:
            server.closing.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(120)
                assert not thread.is_alive()


def _accept(
    listener: socket.socket, server: Server, tls: ssl.SSLContext | None, threads: list[threading.Thread]
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        thread = threading.Thread(target=_serve, args=(connection, server, tls))
        threads.append(thread)
        thread.start()


def _serve(connection: socket.socket, server: Server, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(60)
        secure = tls.wrap_socket(connection, server_side=True) if tls else connection
        with secure:
            text = b""
            while b"\r\n\r\n" not in text:
                piece = secure.recv(65536)
                if not piece:
                    return
                text += piece
            head, _, body = text.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines}
            while len(body) < int(headers.get("content-length", "0")):
                body += secure.recv(65536)
            asked = Asked(method, target, headers, body)
            server.asked.append(asked)
            _answer(secure, server, asked)
            secure.shutdown(socket.SHUT_WR)


def _answer(connection: socket.socket, server: Server, asked: Asked) -> None:
    handler = server.handlers.get(asked.target.partition("?")[0])
    if handler is None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    else:
        handler(connection, asked)
