"""Serves a Cove over HTTP, in this process, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Generator
from typing import Final

import uvicorn

from cove.core.errors import SettingsWrong
from cove.web.app import create_app
from cove.wiring.house import Cove

_BACKLOG: Final = 1024
#: Seconds that running answers are given to end; with what is closed after them, less than 5.
_GRACE_SECONDS: Final = 4


class _Server(uvicorn.Server):
    """A uvicorn server that says when it answers, and leaves signals to its owner."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def run_server(cove: Cove, host: str, port: int, *, started: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set, then let running answers end, 5 s at the most.

    Args:
        cove: What is served.
        host: Address or name of an interface.
        port: 0 takes a free one.
        started: Called with the URL once the server answers.
        stop: Ends it.

    Raises:
        SettingsWrong: The address cannot be listened on.
    """
    listening = _listen(host, port)
    config = uvicorn.Config(
        create_app(cove),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        await _first(serving, server.answering)
        if not serving.done():
            started(url_of(host, listening.getsockname()[1]))
        await _first(serving, stop)
    finally:
        cove.live_logs.stop()  # these answers would not end by themselves
        server.should_exit = True
        await serving
        listening.close()


def url_of(host: str, port: int) -> str:
    """Write the URL of a listening address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an interface."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as problem:
        raise SettingsWrong(
            f"{host}:{port} cannot be listened on: {_reason(problem)}.",
            hint="Set listen.host and listen.port, or stop what uses the port.",
        ) from None
    listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listening


def _reason(problem: OSError) -> str:
    if isinstance(problem, socket.gaierror) or not problem.errno:
        return problem.strerror or str(problem)
    return os.strerror(problem.errno)  # without what asyncio and socket add to it


async def _first(serving: asyncio.Task[None], event: asyncio.Event) -> None:
    """Wait until the event is set or the server ended."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
