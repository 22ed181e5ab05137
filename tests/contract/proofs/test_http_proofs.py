"""Proofs that are posted: the form of Ocean Provider, and what counts as delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from tests.support.http_server import Server, serving

from cove.core.errors import Unavailable
from cove.core.proof import Access, Proof, provider_data
from cove.crypto.keys import Account, verify_text
from cove.hooks.notary import HttpProofs

PROVIDER = Account(b"\x05" * 32)
ACCESS = Access(
    8996, "0x" + "a" * 64, "0x" + "b" * 40, "0x" + "c" * 40, provider_data("did:op:1", "0", 0), "did:op:15&x=1", "0x01"
)
SECRET = "k3y"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


async def deliver(url: str, timeout: float = 5.0) -> list[Proof]:
    saved: list[Proof] = []

    async def save(proof: Proof) -> Proof:
        saved.append(replace(proof, version=proof.version + 1))
        return saved[-1]

    sink = HttpProofs(url, PROVIDER.sign_text, lambda: 1000.0, timeout=timeout)
    try:
        assert await sink.deliver(Proof(1, "http", ACCESS), save) is None
    finally:
        await sink.close()
    return saved


async def test_the_form_is_that_of_ocean_provider(server: Server) -> None:
    server.say(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    (claimed,) = await deliver(server.url(f"/file?{SECRET}"))
    assert claimed.due_at == 1010.0  # nobody else posts it meanwhile
    (asked,) = server.asked
    assert (asked.method, asked.headers["content-type"]) == ("POST", "application/x-www-form-urlencoded")
    form = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
    assert verify_text(ACCESS.provider_data, form.pop("providerSignature"), PROVIDER.address)
    assert form == {
        "orderTxId": ACCESS.order_tx,
        "providerData": '{"documentId":"did:op:1","serviceId":"0","fileIndex":0,"downloadedBytes":0}',
        "consumerData": ACCESS.consumer_data,
        "consumerSignature": "0x01",
        "consumerAddress": ACCESS.consumer,
    }


@pytest.mark.parametrize("status", ["302 Found\r\nLocation: /file", "404 Not Found", "500 Oops"])
async def test_what_is_no_success_is_tried_again(server: Server, status: str) -> None:
    server.say(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    with pytest.raises(Unavailable, match=rf"proof server answered status {status[:3]}"):
        await deliver(server.url(f"/file?{SECRET}"))
    assert len(server.asked) == 1


async def test_a_server_that_is_down_or_silent_is_told_without_its_url(server: Server) -> None:
    server.hang(b"HTTP/1.1 200")
    for url in (f"http://127.0.0.1:1/{SECRET}", server.url(f"/file?{SECRET}"), f"http://[{SECRET}/"):
        async with asyncio.timeout(120):
            with pytest.raises(Unavailable) as caught:
                await deliver(url, timeout=0.3)
        assert (caught.value.part, SECRET in caught.value.message) == ("proof server", False)
