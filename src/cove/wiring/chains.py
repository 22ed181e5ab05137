"""The chains of the settings: a ledger and a metadata store for each."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Protocol

from cove.crypto.box import KeyVault
from cove.crypto.keys import recover
from cove.ledgers.evm import EvmLedger
from cove.ledgers.failover import Failover
from cove.ledgers.rpc import HttpRpc, Rpc
from cove.metadata.aquarius import AquariusMetadata
from cove.metadata.onchain import OnChainMetadata
from cove.ports import Ledger, MetadataStore
from cove.settings import ChainSettings, Settings


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
    settings: Settings, vault: KeyVault, connect: Connect, stack: contextlib.AsyncExitStack
) -> tuple[Mapping[int, Ledger], Mapping[int, MetadataStore]]:
    """Open every chain of the settings; the stack closes them."""
    ledgers: dict[int, Ledger] = {}
    metadata: dict[int, MetadataStore] = {}
    for chain in settings.chains:
        ledger = EvmLedger(connect(chain), chain.id, chain.factory, recover=recover, confirmations=chain.confirmations)
        stack.push_async_callback(ledger.close)
        ledgers[chain.id] = ledger
        if chain.metadata == "onchain":
            metadata[chain.id] = OnChainMetadata(ledger, vault, start_block=chain.start_block)
        else:
            metadata[chain.id] = AquariusMetadata(chain.metadata)
        stack.push_async_callback(metadata[chain.id].close)
    return ledgers, metadata
