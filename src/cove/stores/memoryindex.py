"""The index of published assets in this process, gone with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cove.core.assetquery import Narrowing
from cove.core.errors import StaleWrite
from cove.core.indexed import Entry, is_shown
from cove.ports import Cursor, Progress, Undo


@dataclass(slots=True)
class _Chain:
    cursor: Cursor
    blocks: dict[int, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    undo: dict[tuple[int, str], Undo] = field(default_factory=dict)


class MemoryIndexStore:
    """An ``IndexStore`` that keeps nothing."""

    def __init__(self) -> None:
        self._chains: dict[int, _Chain] = {}
        self._entries: dict[str, Entry] = {}

    async def cursor(self, chain_id: int) -> Cursor | None:
        """Say how far a chain was read; None: it was never begun."""
        known = self._chains.get(chain_id)
        return None if known is None else known.cursor

    async def begin(self, cursor: Cursor) -> Cursor:
        """Forget all of a chain and begin it anew."""
        known = self._chains.get(cursor.chain_id)
        if (0 if known is None else known.cursor.version) != cursor.version:
            raise _stale(cursor)
        self._entries = {did: entry for did, entry in self._entries.items() if entry.chain_id != cursor.chain_id}
        after = replace(cursor, version=cursor.version + 1)
        self._chains[cursor.chain_id] = _Chain(after)
        return after

    async def advance(self, cursor: Cursor, progress: Progress) -> Cursor:
        """Store what reading on brought, and give the new cursor."""
        chain = self._moved(cursor, progress.block, progress.block_hash)
        self._entries.update({entry.did: entry for entry in progress.entries})
        chain.tokens.update(progress.tokens)
        for one in progress.undo:
            chain.undo.setdefault((one.block, one.did), one)
        blocks = (*progress.blocks, (progress.block, progress.block_hash))
        chain.blocks.update({number: block_hash for number, block_hash in blocks if block_hash})
        chain.blocks = {number: name for number, name in chain.blocks.items() if number >= progress.keep_from}
        chain.undo = {key: one for key, one in chain.undo.items() if one.block >= progress.keep_from}
        return chain.cursor

    async def rewind(self, cursor: Cursor, block: int, block_hash: str) -> Cursor:
        """Take everything back that was read after a block whose hash is kept."""
        chain = self._moved(cursor, block, block_hash)
        for key in sorted((key for key in chain.undo if key[0] > block), reverse=True):
            one = chain.undo.pop(key)
            if one.before is None:
                self._entries.pop(one.did, None)
            else:
                self._entries[one.did] = one.before
        chain.blocks = {number: name for number, name in chain.blocks.items() if number <= block}
        return chain.cursor

    async def blocks(self, chain_id: int) -> Sequence[tuple[int, str]]:
        """Give number and hash of the blocks that are kept, the newest first."""
        known = self._chains.get(chain_id)
        return [] if known is None else sorted(known.blocks.items(), reverse=True)

    async def entry(self, did: str) -> Entry | None:
        """Give one entry."""
        return self._entries.get(did)

    async def entries(self, dids: Collection[str]) -> Mapping[str, Entry]:
        """Give entries by DID, those that there are."""
        return {did: self._entries[did] for did in dids if did in self._entries}

    async def tokens(self, chain_id: int, addresses: Collection[str]) -> Mapping[str, str]:
        """Give the DID of each of these datatokens and exchanges."""
        known = self._chains.get(chain_id)
        return {} if known is None else {key: known.tokens[key] for key in addresses if key in known.tokens}

    async def unread(self, chain_id: int, reader: str, limit: int) -> Sequence[Entry]:
        """Give entries whose newest document another reader could not read."""
        of_chain = (entry for _, entry in sorted(self._entries.items()) if entry.chain_id == chain_id)
        return [entry for entry in of_chain if entry.reader not in {"", reader}][:limit]

    async def shown(self, narrowing: Narrowing, after: str, limit: int) -> Sequence[Entry]:
        """Give entries that may be shown and were narrowed down to, by rising DID."""
        above = (entry for did, entry in sorted(self._entries.items()) if did > after)
        return [entry for entry in above if is_shown(entry) and _among(entry, narrowing)][:limit]

    def _moved(self, cursor: Cursor, block: int, block_hash: str) -> _Chain:
        chain = self._chains.get(cursor.chain_id)
        if chain is None or chain.cursor.version != cursor.version:
            raise _stale(cursor)
        chain.cursor = replace(chain.cursor, version=cursor.version + 1, block=block, block_hash=block_hash)
        return chain


def _among(entry: Entry, narrowing: Narrowing) -> bool:
    return (
        (narrowing.dids is None or entry.did in narrowing.dids)
        and (narrowing.chain_ids is None or entry.chain_id in narrowing.chain_ids)
        and (narrowing.owners is None or entry.owner.lower() in narrowing.owners)
        and (narrowing.types is None or entry.type in narrowing.types)
    )


def _stale(cursor: Cursor) -> StaleWrite:
    return StaleWrite(f"The index of chain {cursor.chain_id} was written by somebody else.")
