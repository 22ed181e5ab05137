"""Waiting until a provider shows a change: one that is a little behind, one that never shows it, and none at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cove.client.trusting import until_shown

DID = "did:op:" + "ab" * 32
OLD: Mapping[str, Any] = {"id": DID, "services": []}
NEW: Mapping[str, Any] = {**OLD, "services": [{"id": "0"}]}
CACHE_ADDS = {"nft": {"state": 0}, "event": {"txid": "0x1"}}

Provider = Callable[[list[Mapping[str, Any]]], str]


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Give what starts a provider that shows these documents one after the other, and then the last for ever."""
    servers: list[ThreadingHTTPServer] = []

    def start(documents: list[Mapping[str, Any]]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

            def do_GET(self) -> None:
                shown = documents.pop(0) if len(documents) > 1 else documents[0]
                content = json.dumps({**shown, **CACHE_ADDS}).encode()
                self.send_response(200 if shown else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


async def test_it_waits_for_a_provider_that_is_behind(provider: Provider) -> None:
    documents = [OLD, OLD, NEW]
    assert await until_shown(provider(documents), DID, NEW)
    assert documents == [NEW]


async def test_it_gives_up_where_the_change_is_never_shown(provider: Provider) -> None:
    assert not await until_shown(provider([OLD]), DID, NEW, seconds=0.0)


async def test_what_was_withdrawn_is_waited_for_as_well(provider: Provider) -> None:
    documents: list[Mapping[str, Any]] = [OLD, OLD, {}]
    assert await until_shown(provider(documents), DID, None)
    assert documents == [{}]
    assert not await until_shown(provider([OLD]), DID, None, seconds=0.0)


async def test_nobody_who_answers_shows_nothing() -> None:
    assert not await until_shown("http://127.0.0.1:9", DID, NEW)
    assert not await until_shown("http://127.0.0.1:9", DID, None)
