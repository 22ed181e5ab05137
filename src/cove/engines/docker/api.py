"""A small client of the Docker API: what is asked, what is answered, and which failure means that nothing is known."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

import httpx2

from cove.core.errors import SettingsWrong, Unavailable
from cove.engines.docker.config import DockerConfig

_WANTED: Final = (1, 41)
_FAILED: Final = 400
_CONFLICT: Final = 409
_PIECE: Final = 1 << 20
_FRAME: Final = struct.Struct(">BxxxL")
_UPGRADE: Final = {"Connection": "Upgrade", "Upgrade": "tcp"}
#: An open connection is silent for as long as a run lasts; what lies between may forget such ones.
_ALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class Refused(Exception):
    """The daemon answered, and said no; the text is the daemon's own and for the log of the service alone."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_missing(self) -> bool:
        """Say whether what was asked about is not there; Podman says 500 of a container that goes meanwhile."""
        return self.status == httpx2.codes.NOT_FOUND or "no such container" in str(self).lower()

    @property
    def is_name_taken(self) -> bool:
        """Say whether there is a container of that name already; Podman says 500."""
        return self.status == _CONFLICT or "already in use" in str(self)


class Api:
    """One daemon. Every method raises ``Unavailable`` where it did not answer, and ``Refused`` where it said no."""

    def __init__(self, config: DockerConfig) -> None:
        self._config = config
        self._prefix = ""
        self._finding = asyncio.Lock()
        self._context = _tls(config)
        base = "http://docker"
        if not config.host.startswith("unix://"):
            place = config.host.partition("://")[2].rstrip("/")
            base = f"{'http' if self._context is None else 'https'}://{place}"
        self._base = base
        limits = httpx2.Limits(max_connections=64, max_keepalive_connections=16)
        self._http = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=self._socket, verify=self._context or True, limits=limits),
            base_url=base,
            timeout=config.answer_seconds,
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.aclose()

    async def get(self, path: str, login: str = "", **query: str) -> Any:  # noqa: ANN401 - JSON
        """Give an answer in JSON."""
        return (await self._ask("GET", path, query=query, login=login)).json()

    async def post(self, path: str, body: object = None, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Send JSON, and give the answer; None where it has no body."""
        answer = await self._ask("POST", path, query=query, body=body)
        return answer.json() if answer.content.startswith((b"{", b"[")) else None

    async def delete(self, path: str, **query: str) -> None:
        """Remove something; what is not there is removed."""
        try:
            await self._ask("DELETE", path, query=query)
        except Refused as refusal:
            if not refusal.is_missing:
                raise

    async def put_archive(self, container: str, path: str, content: bytes | AsyncIterator[bytes]) -> None:
        """Unpack a tar in a folder of a container."""
        await self._ask("PUT", f"/containers/{container}/archive", query={"path": path}, content=content)

    async def lines(self, method: str, path: str, login: str = "", **query: str) -> AsyncIterator[dict[str, Any]]:
        """Give JSON objects one by one, for as long as the daemon sends them; it may be silent for ever."""
        prefix = await self._version()
        headers = {"X-Registry-Auth": login} if login else {}
        timeout = httpx2.Timeout(self._config.answer_seconds, read=None)
        with _known("the container daemon"):
            async with self._http.stream(
                method, f"{prefix}{path}", params=query, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code >= _FAILED:
                    await answer.aread()
                    raise _refusal(answer)
                async for line in answer.aiter_lines():
                    if line.strip():
                        yield json.loads(line)

    @contextmanager
    def archive(self, container: str, path: str) -> Iterator[Iterator[bytes]]:
        """Give the tar of a folder piece by piece, in a thread; something must have been asked before."""
        with (
            _known("the container daemon"),
            self._plain() as http,
            http.stream("GET", f"{self._prefix}/containers/{container}/archive", params={"path": path}) as answer,
        ):
            yield _pieces(answer)

    @contextmanager
    def output_of(self, container: str, *words: str) -> Iterator[Iterator[bytes]]:
        """Run a command in a container, and give what it writes piece by piece, in a thread."""
        asked = {"AttachStdout": True, "AttachStderr": False, "Tty": False, "Cmd": words}
        begun = {"Detach": False, "Tty": False}
        with _known("the container daemon"), self._plain() as http:
            made = http.post(f"{self._prefix}/containers/{container}/exec", json=asked)
            if made.status_code >= _FAILED:
                raise _refusal(made)
            with http.stream("POST", f"{self._prefix}/exec/{made.json()['Id']}/start", json=begun) as answer:
                yield demultiplexed(_pieces(answer))

    def attached(self, container: str) -> Attached:
        """Connect to a container's first process, in a thread; something must have been asked before."""
        # Without keys to detach: Podman takes them for such also where they are part of what is sent.
        query = {"stream": "true", "stdin": "true", "stdout": "true", "detachKeys": ""}
        with ExitStack() as closing, _known("the container daemon"):
            http = closing.enter_context(self._plain())
            path = f"{self._prefix}/containers/{container}/attach"
            answer = closing.enter_context(http.stream("POST", path, params=query, headers=_UPGRADE))
            if answer.status_code >= _FAILED:
                answer.read()
                raise _refusal(answer)
            if answer.status_code != httpx2.codes.SWITCHING_PROTOCOLS:
                raise Unavailable(
                    "the container daemon", "Something before the container daemon upgrades no connection."
                )
            connection: socket.socket = answer.extensions["network_stream"].get_extra_info("socket")
            connection.settimeout(self._config.answer_seconds)
            return Attached(connection, closing.pop_all())

    def _plain(self) -> httpx2.Client:
        # Without TLS nothing is to be verified, and reading the system's certificates takes its time.
        return httpx2.Client(
            transport=httpx2.HTTPTransport(uds=self._socket, verify=self._context or False),
            base_url=self._base,
            timeout=self._config.answer_seconds,
            headers={"Accept-Encoding": "identity"},
        )

    # ------------------------------------------------------------------------------------------ asking

    @property
    def _socket(self) -> str | None:
        return self._config.host.removeprefix("unix://") if self._config.host.startswith("unix://") else None

    async def _version(self) -> str:
        """Find out once which version of the API the daemon and we both speak."""
        if not self._prefix:
            async with self._finding:
                with _known("the container daemon"):
                    answer = await self._http.get("/version")
                    found = answer.json()
                least, most = (_numbers(found.get(name, "1.41")) for name in ("MinAPIVersion", "ApiVersion"))
                version = max(least, min(_WANTED, most))
                self._prefix = f"/v{version[0]}.{version[1]}"
        return self._prefix

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str],
        body: object = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        login: str = "",
    ) -> httpx2.Response:
        prefix = await self._version()
        headers = {"X-Registry-Auth": login} if login else {}
        with _known("the container daemon"):
            answer = await self._http.request(
                method,
                f"{prefix}{path}",
                params=query,
                headers=headers,
                content=content,
                json=None if content is not None else body,
            )
        if answer.status_code >= _FAILED:
            raise _refusal(answer)
        return answer


