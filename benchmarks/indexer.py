"""Catching up with a chain: 10,000 metadata events into an empty index, beside asking for the logs and decrypting them.

python benchmarks/indexer.py [--events 10000]

Every event is a document of its own that has to be opened; a tenth as many NFTs take turns. Then: what a look costs
while the chain is quiet, and a lookup of an asset, and a search over all of them. Ends with 1 where the goal of 200
events a second is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _anvil import CHAIN_ID, chain
from eth_abi.abi import encode
from eth_hash.auto import keccak

from cove.access.catalog import Catalog
from cove.client.market import OceanAddresses, Wallet, create_nft, deploy_ocean, did_of
from cove.core.document import decode_document
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account, recover
from cove.ledgers.evm import EvmLedger
from cove.ledgers.rpc import HttpRpc
from cove.metadata.applying import Sources
from cove.metadata.indexer import Indexer
from cove.metadata.onchain import OnChainMetadata
from cove.stores import SqlIndexStore, SqlJobStore
from cove.stores.database import sqlite_url

GOAL = 200
ROUNDS = 3
BLOCKS_PER_QUERY = 2_000
LOOKUPS = 2_000
PER_BLOCK = 20
_TYPES = ("uint8", "string", "string", "bytes", "bytes", "bytes32", "(address,uint8,bytes32,bytes32)[]")
_SELECTOR = keccak(f"setMetaData({','.join(_TYPES)})".encode())[:4]


def document(nft: str, datatoken: str, update: int) -> bytes:
    """Give a DDO of usual size."""
    service = {
        "id": "0", "type": "access", "datatokenAddress": datatoken, "serviceEndpoint": "http://cove.example",
        "files": "0x" + "04ab" * 150, "timeout": 86_400,
    }  # fmt: skip
    metadata = {
        "type": "dataset", "name": f"Weather, {update}", "description": "Rain and sun, hour by hour. " * 20,
        "author": "a bench", "license": "none", "tags": ["weather", f"t{update}"], "created": "2024-05-01T00:00:00Z",
    }  # fmt: skip
    ddo = {
        "@context": ["https://w3id.org/did/v1"], "id": did_of(nft, CHAIN_ID), "version": "4.1.0", "chainId": CHAIN_ID,
        "nftAddress": nft, "metadata": metadata, "services": [service],
    }  # fmt: skip
    return json.dumps(ddo).encode()


async def fill(url: str, keys: Sequence[str], vault: KeyVault, events: int) -> tuple[OceanAddresses, list[str]]:
    """Publish, and give what was deployed and the NFTs."""
    async with HttpRpc(url, CHAIN_ID) as node:
        owner = Wallet(keys[0], node)
        addresses = await deploy_ocean(owner)
        made = [await create_nft(owner, addresses.factory, "An asset") for _ in range(max(1, events // 10))]
        # Numbered and mined here: left to itself the node gives a number twice, and sorts what waits again and again.
        await node.call("evm_setAutomine", [False])
        nonce = int(str(await node.call("eth_getTransactionCount", [owner.address, "latest"])), 16)
        for update in range(10):
            for nft, datatoken in made:
                sent = _update(owner.address, nft, datatoken, update, vault) | {"nonce": hex(nonce)}
                await node.call("eth_sendTransaction", [sent])
                nonce += 1
                if nonce % PER_BLOCK == 0:
                    await node.call("evm_mine")
        await node.call("evm_mine")
        return addresses, [nft for nft, _ in made]


def _update(sender: str, nft: str, datatoken: str, update: int, vault: KeyVault) -> dict[str, Any]:
    plain = document(nft, datatoken, update)
    cipher, digest = vault.encrypt(plain), hashlib.sha256(plain).digest()
    data = encode(_TYPES, [0, "http://cove.example", vault.address, b"\x02", cipher, digest, []])
    return {"from": sender, "to": nft, "data": "0x" + (_SELECTOR + data).hex(), "gas": hex(500_000)}


async def bare(url: str, vault: KeyVault, factory: str) -> tuple[float, int]:
    """Ask for all metadata events and decrypt them, as a loop of a few lines would."""
    async with HttpRpc(url, CHAIN_ID) as node:
        ledger = EvmLedger(node, CHAIN_ID, factory, recover=recover)
        began, count = time.perf_counter(), 0
        head, _ = await ledger.head()
        for first in range(0, head + 1, BLOCKS_PER_QUERY):
            for event in await ledger.metadata_events(first, min(head, first + BLOCKS_PER_QUERY - 1)):
                json.loads(decode_document(event.data, event.flags, event.metadata_hash, vault.decrypt))
                count += 1
        return time.perf_counter() - began, count


async def caught_up(url: str, vault: KeyVault, factory: str, nfts: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Read everything into an empty index; give the seconds, and in milliseconds what asking it costs."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = SqlJobStore(sqlite_url(Path(folder) / "cove.db"))
        await jobs.start()
        index = SqlIndexStore(jobs)
        async with HttpRpc(url, CHAIN_ID) as node:
            ledger = EvmLedger(node, CHAIN_ID, factory, recover=recover)
            indexer = Indexer(Sources(ledger, vault, index, "bench"))
            began = time.perf_counter()
            await indexer.sync(patience=None)
            seconds = time.perf_counter() - began
            costs = await _asked(indexer, index, nfts)
        await jobs.close()
        return seconds, costs


async def _asked(indexer: Indexer, index: SqlIndexStore, nfts: Sequence[str]) -> dict[str, float]:
    store = OnChainMetadata(indexer, index, believed_seconds=1e9)
    dids = [did_of(nft, CHAIN_ID) for nft in nfts]
    for did in dids:
        await store.asset(did)
    costs: dict[str, float] = {}
    began = time.perf_counter()
    for number in range(LOOKUPS):
        await store.asset(dids[number % len(dids)])
    costs["a lookup of an asset that was looked up before"] = 1000 * (time.perf_counter() - began) / LOOKUPS
    looks = []
    for _ in range(50):
        began = time.perf_counter()
        await indexer.sync()
        looks.append(1000 * (time.perf_counter() - began))
    costs["a look for new blocks where there are none"] = statistics.median(looks)
    catalog = Catalog(index, lambda: [indexer.lag()])
    fields = ["metadata.name^10", "metadata.description", "metadata.tags"]
    text = {"query_string": {"query": "*rain*", "fields": fields}}
    began = time.perf_counter()
    found = await catalog.search({"query": {"bool": {"must": [text]}}, "sort": {"nft.created": "desc"}, "size": 20})
    costs[f"a search over {found['hits']['total']['value']} assets"] = 1000 * (time.perf_counter() - began)
    return costs


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=10_000)
    events: int = options.parse_args().events
    vault = KeyVault(Account.from_hex("5e7f3f9dcd71f3a1c8a3d1b2c7e1b0d9" * 2))
    with chain() as made:
        addresses, nfts = asyncio.run(fill(made.url, made.keys, vault, events))
        alone, ours = [], []
        costs: dict[str, float] = {}
        for _ in range(ROUNDS):
            seconds, count = asyncio.run(bare(made.url, vault, addresses.factory))
            alone.append(seconds)
            seconds, costs = asyncio.run(caught_up(made.url, vault, addresses.factory, nfts))
            ours.append(seconds)
    rate = count / statistics.median(ours)
    ratio = statistics.median(ours) / statistics.median(alone)
    print(f"{count} metadata events of {len(nfts)} NFTs on {made.name}: {rate:.0f} a second")
    print(f"  {ratio:.2f} times a bare loop of eth_getLogs and decryption")
    for what, milliseconds in costs.items():
        print(f"  {what}: {milliseconds:.3f} ms")
    sys.exit(rate < GOAL)


if __name__ == "__main__":
    main()
