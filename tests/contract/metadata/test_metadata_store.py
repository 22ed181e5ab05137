"""The MetadataStore protocol: from the chain itself, from a cache that serves what it has, and from a folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import lzma
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.chain import Ocean
from tests.support.answering import Answer, Request, answering

from cove.client.market import Published, did_of, set_metadata, set_metadata_state
from cove.core.errors import NotFound, Unavailable
from cove.crypto.keys import checksum, recover
from cove.ledgers.evm import EvmLedger
from cove.metadata.aquarius import MAX_ANSWER_BYTES, AquariusMetadata
from cove.metadata.folder import FolderMetadata, write_asset
from cove.metadata.onchain import BELIEVED_SECONDS
from cove.ports import Block, MetadataStore

UNKNOWN = "did:op:" + "ab" * 32


@dataclass
class Shelf:
    """A store, and a way to have it know of what was published."""

    store: MetadataStore
    publish: Callable[[Published], Awaitable[None]]


class Cache:
    """What an Aquarius has: the DDO with its NFT's facts added."""

    def __init__(self, ocean: Ocean) -> None:
        self._ledger = ocean.ledger()
        self.documents: dict[str, dict[str, Any]] = {}

    async def index(self, published: Published) -> None:
        facts = await self._ledger.nft(published.nft)
        assert facts is not None
        nft = {"address": published.nft, "owner": facts.owner, "state": facts.state}
        self.documents[published.did] = {**published.ddo, "nft": nft, "event": {"tx": published.tx_id}}

    def answer(self, request: Request) -> Answer:
        document = self.documents.get(request.path.removeprefix("/api/aquarius/assets/ddo/"))
        return Answer(status=404) if document is None else Answer(json.dumps(document).encode())


@pytest.fixture(params=["onchain", "aquarius", "folder"])
def shelf(request: pytest.FixtureRequest, ocean: Ocean, tmp_path: Path) -> Iterator[Shelf]:
    async def nothing(_: Published) -> None:
        """The chain knows already."""

    if request.param == "onchain":
        yield Shelf(ocean.metadata(), nothing)
        return
    if request.param == "folder":

        async def write(published: Published) -> None:
            write_asset(tmp_path, published.ddo, ocean.publisher.address, 0)

        yield Shelf(FolderMetadata(tmp_path, 8996, checksum), write)
        return
    cache = Cache(ocean)
    with answering(cache.answer) as url:
        yield Shelf(AquariusMetadata(url + "/"), cache.index)


async def test_a_published_asset_is_found(shelf: Shelf, ocean: Ocean) -> None:
    published = await ocean.publish(service_timeout=60)
    await shelf.publish(published)
    asset = await shelf.store.asset(published.did)
    assert (asset.did, asset.nft, asset.chain_id) == (published.did, published.nft, 8996)
    assert (asset.publisher, asset.state, asset.type) == (ocean.publisher.address, 0, "dataset")
    assert [(s.id, s.index, s.type, s.timeout, s.datatoken) for s in asset.services] == [
        ("access-id", 0, "access", 60, published.datatoken),
        ("compute-id", 1, "compute", 60, published.datatoken),
    ]
    files = ocean.vault.decrypt(bytes.fromhex(asset.services[1].files[2:]))
    assert json.loads(files)["nftAddress"] == published.nft
    assert json.loads(asset.document)["id"] == published.did
    await shelf.store.close()


async def test_capitals_in_a_did_change_nothing(shelf: Shelf, ocean: Ocean) -> None:
    published = await ocean.publish()
    await shelf.publish(published)
    asked = "did:op:" + published.did.removeprefix("did:op:").upper()
    assert (await shelf.store.asset(asked)).did == published.did
    await shelf.store.close()


@pytest.mark.parametrize("did", [UNKNOWN, "", "did:op:", "../../etc/passwd", "did:op:" + "z" * 64, "x" * 10_000])
async def test_what_was_never_published_is_not_found(shelf: Shelf, did: str) -> None:
    with pytest.raises(NotFound):
        await shelf.store.asset(did)
    await shelf.store.close()


