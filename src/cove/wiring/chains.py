"""The chains of the settings, and the catalogue beside them: a ledger and a metadata store for each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from cove.core.errors import Unavailable
from cove.crypto.box import KeyVault
from cove.crypto.keys import checksum, keccak, recover
from cove.ledgers.evm import EvmLedger
from cove.ledgers.failover import Failover
from cove.ledgers.grants import GrantLedger, WalletSigned
from cove.ledgers.rpc import HttpRpc, Rpc
from cove.metadata.applying import Sources
from cove.metadata.aquarius import AquariusMetadata
from cove.metadata.folder import FolderMetadata
from cove.metadata.indexer import NEAR_BLOCKS, Indexer
from cove.metadata.onchain import BELIEVED_SECONDS, OnChainMetadata
from cove.ports import GrantStore, IndexStore, Ledger, MetadataStore
from cove.settings import ChainSettings, Settings

READING: Final = 1
"""Goes up when a later version reads documents that this one cannot: then these are tried anew."""


class Connect(Protocol):
    """Opens a chain's JSON-RPC; the demo and the tests give the in-process chain here."""

    def __call__(self, chain: ChainSettings, /) -> Rpc:
        """Give a way to call the chain."""
        ...


def connect_http(chain: ChainSettings) -> Rpc:
    """Open a chain over HTTP, at all of its URLs."""
    return open_nodes(chain)


def open_nodes(chain: ChainSettings) -> Failover:
    """Open all nodes of a chain, as :func:`connect_http` does; ``cove doctor`` looks at each."""
    return Failover([HttpRpc(url.get_secret_value(), chain.id) for url in chain.rpcs], chain.id)


async def open_chains(
    settings: Settings,
    vault: KeyVault,
    connect: Connect,
    stack: contextlib.AsyncExitStack,
    index: IndexStore,
    *,
    grants: GrantStore,
    now: Callable[[], float],
) -> tuple[Mapping[int, Ledger], Mapping[int, MetadataStore]]:
    """Open every chain of the settings, and the catalogue where there is one; the stack closes them."""
    ledgers: dict[int, Ledger] = {}
    metadata: dict[int, MetadataStore] = {}
    for chain in settings.chains:
        ledger = open_ledger(chain, connect)
        stack.push_async_callback(ledger.close)
        ledgers[chain.id] = ledger
        if chain.metadata == "onchain":
            metadata[chain.id] = _onchain(chain, ledger, vault, index)
        else:
            metadata[chain.id] = AquariusMetadata(chain.metadata)
        stack.push_async_callback(metadata[chain.id].close)
    catalog = settings.catalog
    if catalog.folder is not None:
        assets = FolderMetadata(catalog.folder.absolute(), catalog.chain_id, checksum)
        metadata[catalog.chain_id] = assets
        ledgers[catalog.chain_id] = GrantLedger(
            grants, assets, catalog.chain_id, vault.address, keccak=keccak, recover=recover, now=now,
            wallet_signed=wallet_check(tuple(ledgers.values())),
        )  # fmt: skip
    return ledgers, metadata


def wallet_check(ledgers: Sequence[Ledger]) -> WalletSigned:
    """Give what asks contract wallets on some chains about signatures of digests."""

    async def signed(account: str, digest: bytes, signature: bytes) -> bool:
        missing: Unavailable | None = None
        for ledger in ledgers:
            try:
                if await ledger.has_code(account) and await ledger.valid_wallet_signature(account, digest, signature):
                    return True
            except Unavailable as problem:  # the wallet may be on another chain
                missing = problem
        if missing is not None:
            raise missing
        return False

    return signed


def open_ledger(chain: ChainSettings, connect: Connect) -> EvmLedger:
    """Open a chain of the settings; the caller closes it."""
    return EvmLedger(connect(chain), chain.id, chain.factory, recover=recover, confirmations=chain.confirmations)


def _onchain(chain: ChainSettings, ledger: EvmLedger, vault: KeyVault, index: IndexStore) -> OnChainMetadata:
    sources = Sources(ledger, vault, index, f"{vault.address} {READING}")
    near = max(NEAR_BLOCKS, chain.confirmations)
    indexer = Indexer(sources, start_block=chain.start_block, near_blocks=near)
    return OnChainMetadata(indexer, index, believed_seconds=min(BELIEVED_SECONDS, chain.index_seconds))
