"""What knows chains and what is published on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cove.core.asset import Asset
from cove.core.order import Receipt


@dataclass(frozen=True, slots=True)
class MetadataEvent:
    """``MetadataCreated`` or ``MetadataUpdated`` of an ERC721 template."""

    #: The NFT that emitted it, checksummed.
    nft: str
    tx_id: str
    block_number: int
    log_index: int
    state: int
    flags: int
    data: bytes
    #: sha256 of the plain document as given by the publisher, 32 bytes.
    metadata_hash: bytes
    timestamp: int
    decryptor_url: str


@dataclass(frozen=True, slots=True)
class NftFacts:
    """An asset's NFT as the chain has it now."""

    #: Checksummed.
    owner: str
    state: int


class Ledger(Protocol):
    """One chain. Gives facts; ``core`` judges them.

    Raises:
        Unavailable: From every method, when the chain does not answer; its part is ``chain <id>``.
    """

    chain_id: int
    #: False where orders carry no provider fee, so that environments cost nothing there.
    charges_fees: bool

    async def receipt(self, tx_id: str) -> Receipt | None:
        """Give the facts of a mined transaction; None at once when the chain does not know it.

        A transaction that is known and not mined yet is waited for a few seconds at the most, then None.
        """
        ...

    async def nft(self, address: str) -> NftFacts | None:
        """Give an NFT's owner and state; None when the factory did not make this contract."""
        ...

    async def has_datatoken(self, nft: str, datatoken: str) -> bool:
        """Say whether the NFT deployed this datatoken (``isDeployed``)."""
        ...

    async def token_decimals(self, token: str) -> int:
        """Give an ERC-20's decimals."""
        ...

    async def head(self) -> tuple[int, int]:
        """Give the newest block's number and Unix time."""
        ...

    async def metadata_events(self, first_block: int, last_block: int) -> Sequence[MetadataEvent]:
        """Give all metadata events of these blocks, both ends included, in chain order, from any contract."""
        ...

    async def metadata_of_transaction(self, tx_id: str, nft: str) -> MetadataEvent | None:
        """Give the metadata event of that NFT in one transaction; None when there is none."""
        ...

    async def has_code(self, address: str) -> bool:
        """Say whether a contract stands at an address.

        Raises:
            Unavailable: The chain does not answer.
        """
        ...

    async def valid_wallet_signature(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        """Ask a contract wallet (ERC-1271) whether it signed a 32-byte digest; False when it is no contract."""
        ...

    async def call(self, to: str, data: bytes) -> bytes | None:
        """Give what a contract returns to a call that changes nothing; empty where there is no contract.

        None when the contract refused (reverted).

        Args:
            to: Address of the contract.
            data: Selector of the function and its encoded arguments.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class MetadataStore(Protocol):
    """Knows published assets."""

    def knows(self, did: str) -> bool:
        """Say whether this store has seen the asset already; it asks nobody, so False says nothing."""
        ...

    async def asset(self, did: str) -> Asset:
        """Give an asset.

        Raises:
            NotFound: No such asset is published, or what is published is no valid DDO.
            Unavailable: It cannot be known now.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
