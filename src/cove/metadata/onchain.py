"""Published assets straight from the chain's events, by the index of them."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from cove.core import ddo, indexed
from cove.core.asset import Asset
from cove.core.errors import Invalid, NotFound
from cove.core.indexed import Entry
from cove.metadata.indexer import Indexer
from cove.ports import IndexStore

BELIEVED_SECONDS: Final = 1.0
"""How long it is believed that the chain has no newer block; then a lookup asks for it."""

_CACHED_BYTES: Final = 64 << 20
_BYTES_BESIDE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Known:
    """An asset that was looked up, good for as long as the index does not change."""

    version: int
    entry: Entry
    #: None where there is no document to give.
    asset: Asset | None


class OnChainMetadata:
    """Assets of one chain, as ``cove.ports.MetadataStore`` describes it.

    Args:
        indexer: Reads the chain.
        index: What it reads into.
        believed_seconds: How long it is believed that the chain has no newer block.
        monotonic: Gives seconds.
    """

    def __init__(
        self,
        indexer: Indexer,
        index: IndexStore,
        *,
        believed_seconds: float = BELIEVED_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.indexer = indexer
        self._index = index
        self._believed = believed_seconds
        self._monotonic = monotonic
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._cached_bytes = 0

    def knows(self, did: str) -> bool:
        """Say whether the asset was looked up before; it asks nobody, so False says nothing."""
        return did.lower() in self._known

    async def asset(self, did: str) -> Asset:
        """Give an asset, with its NFT's owner and state as of the newest block of the last second.

        Raises:
            NotFound: No such asset is published, or what is published is no valid DDO of this provider.
            Unavailable: The chain does not answer, or its past is still being read.
        """
        did = did.lower()
        asked_at = self._monotonic()
        known = await self._look_up(did) if asked_at - self.indexer.synced_at <= self._believed else None
        if known is None or known.asset is None:  # what is published in two steps may be between them
            await self.indexer.sync(asked_at)
            known = await self._look_up(did)
        if known is None:
            raise NotFound("There is no such asset.", hint="Publish it first, or check the DID.")
        if known.asset is None:
            raise NotFound(known.entry.reason)
        return known.asset

    async def close(self) -> None:
        """Nothing is held: chain and database belong to whoever made them."""

    async def _look_up(self, did: str) -> _Known | None:
        before = self._known.get(did)
        version = self.indexer.version
        if before is not None and before.version == version:
            self._known.move_to_end(did)
            return before
        entry = await self._index.entry(did)
        if entry is None or entry.chain_id != self.indexer.chain_id:
            return None
        known = _Known(version, entry, _asset_of(entry, before))
        self._remember(did, known)
        return known

    def _remember(self, did: str, known: _Known) -> None:
        """Remember an asset, within a bound on all of them together."""
        before = self._known.pop(did, None)
        self._cached_bytes += _size_of(known) - (0 if before is None else _size_of(before))
        self._known[did] = known
        while self._cached_bytes > _CACHED_BYTES and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self._cached_bytes -= _size_of(dropped)


def _asset_of(entry: Entry, before: _Known | None) -> Asset | None:
    """Give the asset of an entry; its document, which was read before it was stored, is the one that caches serve."""
    if before is not None and before.entry == entry:
        return before.asset
    if not (entry.made and entry.document):
        return None
    try:
        asset = ddo.parse(json.loads(entry.document), publisher=entry.owner, state=entry.state)
    except Invalid:  # a way to read that was less strict stored it
        return None
    document = json.dumps(indexed.served(entry), ensure_ascii=False, separators=(",", ":"))
    return replace(asset, document=document)


def _size_of(known: _Known) -> int:
    return _BYTES_BESIDE + 4 * len(known.entry.document)
