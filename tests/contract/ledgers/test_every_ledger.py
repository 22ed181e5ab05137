"""What the Ledger protocol promises of every kind: chains, and grants in the place of one."""

from __future__ import annotations

import importlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.chain import ENVIRONMENT, Ocean
from tests.support import catalogue
from tests.support.catalogue import CONSUMER, OWNER, VAULT

from cove.client.market import order
from cove.core.errors import Refused
from cove.core.grant import Grant, GrantRecord, digest
from cove.core.order import OrderTerms, check
from cove.crypto.keys import checksum, keccak, recover
from cove.ledgers import LEDGERS
from cove.ledgers.grants import GrantLedger
from cove.metadata.folder import FolderMetadata
from cove.ports import Ledger
from cove.stores import MemoryGrantStore, MemoryJobStore

UNKNOWN = "0x" + "ab" * 32


@dataclass(frozen=True)
class World:
    """A ledger on which an asset is published and ordered."""

    kind: str
    ledger: Ledger
    nft: str
    datatoken: str
    owner: str
    consumer: str
    stranger: str
    #: Of a good order of service 1.
    order: str
    provider: str


@pytest.fixture(params=sorted(LEDGERS))
async def world(request: pytest.FixtureRequest, ocean: Ocean, tmp_path: Path) -> AsyncIterator[World]:
    made = await {"evm": evm, "grants": grants}[request.param](ocean, tmp_path)
    yield made
    if made.kind != "evm":  # that chain is the session's
        await made.ledger.close()


async def evm(ocean: Ocean, _: Path) -> World:
    published = await ocean.publish()
    await ocean.give_datatoken(published.datatoken)
    paid = await order(ocean.consumer, published.datatoken, ocean.fee(published.datatoken), service_index=1)
    people = (ocean.publisher.address, ocean.consumer.address, ocean.stranger.address)
    return World("evm", ocean.ledger(), published.nft, published.datatoken, *people, paid, ocean.vault.address)


async def grants(_: Ocean, folder: Path) -> World:
    did = await catalogue.shelve(folder, "table.csv")
    assets = FolderMetadata(folder, catalogue.CHAIN, checksum)
    asset = await assets.asset(did)
    store = MemoryGrantStore(MemoryJobStore())
    grant = Grant(CONSUMER.address, did, "0", int(time.time()) + 600, 1, b"\1" * 32)
    made = digest(grant, catalogue.CHAIN, VAULT.address, keccak)
    await store.add(GrantRecord("0x" + made.hex(), grant, OWNER.sign_digest(made), time.time()))
    ledger = GrantLedger(store, assets, catalogue.CHAIN, VAULT.address, keccak=keccak, recover=recover, now=time.time)
    people = (OWNER.address, CONSUMER.address, catalogue.STRANGER.address)
    token = asset.services[0].datatoken
    return World("grants", ledger, asset.nft, token, *people, "0x" + made.hex(), VAULT.address)


def terms(world: World, **changes: object) -> OrderTerms:
    place = ("compute-id", 1) if world.kind == "evm" else ("0", 0)
    given = {"consumer": world.consumer, "provider": world.provider, "environment": ENVIRONMENT} | changes
    return OrderTerms(world.datatoken, *place, 3600, **given)  # type: ignore[arg-type]


def test_every_kind_is_run_by_this_suite() -> None:
    for path in LEDGERS.values():
        module, name = path.split(":")
        assert getattr(importlib.import_module(module), name)


async def test_a_good_order_is_found_good(world: World) -> None:
    receipt = await world.ledger.receipt(world.order)
    assert receipt is not None
    found = check(receipt, terms(world), time.time())
    assert (found.tx_id, found.consumer, found.granted) == (world.order, world.consumer, not world.ledger.charges_fees)
    assert await world.ledger.receipt("0x" + world.order[2:].upper()) == receipt


async def test_it_is_good_for_its_consumer_alone(world: World) -> None:
    receipt = await world.ledger.receipt(world.order)
    assert receipt is not None
    with pytest.raises(Refused, match="order_invalid"):
        check(receipt, terms(world, consumer=world.stranger), time.time())


async def test_an_unknown_order_is_none(world: World) -> None:
    assert await world.ledger.receipt(UNKNOWN) is None
    assert await world.ledger.metadata_of_transaction(UNKNOWN, world.nft) is None


async def test_whose_an_asset_is(world: World) -> None:
    for address in (world.nft, world.nft.lower()):
        facts = await world.ledger.nft(address)
        assert facts is not None
        assert (facts.owner, facts.state) == (world.owner, 0)
    for address in (world.owner, world.datatoken, "0x" + "0" * 40):
        assert await world.ledger.nft(address) is None


async def test_datatokens_belong_to_their_asset(world: World) -> None:
    assert await world.ledger.has_datatoken(world.nft, world.datatoken)
    assert await world.ledger.has_datatoken(world.nft.lower(), world.datatoken.lower())
    assert not await world.ledger.has_datatoken(world.nft, world.owner)
    assert not await world.ledger.has_datatoken(world.owner, world.datatoken)


async def test_people_are_no_contracts(world: World) -> None:
    assert not await world.ledger.has_code(world.consumer)
    assert not await world.ledger.valid_wallet_signature(world.consumer, b"\1" * 32, b"signature")
    assert await world.ledger.call(world.consumer, b"\0" * 4) == b""


async def test_time_goes_on(world: World) -> None:
    number, seconds = await world.ledger.head()
    assert number >= 0
    assert 0 < seconds <= time.time() + 10_000
    assert list(await world.ledger.metadata_events(number + 1, number + 1)) == []
