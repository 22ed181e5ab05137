"""Proofs of what was handed out, from a download to the chain and to a server of the site."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl

import httpx2
import pytest
from tests.chain import Ocean
from tests.support.answering import Answer, Request, answering
from tests.support.house import NONCES, House, opened, signer

from cove.access.proofs import ProofService
from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, publish
from cove.core.errors import NoSpace
from cove.core.proof import MAX_ATTEMPTS, Access, ProofState, provider_data
from cove.crypto.keys import verify_text
from cove.hooks.notary import HttpProofs
from cove.stores import SqlJobStore
from cove.stores.database import sqlite_url
from cove.stores.proofs import SqlProofStore
from cove.wiring.house import Cove

API = "/api/services"
EXECUTED = "OrderExecuted(address,address,bytes32,bytes,bytes,bytes,bytes,uint256,uint256)"


@dataclass
class Notary:
    """The site's server."""

    url: str = ""
    status: int = 200
    heard: list[dict[str, str]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, request: Request) -> Answer:
        self.heard.append(dict(parse_qsl(request.body.decode(), keep_blank_values=True)))
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.news.set)
        return Answer(b"", self.status)

    async def heard_of(self, count: int) -> None:
        async with asyncio.timeout(120):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()


@dataclass
class Shop:
    """A house that sells two files."""

    house: House
    asset: Published
    tx: str = ""

    async def pay(self) -> None:
        ocean = self.house.ocean
        asked = {"documentId": self.asset.did, "serviceId": "0", "consumerAddress": ocean.consumer.address}
        fee = (await self.house.http.get(f"{API}/initialize", params=asked)).json()["providerFee"]
        await mint(ocean.publisher, self.asset.datatoken, ocean.consumer.address)
        self.tx = await order(ocean.consumer, self.asset.datatoken, fee)

    async def get(self, index: int = 0, method: str = "GET", **headers: str) -> httpx2.Response:
        consumer, nonce = self.house.ocean.consumer, str(next(NONCES))
        asked = {"documentId": self.asset.did, "serviceId": "0", "fileIndex": str(index), "transferTxId": self.tx}
        signed = {"nonce": nonce, "signature": signer(consumer).sign(f"{self.asset.did}{nonce}")}
        params = {**asked, "consumerAddress": consumer.address, **signed}
        return await self.house.http.request(method, f"{API}/download", params=params, headers=headers)

    async def on_chain(self) -> int:
        topic = "0x" + self.house.cove.parts.keccak(EXECUTED.encode()).hex()
        wanted = {"fromBlock": "0x0", "address": self.asset.datatoken, "topics": [topic]}
        found = await self.house.ocean.chain.call("eth_getLogs", [wanted])
        assert isinstance(found, list)
        return len(found)


@pytest.fixture
async def notary() -> AsyncIterator[Notary]:
    made = Notary(loop=asyncio.get_running_loop())
    with answering(made.answer) as made.url:
        yield made


async def sell(house: House, tmp_path: Path) -> Shop:
    (tmp_path / "data" / "rows.csv").write_bytes(b"1\n" * 1000)
    files = [{"type": "local", "root": "data", "path": name} for name in ("rows.csv", "table.csv")]
    draft = AssetDraft("Rows", [ServiceDraft("access", files, "http://cove", timeout=3600)])
    ocean = house.ocean
    shop = Shop(house, await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt))
    await shop.pay()
    return shop


async def settled(cove: Cove) -> None:
    """Wait until no proof is on its way."""
    store = cove.proofs._store
    news = asyncio.Event()
    cove.proofs.listeners.add(lambda _: news.set())
    async with asyncio.timeout(120):
        while any(count.state is ProofState.OPEN for count in await store.counts()):
            await news.wait()
            news.clear()


async def test_an_access_is_proven_once_in_each_place(ocean: Ocean, tmp_path: Path, notary: Notary) -> None:
    hooks = {"http_proof_url": notary.url, "chain_proof": True}
    async with opened(ocean, tmp_path, hooks=hooks) as house:
        shop = await sell(house, tmp_path)
        assert (await shop.get(method="HEAD")).status_code == 200
        assert (await shop.get(Range="bytes=5000-")).status_code == 416
        await settled(house.cove)
        assert notary.heard == []
        part = await shop.get(Range="bytes=0-9")
        assert (part.status_code, len(part.content)) == (206, 10)
        await notary.heard_of(1)
        for _ in range(3):
            assert len((await shop.get()).content) == 2000
        assert (await shop.get(**{"If-None-Match": part.headers["etag"]})).status_code == 304
        assert (await shop.get(1)).content == b"a\n1\n"
        await notary.heard_of(2)
        await settled(house.cove)
        assert await shop.on_chain() == 2
        assert [entry["providerData"] for entry in notary.heard] == [
            provider_data(shop.asset.did, "0", index) for index in (0, 1)
        ]
        for form in notary.heard:
            assert (form["orderTxId"], form["consumerAddress"]) == (shop.tx, ocean.consumer.address)
            assert verify_text(form["consumerData"], form["consumerSignature"], ocean.consumer.address)
            assert verify_text(form["providerData"], form["providerSignature"], house.cove.vault.address)
        assert [finding for finding in await house.cove.examine() if finding.part == "proofs"] == []
        await shop.pay()
        await shop.get()  # another order is another access
        await notary.heard_of(3)


