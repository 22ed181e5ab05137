"""A chain whose blocks a test writes, with nodes that are behind, lack things, or change their mind."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cove.core.ddo import did_of
from cove.core.errors import Unavailable
from cove.core.indexed import At, ChainEvent, Described, NftMade, OwnerChanged
from cove.ports import Block, NftFacts

CHAIN = 8996
FACTORY = "0x" + "fA" * 20
OWNER = "0x2222222222222222222222222222222222222222"
OTHER = "0x3333333333333333333333333333333333333333"
DATATOKEN = "0x1111111111111111111111111111111111111111"
NOWHERE = At(0, "", 0, "")


class Clear:
    """A vault of documents in clear; what begins with a zero byte is another provider's."""

    def decrypt(self, cipher: bytes) -> bytes:
        raise AssertionError(cipher)


def nft_of(number: int) -> str:
    return "0x" + f"{number + 0x10:040x}"


def did(number: int) -> str:
    return did_of(nft_of(number), CHAIN)


def ddo(number: int, name: str = "A table", **changes: Any) -> dict[str, Any]:
    service = {"id": "0", "type": "access", "datatokenAddress": DATATOKEN, "serviceEndpoint": "http://p",
               "files": "0x04ab", "timeout": 0}  # fmt: skip
    metadata = {"type": "dataset", "name": name, "description": "d", "author": "a", "license": "l"}
    return {"@context": ["https://w3id.org/did/v1"], "id": did(number), "version": "4.1.0", "chainId": CHAIN,
            "nftAddress": nft_of(number), "metadata": metadata, "services": [service], **changes}  # fmt: skip


def described(number: int, name: str = "A table", *, state: int = 0, plain: bytes | None = None) -> Described:
    """Give the event that publishes an NFT's DDO, in clear."""
    document = json.dumps(ddo(number, name)).encode() if plain is None else plain
    digest = hashlib.sha256(document).digest()
    return Described(NOWHERE, nft_of(number), OWNER, state, 0, document, digest, 1_700_000_000 + number)


def published(number: int, name: str = "A table") -> list[ChainEvent]:
    """Give all events of a new asset."""
    nft = nft_of(number)
    made = NftMade(NOWHERE, nft, f"NFT {number}", "N", "uri")
    return [made, OwnerChanged(NOWHERE, nft, OWNER), described(number, name)]


@dataclass
class Scripted:
    """A ``ChainReader``. Every change makes blocks; :meth:`take_back` drops the newest ones."""

    chain_id: int = CHAIN
    factory: str = FACTORY
    blocks: list[Block] = field(default_factory=list)
    events: dict[str, list[ChainEvent]] = field(default_factory=dict)
    #: What was asked, with its arguments.
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    #: Blocks that the node which answers for logs and for the head knows; None: all.
    known: int | None = None
    #: NFTs that the factory made before anybody looked.
    facts: dict[str, NftFacts] = field(default_factory=dict)
    down: bool = False
    #: Set when somebody asked while it was down.
    turned_away: asyncio.Event = field(default_factory=asyncio.Event)
    salt: str = ""

    def __post_init__(self) -> None:
        self.mine()

    def mine(self, *events: ChainEvent) -> Block:
        """Make a block with these events in it."""
        number = len(self.blocks)
        parent = self.blocks[-1].hash if self.blocks else "0x" + "0" * 64
        name = "0x" + hashlib.sha256(f"{parent}{number}{self.salt}{events}".encode()).hexdigest()
        block = Block(number, name, parent, 1_700_000_000 + number)
        self.blocks.append(block)
        placed = []
        for log, event in enumerate(events):
            tx_id = "0x" + hashlib.sha256(f"{name}{log}".encode()).hexdigest()
            placed.append(replace(event, at=At(number, name, log, tx_id)))
        self.events[name] = placed
        return block

    def take_back(self, count: int, salt: str = "fork") -> None:
        """Forget the newest blocks; what is mined from now on has other hashes."""
        del self.blocks[-count:]
        self.salt += salt

    async def block(self, number: int | None) -> Block | None:
        self._ask("block", number)
        seen = self.blocks[: self.known]
        if number is None:
            return seen[-1]
        return self.blocks[number] if number < len(self.blocks) else None

    async def asset_events(self, first_block: int, last_block: int) -> Sequence[ChainEvent]:
        self._ask("range", first_block, last_block)
        seen = self.blocks[: self.known][first_block : last_block + 1]
        return [event for block in seen for event in self.events[block.hash]]

    async def asset_events_of(self, block: Block) -> Sequence[ChainEvent]:
        self._ask("one", block.number)
        if block not in self.blocks[: self.known]:
            raise Unavailable("chain 8996", "unknown block")
        return list(self.events[block.hash])

    async def nft(self, address: str) -> NftFacts | None:
        self._ask("nft", address)
        return self.facts.get(address)

    def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.down:
            self.turned_away.set()
            raise Unavailable("chain 8996")
