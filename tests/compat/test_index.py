"""The index of published assets on a chain that is set back for real."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chain import COMPUTE, FILES
from tests.compat.world import CHAIN_ID, INSTALLED, PROVIDER_KEY, anvil, deploy, key_of

from cove.client.market import AssetDraft, Published, ServiceDraft, Wallet, publish, set_metadata
from cove.core.errors import NotFound
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account, recover
from cove.ledgers.evm import EvmLedger
from cove.ledgers.rpc import HttpRpc
from cove.metadata.applying import Sources
from cove.metadata.indexer import Indexer
from cove.metadata.onchain import OnChainMetadata
from cove.stores import SqlIndexStore, SqlJobStore
from cove.stores.database import sqlite_url

VAULT = KeyVault(Account.from_hex(PROVIDER_KEY))


async def encrypt(plain: bytes) -> str:
    return "0x" + VAULT.encrypt(plain).hex()


async def test_what_a_chain_took_back_is_taken_back(tmp_path: Path) -> None:
    if not INSTALLED.is_file():
        pytest.skip("anvil is not there: run tests/compat/install.sh (it needs npm)")
    jobs = SqlJobStore(sqlite_url(tmp_path / "cove.db"))
    await jobs.start()
    index = SqlIndexStore(jobs)
    with anvil() as url:
        factory = (await deploy(url)).factory
        async with HttpRpc(url, CHAIN_ID) as node:
            owner, heir = Wallet(key_of(0), node), Wallet(key_of(5), node).address

            async def published(name: str) -> Published:
                services = [ServiceDraft("compute", FILES, "http://cove", compute=COMPUTE)]
                return await publish(owner, factory, AssetDraft(name, services), encrypt)

            ledger = EvmLedger(node, CHAIN_ID, factory, recover=recover)
            indexer = Indexer(Sources(ledger, VAULT, index, "reader"))
            store = OnChainMetadata(indexer, index, believed_seconds=0)
            kept = await published("Kept")
            await node.call("anvil_mine", [hex(200)])  # so that it lies deep
            near = await published("Near")
            assert [(await store.asset(one.did)).name for one in (kept, near)] == ["Kept", "Near"]
            before = await node.call("evm_snapshot")
            gone = await published("Gone")
            renamed = near.document.replace(b'"Near"', b'"Renamed"')
            await set_metadata(owner, near.nft, renamed, encrypt, url="http://cove")
            await owner.transact(kept.nft, "transferFrom(address,address,uint256)", [owner.address, heir, 1])
            assert [(await store.asset(one.did)).name for one in (gone, near)] == ["Gone", "Renamed"]
            assert (await store.asset(kept.did)).publisher == heir
            assert await node.call("evm_revert", [before]) is True
            await node.call("anvil_mine", [hex(1)])
            assert (await store.asset(near.did)).name == "Near"
            assert (await store.asset(kept.did)).publisher == owner.address
            with pytest.raises(NotFound):
                await store.asset(gone.did)
            later = await published("Later")
            assert (await store.asset(later.did)).name == "Later"
            assert (await node.call("eth_blockNumber")) == hex(indexer.lag().block)
    await jobs.close()