async def test_a_token_is_proven_by_post_alone(ocean: Ocean, tmp_path: Path, notary: Notary) -> None:
    hooks = {"http_proof_url": notary.url, "chain_proof": True}
    async with opened(ocean, tmp_path, hooks=hooks) as house:
        shop = await sell(house, tmp_path)
        consumer, nonce, until = ocean.consumer, str(next(NONCES)), int(time.time()) + 600
        signature = signer(consumer).sign(f"{consumer.address}{nonce}")
        made = {"address": consumer.address, "nonce": nonce, "expiration": str(until), "signature": signature}
        token = (await house.http.get(f"{API}/createAuthToken", params=made)).json()["token"]
        asked = {"documentId": shop.asset.did, "serviceId": "0", "transferTxId": shop.tx, "nonce": str(next(NONCES))}
        params = {**asked, "consumerAddress": consumer.address}
        answer = await house.http.get(f"{API}/download", params=params, headers={"AuthToken": token})
        assert answer.status_code == 200
        await notary.heard_of(1)
        assert notary.heard[0]["consumerSignature"] == ""
        await settled(house.cove)
        assert await shop.on_chain() == 0


async def test_nobody_who_is_refused_is_proven(ocean: Ocean, tmp_path: Path, notary: Notary) -> None:
    async with opened(ocean, tmp_path, hooks={"http_proof_url": notary.url}) as house:
        shop = await sell(house, tmp_path)
        right, shop.tx = shop.tx, "0x" + "5" * 64
        assert (await shop.get()).status_code == 400
        shop.tx = right
        (tmp_path / "data" / "rows.csv").unlink()
        assert (await shop.get()).status_code == 503
        assert await house.cove.proofs._store.counts() == []


async def test_a_consumer_is_served_whatever_becomes_of_the_proof(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, hooks={"http_proof_url": "http://127.0.0.1:1/"}) as house:
        shop = await sell(house, tmp_path)
        before = time.monotonic()
        assert (await shop.get()).status_code == 200
        assert time.monotonic() - before < 25

        class Full(SqlProofStore):
            async def add(self, *_: object) -> None:
                raise NoSpace("The disk is full.")

        house.cove.proofs._store = Full(house.cove.parts.store)  # type: ignore[arg-type] - it is one
        assert (await shop.get(1)).status_code == 200


async def test_what_was_served_before_an_end_is_proven_after_it(ocean: Ocean, tmp_path: Path, notary: Notary) -> None:
    async with opened(ocean, tmp_path, hooks={"http_proof_url": "http://127.0.0.1:1/"}) as house:
        shop = await sell(house, tmp_path)
        await shop.get()
    assert notary.heard == []
    async with opened(ocean, tmp_path, hooks={}) as house:
        (finding,) = [one for one in await house.cove.examine() if one.part == "proofs"]
        assert (finding.ok, "wait for http" in finding.seen) == (False, True)
    async with opened(ocean, tmp_path, hooks={"http_proof_url": notary.url}):
        await notary.heard_of(1)
    assert notary.heard[0]["orderTxId"] == shop.tx


@dataclass
class Clock:
    """A clock that stands still."""

    time: float = 1000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
async def outbox(tmp_path: Path, notary: Notary) -> AsyncIterator[tuple[ProofService, HttpProofs, Clock]]:
    async with AsyncExitStack() as stack:
        jobs = SqlJobStore(sqlite_url(tmp_path / "cove.db"))
        stack.push_async_callback(jobs.close)
        await jobs.start()
        clock = Clock()
        sign: Callable[[str], str] = lambda text: text  # noqa: E731 - a stand-in
        sink = HttpProofs(notary.url, sign, clock.now, timeout=5)
        stack.push_async_callback(sink.close)
        yield ProofService(SqlProofStore(jobs), [sink], clock), sink, clock


def access(index: int) -> Access:
    about = provider_data("did:op:1", "0", index)
    return Access(8996, "0x" + "a" * 64, "0x" + "b" * 40, "0x" + "c" * 40, about, "did:op:15", "0x01")


async def test_attempts_end_and_the_failure_is_shown(
    outbox: tuple[ProofService, HttpProofs, Clock], notary: Notary
) -> None:
    service, sink, clock = outbox
    notary.status = 503
    await service.record(access(0))
    pauses = []
    for _ in range(MAX_ATTEMPTS):
        await service._step(sink)
        pauses.append(await service._step(sink))  # not due: nothing is sent
        clock.time += pauses[-1]
    assert len(notary.heard) == MAX_ATTEMPTS
    assert pauses[:3] == [5, 10, 20]
    (finding,) = await service.examine()
    assert (finding.ok, finding.seen) == (
        False, "1 proofs of access for http were given up; last: proof server answered status 503"
    )  # fmt: skip
    notary.status = 200
    await service.record(access(0))
    assert await service._step(sink) == 60


async def test_one_that_is_refused_does_not_hold_up_the_others(
    outbox: tuple[ProofService, HttpProofs, Clock], notary: Notary
) -> None:
    service, sink, clock = outbox
    notary.status = 400
    await service.record(access(0))
    await service._step(sink)
    notary.status = 200
    await service.record(access(1))
    await service._step(sink)
    assert [entry["providerData"] for entry in notary.heard] == [access(0).provider_data, access(1).provider_data]
    clock.time += 5
    await service._step(sink)
    assert len(notary.heard) == 3
    assert await service.examine() == []


async def test_one_that_another_service_works_on_is_left_to_it(
    outbox: tuple[ProofService, HttpProofs, Clock], notary: Notary
) -> None:
    service, sink, _ = outbox
    await service.record(access(0))
    store = service._store
    real = store.next

    async def late(lane: str, *, in_order: bool) -> object:
        found = await real(lane, in_order=in_order)
        assert found is not None
        await store.save(replace(found, due_at=2000.0))
        return found

    store.next = late  # type: ignore[method-assign,assignment] - somebody else is quicker
    assert await service._safely(sink) == 1.0
    assert notary.heard == []
