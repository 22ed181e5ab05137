"""A real chain in this process with Ocean's contracts on it, for every test that needs one (fixture ``ocean``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cove.client.market import (
    AssetDraft,
    OceanAddresses,
    Published,
    ServiceDraft,
    Wallet,
    deploy_ocean,
    mint,
    publish,
    transfer,
)
from cove.core.fees import packed_fee, provider_data
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account, keccak, recover
from cove.ledgers.devchain import DevChain
from cove.ledgers.devjson import DEV_CHAIN_ID
from cove.ledgers.evm import EvmLedger
from cove.metadata.applying import Sources
from cove.metadata.indexer import Indexer
from cove.metadata.onchain import OnChainMetadata
from cove.ports import IndexStore
from cove.stores.memoryindex import MemoryIndexStore

PROVIDER_URL = "http://127.0.0.1:8030"
ENVIRONMENT = "env"
FILES: Sequence[Mapping[str, object]] = ({"type": "url", "url": "http://127.0.0.1:1/data.csv", "method": "GET"},)
COMPUTE: Mapping[str, object] = {
    "allowRawAlgorithm": False,
    "allowNetworkAccess": False,
    "publisherTrustedAlgorithmPublishers": [],
    "publisherTrustedAlgorithms": [],
}


@dataclass(frozen=True)
class Ocean:
    """The chain, its contracts and its people. The accounts have ether; the consumer has fee tokens too."""

    chain: DevChain
    addresses: OceanAddresses
    #: Owns the contracts and publishes; account 0.
    publisher: Wallet
    #: The provider; account 1.
    vault: KeyVault
    #: Account 2, with a million fee tokens.
    consumer: Wallet
    #: Account 3.
    stranger: Wallet

    def ledger(self) -> EvmLedger:
        """Give a ledger of this chain that remembers nothing."""
        return EvmLedger(self.chain, self.chain.chain_id, self.addresses.factory, recover=recover)

    def metadata(
        self, index: IndexStore | None = None, ledger: EvmLedger | None = None, **options: Any
    ) -> OnChainMetadata:
        """Give a metadata store, by default one that has read nothing yet; ``options`` are the indexer's."""
        index = MemoryIndexStore() if index is None else index
        indexer = Indexer(Sources(ledger or self.ledger(), self.vault, index, "reader"), **options)
        clock = {name: given for name, given in options.items() if name == "monotonic"}
        return OnChainMetadata(indexer, index, **clock)

    async def encrypt(self, plain: bytes) -> str:
        """Encrypt to the provider, as its endpoint does."""
        return "0x" + self.vault.encrypt(plain).hex()

    async def publish(
        self, *, endpoint: str = PROVIDER_URL, service_timeout: int = 3600, wallet: Wallet | None = None
    ) -> Published:
        """Publish a dataset with an access service (index 0) and a compute service (index 1) on one datatoken."""
        services = (
            ServiceDraft("access", FILES, endpoint, service_timeout, "access-id"),
            ServiceDraft("compute", FILES, endpoint, service_timeout, "compute-id", COMPUTE),
        )
        draft = AssetDraft("A dataset", services)
        return await publish(wallet or self.publisher, self.addresses.factory, draft, self.encrypt)

    async def give_datatoken(self, datatoken: str, to: str | None = None, count: int = 1) -> None:
        """Give the consumer (or somebody else) datatokens of an asset that the publisher published."""
        await mint(self.publisher, datatoken, to or self.consumer.address, count * 10**18)

    def fee(
        self,
        datatoken: str,
        amount: int = 0,
        *,
        service_id: str = "compute-id",
        environment: str | None = ENVIRONMENT,
        token: str | None = None,
        seconds: int = 3600,
        vault: KeyVault | None = None,
    ) -> dict[str, Any]:
        """Sign a provider fee in the form of ``initializeCompute``."""
        signer, now = vault or self.vault, time.time()
        token, until = token or self.addresses.fee_token, int(now) + seconds
        data = provider_data(environment, now, datatoken, service_id)
        v, r, s = signer.sign_hash(keccak(packed_fee(data, signer.address, token, amount, until)))
        return {
            "providerFeeAddress": signer.address,
            "providerFeeToken": token,
            "providerFeeAmount": str(amount),
            "providerData": "0x" + data.hex(),
            "v": v,
            "r": "0x" + r.hex(),
            "s": "0x" + s.hex(),
            "validUntil": until,
        }


def make_ocean(chain_id: int = DEV_CHAIN_ID) -> Ocean:
    """Build the chain and deploy everything; addresses are the same on each chain."""
    return asyncio.run(make_ocean_here(chain_id))


async def make_ocean_here(chain_id: int = DEV_CHAIN_ID) -> Ocean:
    """Build a chain of one's own in a running loop; whoever made it closes it."""
    chain = DevChain(chain_id=chain_id)
    keys = [account.private_key for account in chain.accounts]
    publisher, consumer, stranger = (Wallet(keys[number], chain) for number in (0, 2, 3))
    addresses = await deploy_ocean(publisher)
    await transfer(publisher, addresses.fee_token, consumer.address, 10**24)
    return Ocean(chain, addresses, publisher, KeyVault(Account.from_hex(keys[1])), consumer, stranger)