class Attached:
    """A connection to a container's first process: every method blocks, and raises ``Unavailable`` when it is gone."""

    def __init__(self, connection: socket.socket, closing: ExitStack) -> None:
        self._connection = connection
        self._closing = closing
        with suppress(OSError):  # a socket of this host has none of it
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _ALIVE:
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, content: bytes) -> None:
        """Have it read something."""
        rest = memoryview(content)
        with _connected():
            while rest:  # in pieces, since there is a limit to the time that each takes
                self._connection.sendall(rest[:_PIECE])
                rest = rest[_PIECE:]

    def pieces(self) -> Iterator[bytes]:
        """Give what it writes to its output."""
        return demultiplexed(self._received())

    def _received(self) -> Iterator[bytes]:
        while True:
            with _connected():
                piece = self._connection.recv(_PIECE)
            if not piece:
                return
            yield piece

    def close(self) -> None:
        """Let go of it; may be repeated."""
        with suppress(OSError):  # whoever waits for more of it, in another thread, is told
            self._connection.shutdown(socket.SHUT_RDWR)
        self._closing.close()


def _pieces(answer: httpx2.Response) -> Iterator[bytes]:
    if answer.status_code >= _FAILED:
        answer.read()
        raise _refusal(answer)
    return answer.iter_raw(_PIECE)


def demultiplexed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give what was written to standard output: each frame has a header of its stream (1 is output) and its length."""
    header = b""
    stream, left = 0, 0
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            if left == 0:
                missing = _FRAME.size - len(header)
                header, rest = header + rest[:missing], rest[missing:]
                if len(header) == _FRAME.size:
                    stream, left = _FRAME.unpack(header)
                    header = b""
                continue
            part, rest = rest[:left], rest[left:]
            left -= len(part)
            if stream == 1:
                yield bytes(part)


@contextmanager
def _known(part: str) -> Iterator[None]:
    try:
        yield
    except (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError, ValueError) as problem:
        raise Unavailable(part, f"{part.capitalize()} did not answer ({type(problem).__name__}).") from None


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise Unavailable("the container daemon", f"A connection to it broke ({type(problem).__name__}).") from None


def _refusal(answer: httpx2.Response) -> Refused:
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.reason_phrase
    return Refused(answer.status_code, message)


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor.partition(".")[0] or 0)


def _tls(config: DockerConfig) -> ssl.SSLContext | None:
    if config.tls_ca is None and config.tls_cert is None and not config.host.startswith("https://"):
        return None
    try:
        context = ssl.create_default_context(cafile=None if config.tls_ca is None else str(config.tls_ca))
        if config.tls_cert is not None and config.tls_key is not None:
            context.load_cert_chain(config.tls_cert, config.tls_key)
    except (ssl.SSLError, OSError) as problem:
        raise SettingsWrong(f"The certificates for {config.host} cannot be used ({type(problem).__name__}).") from None
    return context
