"""What the index of published assets is read from, and where it is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cove.core.assetquery import Narrowing
from cove.core.indexed import ChainEvent, Entry
from cove.ports.chains import NftFacts


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header, as far as the index needs it."""

    number: int
    #: ``0x`` hex.
    hash: str
    parent_hash: str
    #: Unix time.
    time: int


class ChainReader(Protocol):
    """The events of one chain.

    Raises:
        Unavailable: From every method, when the chain does not answer.
    """

    chain_id: int
    #: Address of Ocean's ERC721Factory.
    factory: str

    async def block(self, number: int | None) -> Block | None:
        """Give a block of the chain as it is now; None: the newest one. None when it does not know the block."""
        ...

    async def asset_events(self, first_block: int, last_block: int) -> Sequence[ChainEvent]:
        """Give what the index needs of these blocks, both ends included, in chain order.

        What says that the factory did something was emitted by the factory; everything else may come from any contract.
        """
        ...

    async def asset_events_of(self, block: Block) -> Sequence[ChainEvent]:
        """Give the same of one very block.

        Raises:
            Unavailable: Also when the node that answers does not know this block: nothing is never taken for no events.
        """
        ...

    async def nft(self, address: str) -> NftFacts | None:
        """Give an NFT's owner and state; None when the factory did not make this contract."""
        ...


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a chain was read."""

    chain_id: int
    #: For compare-and-swap writes: whoever writes entries of this chain raises it.
    version: int
    #: Last block that was read.
    block: int
    #: Its hash; empty: nothing was read yet.
    block_hash: str
    #: First block that was looked at.
    start_block: int
    #: Factory that was believed.
    factory: str
    #: Hash of the chain's first block, which tells a chain from one that began anew under its id; empty: not known.
    genesis: str = ""


@dataclass(frozen=True, slots=True)
class Undo:
    """An entry as it was before a block changed it."""

    block: int
    did: str
    #: None: there was none.
    before: Entry | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What reading some blocks brought; stored all or nothing."""

    block: int
    block_hash: str
    entries: Sequence[Entry] = ()
    #: DID by datatoken's address, or by :func:`cove.core.indexed.exchange_key`.
    tokens: Mapping[str, str] = field(default_factory=dict)
    #: Blocks whose hash is kept, beside the last one.
    blocks: Sequence[tuple[int, str]] = ()
    undo: Sequence[Undo] = ()
    #: Hashes and undos of blocks below this one are forgotten; 0 keeps all.
    keep_from: int = 0


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the index of a chain is."""

    chain_id: int
    #: Last block that was read; -1: none.
    block: int
    #: Newest block of the chain; None: not known since the start.
    head: int | None
    #: Seconds since the index was known to be at the head; None: it was not since the start.
    age: float | None
    #: Why the last look failed; empty: it did not.
    problem: str

    @property
    def behind(self) -> int | None:
        """Give how many blocks are still to be read; None: not known."""
        return None if self.head is None else max(0, self.head - self.block)


class IndexStore(Protocol):
    """Keeps the index. Each method that writes is one transaction."""

    async def cursor(self, chain_id: int) -> Cursor | None:
        """Say how far a chain was read; None: it was never begun."""
        ...

    async def begin(self, cursor: Cursor) -> Cursor:
        """Forget all of a chain and begin it anew, at this cursor; give it as it was stored.

        Raises:
            StaleWrite: Its version is not that of the stored one (0 where there is none).
        """
        ...

    async def advance(self, cursor: Cursor, progress: Progress) -> Cursor:
        """Store what reading on brought, and give the new cursor.

        Raises:
            StaleWrite: Somebody else read on from this cursor meanwhile; nothing was stored.
        """
        ...

    async def rewind(self, cursor: Cursor, block: int, block_hash: str) -> Cursor:
        """Take everything back that was read after a block whose hash is kept, and give the new cursor.

        Raises:
            StaleWrite: As for :meth:`advance`.
        """
        ...

    async def blocks(self, chain_id: int) -> Sequence[tuple[int, str]]:
        """Give number and hash of the blocks that are kept, the newest first."""
        ...

    async def entry(self, did: str) -> Entry | None:
        """Give one entry."""
        ...

    async def entries(self, dids: Collection[str]) -> Mapping[str, Entry]:
        """Give entries by DID, those that there are."""
        ...

    async def tokens(self, chain_id: int, addresses: Collection[str]) -> Mapping[str, str]:
        """Give the DID of each of these datatokens and exchanges that belongs to an NFT of the factory's."""
        ...

    async def unread(self, chain_id: int, reader: str, limit: int) -> Sequence[Entry]:
        """Give entries whose newest document another reader could not read, at most ``limit``."""
        ...

    async def shown(self, narrowing: Narrowing, after: str, limit: int) -> Sequence[Entry]:
        """Give entries that may be shown and were narrowed down to, by rising DID.

        Args:
            narrowing: Which.
            after: DIDs above this one; empty: from the beginning.
            limit: At most so many.
        """
        ...