async def test_what_is_published_later_is_found_later(shelf: Shelf, ocean: Ocean) -> None:
    with pytest.raises(NotFound):
        await shelf.store.asset(UNKNOWN)
    published = await ocean.publish()
    await shelf.publish(published)
    assert (await shelf.store.asset(published.did)).name == "A dataset"
    await shelf.store.close()


# ---------------------------------------------------------------------------------------------------- on chain


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


class Counting:
    """The chain, with every call written down."""

    def __init__(self, ocean: Ocean) -> None:
        self.chain = ocean.chain
        self.methods: list[str] = []

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        self.methods.append(method)
        return await self.chain.call(method, params)

    async def close(self) -> None:
        """The chain is shared."""


async def test_an_update_and_a_state_are_seen(ocean: Ocean) -> None:
    clock = Clock()
    store = ocean.metadata(monotonic=clock)
    published = await ocean.publish()
    assert (await store.asset(published.did)).name == "A dataset"
    changed = {**published.ddo, "metadata": {**published.ddo["metadata"], "name": "Renamed"}}
    document = json.dumps(changed).encode()
    await set_metadata(ocean.publisher, published.nft, document, ocean.encrypt, url="http://p")
    await set_metadata_state(ocean.publisher, published.nft, 3)
    clock.now += 2 * BELIEVED_SECONDS
    asset = await store.asset(published.did)
    assert (asset.name, asset.state) == ("Renamed", 3)


async def test_many_lookups_share_one_scan_and_a_warm_one_costs_nothing(ocean: Ocean) -> None:
    published = [await ocean.publish() for _ in range(2)]
    rpc = Counting(ocean)
    ledger = EvmLedger(rpc, 8996, ocean.addresses.factory, recover=recover)
    clock = Clock()
    store = ocean.metadata(ledger=ledger, monotonic=clock)
    await asyncio.gather(*(store.asset(entry.did) for entry in published * 20))
    assert rpc.methods.count("eth_getLogs") <= 2 * rpc.methods.count("eth_getBlockByNumber")
    assert rpc.methods.count("eth_chainId") == 1
    before = len(rpc.methods)
    await asyncio.gather(*(store.asset(entry.did) for entry in published * 20))
    assert len(rpc.methods) == before
    clock.now += 2
    await store.asset(published[0].did)
    assert rpc.methods[before:] == ["eth_getBlockByNumber"]


async def test_documents_in_clear_and_compressed_are_read(ocean: Ocean) -> None:
    store = ocean.metadata()
    published = await ocean.publish()
    for flags in (0, 1, 2, 3):
        document = json.dumps({**published.ddo, "note": flags}).encode()
        await set_metadata(ocean.publisher, published.nft, document, ocean.encrypt, url="http://p", flags=flags)
        found = await ocean.metadata().asset(published.did)
        assert json.loads(found.document)["note"] == flags
    await store.close()


async def spoil(ocean: Ocean, published: Published, document: bytes, *, data: bytes | None = None) -> str:
    """Publish something else under an asset's NFT, and say why it is not found."""

    async def as_given(plain: bytes) -> str:
        return "0x" + ocean.vault.encrypt(plain if data is None else data).hex()

    await set_metadata(ocean.publisher, published.nft, document, as_given, url="http://p")
    with pytest.raises(NotFound) as caught:
        await ocean.metadata().asset(published.did)
    return caught.value.message


async def test_hostile_documents_are_not_found(ocean: Ocean) -> None:
    published, other = await ocean.publish(), await ocean.publish()
    assert "Checksum" in await spoil(ocean, published, published.document, data=lzma.compress(b"{}"))
    assert "decompressed" in await spoil(ocean, published, b"{}", data=b"rubbish")
    assert "too large" in await spoil(ocean, published, b"", data=lzma.compress(b"\0" * (64 << 20), preset=0))
    assert "another asset" in await spoil(ocean, published, other.document)
    assert "JSON" in await spoil(ocean, published, b"[" * 100_000)
    assert "services" in await spoil(ocean, published, json.dumps({**published.ddo, "services": []}).encode())
    wrong_chain = json.dumps({**published.ddo, "chainId": 1}).encode()
    assert "another asset" in await spoil(ocean, published, wrong_chain)
    assert (await ocean.metadata().asset(other.did)).did == other.did


