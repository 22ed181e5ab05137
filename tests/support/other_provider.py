"""What another provider answers, by a server that a test gives its files and its faults."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.support.http_server import Asked, Server

BASE = "/at"


@dataclass
class OtherProvider:
    """Answers ``nonce``, ``fileinfo`` and ``download`` as a Provider does; the signature is for the test to look at."""

    server: Server
    #: Files of a service, by DID.
    files: dict[str, list[bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    #: Last nonce, as it is told.
    nonce: Any = None
    #: What was signed for, in the order in which it came.
    downloads: list[dict[str, str]] = field(default_factory=list)
    #: Statuses that the next downloads end with.
    refusals: list[int] = field(default_factory=list)
    #: Downloads that break off half-way, and then say nothing until the asker goes away.
    hanging: int = 0
    #: The same for questions of the nonce.
    silent: bool = False
    #: Set once one of the two has been asked for.
    hung: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Take the paths."""
        self.server.handlers[f"{BASE}/api/services/nonce"] = self._nonce
        self.server.handlers[f"{BASE}/api/services/fileinfo"] = self._fileinfo
        self.server.handlers[f"{BASE}/api/services/download"] = self._download

    @property
    def url(self) -> str:
        """Give its base URL."""
        return self.server.url(BASE)

    def _nonce(self, connection: socket.socket, _: Asked) -> None:
        if self.silent:
            self.hung.set()
            connection.recv(1)
            return
        answer(connection, {"nonce": self.nonce})

    def _fileinfo(self, connection: socket.socket, asked: Asked) -> None:
        did = json.loads(asked.body)["did"]
        if did not in self.files:
            answer(connection, {"error": "no such asset"}, 400)
            return
        answer(connection, [
            {"index": index, "valid": True, "type": "url", "contentLength": str(len(content)),
             "filename": self.names.get(did, "")}
            for index, content in enumerate(self.files[did])
        ])  # fmt: skip

    def _download(self, connection: socket.socket, asked: Asked) -> None:
        query = {name: values[0] for name, values in parse_qs(asked.target.partition("?")[2]).items()}
        self.downloads.append(query)
        if self.refusals:
            answer(connection, {"error": "refused"}, self.refusals.pop(0))
            return
        files = self.files.get(query["documentId"], [])
        if int(query["fileIndex"]) >= len(files):
            answer(connection, {"error": "no such file"}, 400)
            return
        self.nonce = query["nonce"]
        if self.hanging:
            self.hanging -= 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            self.hung.set()
            connection.recv(1)
            return
        self.server.serve(files[int(query["fileIndex"])], "/inner")
        self.server.handlers["/inner"](connection, asked)


def answer(connection: socket.socket, body: Any, status: int = 200) -> None:
    """Send JSON."""
    plain = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {len(plain)}\r\n\r\n"
    connection.sendall(head.encode() + plain)
