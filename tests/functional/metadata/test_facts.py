"""What the index reads of names, prices and orders, from Ocean's contracts on a real chain."""

from __future__ import annotations

import itertools
import json

import pytest
from tests.chain import FILES, Ocean

from cove.client.market import AssetDraft, Published, ServiceDraft, did_of, publish
from cove.core import indexed
from cove.core.errors import NotFound
from cove.core.indexed import Entry
from cove.metadata.onchain import OnChainMetadata

NOBODY = "0x" + "0" * 40
DISPENSER = "createDispenser(address,uint256,uint256,bool,address)"
EXCHANGE = "createFixedRate(address,address[],uint256[])"
ETHER = 10**18


async def published(ocean: Ocean) -> Published:
    draft = AssetDraft("Sold", [ServiceDraft("access", FILES, "http://cove")])
    return await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)


async def entry(store: OnChainMetadata, asset: Published) -> Entry:
    await store.indexer.sync()
    found = await store._index.entry(asset.did)
    assert found is not None
    return found


async def price(store: OnChainMetadata, asset: Published) -> object:
    return indexed.served(await entry(store, asset))["stats"]["price"]


async def test_a_price_is_what_the_datatoken_is_sold_for(ocean: Ocean) -> None:
    store, asset, owner, known = ocean.metadata(), await published(ocean), ocean.publisher, ocean.addresses
    assert await price(store, asset) == {}
    addresses = [known.fee_token, owner.address, owner.address, NOBODY]
    made = await owner.transact(
        asset.datatoken, EXCHANGE, [known.fixed_rate, addresses, [18, 18, 5 * ETHER // 2, 0, 1]], gas=2_000_000
    )
    assert await price(store, asset) == {"value": 2.5, "tokenAddress": known.fee_token}
    (sale,) = (await entry(store, asset)).tokens[0].sales
    exchange = bytes.fromhex(sale.exchange[2:])
    await owner.transact(known.fixed_rate, "setRate(bytes32,uint256)", [exchange, 3 * ETHER])
    assert await price(store, asset) == {"value": 3.0, "tokenAddress": known.fee_token}
    await owner.transact(known.fixed_rate, "toggleExchangeState(bytes32)", [exchange])
    assert await price(store, asset) == {}
    await owner.transact(known.fixed_rate, "toggleExchangeState(bytes32)", [exchange])
    await owner.transact(asset.datatoken, DISPENSER, [known.dispenser, ETHER, ETHER, True, NOBODY], gas=2_000_000)
    assert await price(store, asset) == {"value": 0.0}
    await owner.transact(known.dispenser, "deactivate(address)", [asset.datatoken])
    assert await price(store, asset) == {"value": 3.0, "tokenAddress": known.fee_token}
    # The same from the beginning, in one go: the exchange speaks before the datatoken names it.
    assert made.block_number
    assert await price(ocean.metadata(), asset) == {"value": 3.0, "tokenAddress": known.fee_token}


async def test_an_asset_asked_for_between_its_two_transactions_is_found_after_them(ocean: Ocean) -> None:
    ticks = itertools.count(100, 0.001)
    store = ocean.metadata(monotonic=lambda: next(ticks))  # what was read is believed for a second
    early: list[str] = []

    async def encrypt(plain: bytes) -> str:
        if not early:  # the files' list comes first: the NFT is made, the DDO not set
            early.append(did_of(json.loads(plain)["nftAddress"], await ocean.publisher.chain_id()))
            with pytest.raises(NotFound):
                await store.asset(early[0])
        return await ocean.encrypt(plain)

    draft = AssetDraft("Sold", [ServiceDraft("access", FILES, "http://cove")])
    made = await publish(ocean.publisher, ocean.addresses.factory, draft, encrypt)
    assert early == [made.did]
    assert (await store.asset(made.did)).did == made.did


async def test_names_come_from_the_factory(ocean: Ocean) -> None:
    asset = await published(ocean)
    found = await entry(ocean.metadata(), asset)
    assert (found.made, found.name, found.owner) == (True, "Sold", ocean.publisher.address)
    (token,) = found.tokens
    assert (token.address, token.name, token.symbol, token.orders) == (asset.datatoken, "Sold", "COVE", 0)
    assert found.described is not None
    assert (found.described.tx_id, found.sender) == (asset.tx_id, ocean.publisher.address)
