"""Published assets straight from the chain's metadata events, opened with the provider's key."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from cove.core import ddo, json_form
from cove.core.asset import Asset
from cove.core.document import MAX_DOCUMENT_BYTES, decode_document
from cove.core.errors import Invalid, NotFound, Unavailable
from cove.ports import Ledger, MetadataEvent, NftFacts, Vault

FACTS_SECONDS: Final = 3.0
"""How long an NFT's owner and state are believed."""

_FRESH_SECONDS: Final = 1.0
_SCAN_SECONDS: Final = 20.0
_OVERLAP_BLOCKS: Final = 12
_CACHED_FACTS: Final = 10_000
_CACHED_BYTES: Final = 64 << 20
_BYTES_OF_A_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an asset's newest metadata event is; its data is not kept."""

    nft: str
    tx_id: str
    block_number: int
    log_index: int


class OnChainMetadata:
    """Assets of one chain, as ``cove.ports.MetadataStore`` describes it.

    It remembers where each asset's newest event is, and reads the events of new blocks when it is asked for something.
    The last blocks are read again each time, so that a short reorganisation of the chain is seen.

    Args:
        ledger: The chain.
        vault: Opens encrypted documents.
        start_block: First block to look in; 0 looks from the beginning.
        blocks_per_step: How many blocks are asked for at once.
        monotonic: Gives seconds, for the age of what is remembered.
    """

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        *,
        start_block: int = 0,
        blocks_per_step: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._vault = vault
        self._start_block = start_block
        self._blocks_per_step = blocks_per_step
        self._monotonic = monotonic
        self._next_block = start_block
        self._scanned_at = float("-inf")
        self._scanning = asyncio.Lock()
        self._places: dict[str, _Place] = {}
        self._assets: OrderedDict[_Place, Asset | str] = OrderedDict()
        self._cached_bytes = 0
        self._facts: OrderedDict[str, tuple[float, NftFacts | None]] = OrderedDict()

    def knows(self, did: str) -> bool:
        """Say whether an event of the asset was read already; it asks nobody, so False says nothing."""
        return did.lower() in self._places

    async def asset(self, did: str) -> Asset:
        """Give an asset, with its NFT's owner and state of the last few seconds.

        Raises:
            NotFound: No such asset is published, or what is published is no valid DDO of this provider.
            Unavailable: The chain does not answer, or its past is still being read.
        """
        place = await self._place(did.lower())
        if place is None:
            raise NotFound("There is no such asset.", hint="Publish it first, or check the DID.")
        facts = await self._nft(place.nft)
        if facts is None:
            raise NotFound("The asset's NFT was not made by Ocean's factory.")
        found = await self._asset_at(place)
        if isinstance(found, str):
            raise NotFound(found)
        return replace(found, publisher=facts.owner, state=facts.state, metadata_tx=place.tx_id)

    async def close(self) -> None:
        """Nothing is held: the ledger belongs to whoever made it."""

    async def _place(self, did: str) -> _Place | None:
        asked_at = self._monotonic()
        if did not in self._places or asked_at - self._scanned_at > _FRESH_SECONDS:
            await self._scan(asked_at)
        return self._places.get(did)

    async def _scan(self, asked_at: float) -> None:
        """Read the events of new blocks; lookups that come together share one scan."""
        async with self._scanning:
            if self._scanned_at >= asked_at:
                return
            began = self._monotonic()
            head, _ = await self._ledger.head()
            while self._next_block <= head:
                if self._monotonic() - began > _SCAN_SECONDS:
                    raise Unavailable(
                        f"chain {self._ledger.chain_id}",
                        f"chain {self._ledger.chain_id} is still being read: block {self._next_block} of {head}",
                    )
                last = min(head, self._next_block + self._blocks_per_step - 1)
                first = max(self._start_block, self._next_block - _OVERLAP_BLOCKS)
                for event in await self._ledger.metadata_events(first, last):
                    self._note(event)
                self._next_block = last + 1
            self._scanned_at = began

    def _note(self, event: MetadataEvent) -> None:
        place = _place_of(event)
        did = ddo.did_of(event.nft, self._ledger.chain_id)
        known = self._places.get(did)
        if known is None or (known.block_number, known.log_index) <= (place.block_number, place.log_index):
            self._places[did] = place

    async def _asset_at(self, place: _Place) -> Asset | str:
        """Give the asset of an event, or why there is none, which a new event alone can change."""
        known = self._assets.get(place)
        if known is not None:
            self._assets.move_to_end(place)
            return known
        events = await self._ledger.metadata_events(place.block_number, place.block_number)
        event = next((event for event in events if _place_of(event) == place), None)
        if event is None:
            self._forget()
            raise Unavailable(f"chain {self._ledger.chain_id}", "the chain was reorganised; it is read anew")
        found = await asyncio.to_thread(self._open, event)
        self._keep(place, found)
        return found

    def _open(self, event: MetadataEvent) -> Asset | str:
        """Decrypt, check and read a document; it must be that of the NFT that emitted it."""
        try:
            document = decode_document(event.data, event.flags, event.metadata_hash, self._vault.decrypt)
            body = json_form.load(document, "ddo", limit=MAX_DOCUMENT_BYTES)
            asset = ddo.parse(json_form.mapping(body, "ddo"), publisher="", state=event.state)
        except Invalid as problem:
            field, texts = next(iter(problem.errors.items()), ("ddo", [""]))
            return f"What was published under this DID is no valid DDO of this provider ({field}: {' '.join(texts)})"
        own = (ddo.did_of(event.nft, self._ledger.chain_id), event.nft.lower(), self._ledger.chain_id)
        if (asset.did, asset.nft.lower(), asset.chain_id) != own:
            return "What was published under this DID names another asset."
        return asset

    async def _nft(self, address: str) -> NftFacts | None:
        known = self._facts.get(address)
        asked_at = self._monotonic()
        if known is not None and asked_at - known[0] < FACTS_SECONDS:
            return known[1]
        facts = await self._ledger.nft(address)
        self._facts[address] = asked_at, facts
        self._facts.move_to_end(address)
        while len(self._facts) > _CACHED_FACTS:
            self._facts.popitem(last=False)
        return facts

    def _keep(self, place: _Place, found: Asset | str) -> None:
        """Remember an opened document, within a bound on all of them together."""
        before = self._assets.pop(place, None)
        self._cached_bytes += _size_of(found) - (0 if before is None else _size_of(before))
        self._assets[place] = found
        while self._cached_bytes > _CACHED_BYTES and len(self._assets) > 1:
            _, dropped = self._assets.popitem(last=False)
            self._cached_bytes -= _size_of(dropped)

    def _forget(self) -> None:
        self._places.clear()
        self._next_block = self._start_block
        self._scanned_at = float("-inf")


def _place_of(event: MetadataEvent) -> _Place:
    return _Place(event.nft, event.tx_id, event.block_number, event.log_index)


def _size_of(found: Asset | str) -> int:
    return 2 * len(found.document) if isinstance(found, Asset) else _BYTES_OF_A_REASON