async def test_another_providers_document_is_not_found(ocean: Ocean) -> None:
    published = await ocean.publish()

    async def elsewhere(plain: bytes) -> str:
        return "0x" + plain.hex()

    await set_metadata(ocean.publisher, published.nft, published.document, elsewhere, url="http://other")
    with pytest.raises(NotFound, match="provider"):
        await ocean.metadata().asset(published.did)


async def test_a_contract_that_the_factory_did_not_make_publishes_nothing(ocean: Ocean) -> None:
    """Its events look right, so its DID is known; its NFT is not."""
    from eth_abi import encode  # noqa: PLC0415 - for this forgery alone

    from cove.ledgers import abi  # noqa: PLC0415

    document = b"{}"
    data = encode(
        ["uint8", "string", "bytes", "bytes", "bytes32", "uint256", "uint256"],
        [0, "http://p", b"\0", document, hashlib.sha256(document).digest(), 1, 1],
    )
    code = b"".join(
        b"\x7f" + data[offset : offset + 32] + b"\x61" + offset.to_bytes(2, "big") + b"\x52"
        for offset in range(0, len(data), 32)
    )
    topics = [abi.METADATA_CREATED.topic, "0x" + "0" * 64]
    code += b"".join(b"\x7f" + bytes.fromhex(topic[2:]) for topic in reversed(topics))
    code += b"\x61" + len(data).to_bytes(2, "big") + b"\x60\x00\xa2\x00"
    sent = await ocean.stranger.send(None, code)
    assert sent.contract is not None
    with pytest.raises(NotFound, match="factory"):
        await ocean.metadata().asset(did_of(sent.contract, 8996))


async def test_the_scan_begins_where_the_owner_says(ocean: Ocean) -> None:
    early = await ocean.publish()
    head, _ = await ocean.ledger().head()
    late = await ocean.publish()
    store = ocean.metadata(start_block=head + 1)
    assert (await store.asset(late.did)).did == late.did
    with pytest.raises(NotFound):
        await store.asset(early.did)


async def test_a_chain_that_is_long_to_read_says_how_far_it_is(ocean: Ocean) -> None:
    published = await ocean.publish()
    clock = Clock()

    class Slow(EvmLedger):
        """Takes ten seconds for each part."""

        async def asset_events_of(self, block: Block) -> Sequence[Any]:
            clock.now += 10
            return await super().asset_events_of(block)

    ledger = Slow(ocean.chain, 8996, ocean.addresses.factory, recover=recover)
    store = ocean.metadata(ledger=ledger, monotonic=clock)
    with pytest.raises(Unavailable, match="still being read") as caught:
        await store.asset(published.did)
    assert caught.value.part == "chain 8996"
    for _ in range(200):  # each lookup goes on where the one before gave up
        try:
            assert (await store.asset(published.did)).did == published.did
            break
        except Unavailable:
            continue
    else:
        pytest.fail("it never came to the end")


# ---------------------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(status=404), NotFound),
        (Answer(status=500), Unavailable),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), Unavailable),
        (Answer(b"<html>"), Unavailable),
        (Answer(b""), Unavailable),
        (Answer(b"[1]"), Unavailable),
        (Answer(b"{}"), NotFound),
        (Answer(b'{"id": "did:op:1"}'), NotFound),
        (Answer(b'"' + b"x" * MAX_ANSWER_BYTES + b'"'), Unavailable),
        (Answer(b"[" * 100_000), Unavailable),
    ],
)
async def test_a_cache_that_answers_badly(answer: Answer, error: type[Exception]) -> None:
    with answering(lambda _: answer) as url:
        store = AquariusMetadata(url)
        with pytest.raises(error):
            await store.asset(UNKNOWN)
        await store.close()


async def test_a_cache_with_another_asset_under_the_did(ocean: Ocean) -> None:
    published = await ocean.publish()
    with answering(lambda _: Answer(json.dumps(published.ddo).encode())) as url:
        store = AquariusMetadata(url)
        with pytest.raises(NotFound, match="another asset"):
            await store.asset(UNKNOWN)
        await store.close()


async def test_a_cache_that_is_down() -> None:
    with answering(lambda _: Answer()) as url:
        pass
    store = AquariusMetadata(url, timeout=2)
    with pytest.raises(Unavailable):
        await store.asset(UNKNOWN)
    await store.close()
