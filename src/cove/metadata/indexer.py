"""Reads a chain's metadata events into the index, goes on where it was, and takes back what the chain took back.

Two ways to read. Blocks that lie deep are asked for by ranges. The newest ones are asked for one by one and *by their
hash*: a node that is behind gives an empty list for numbers that it does not have yet, and refuses a hash that it does
not know, so that no gap is taken for silence. Of these, the hash is kept, and how every entry was before.

More than one Cove may read into one database: whoever stores first wins, and the other one goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from cove.core.errors import NoSpace, StaleWrite, Unavailable
from cove.core.indexed import ChainEvent
from cove.metadata.applying import Changes, Sources, changes_of, read_anew
from cove.ports import Block, Cursor, Lag, Progress, Undo

NEAR_BLOCKS: Final = 64
"""How many of the newest blocks may be taken back by the chain; deeper ones make everything be read anew."""

_HEADERS_AT_ONCE: Final = 8
_SMALLEST_STEP: Final = 50
_LARGEST_STEP: Final = 10_000
_EVENTS_AT_ONCE: Final = 500
_ANEW_AT_ONCE: Final = 50
_PATIENCE_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 0.2

log = logging.getLogger("cove.metadata")


class Indexer:
    """Reads one chain into the index.

    Args:
        sources: The chain, the key, and where the index is kept.
        start_block: First block to look in; 0 looks from the beginning.
        near_blocks: How many of the newest blocks the chain may take back.
        monotonic: Gives seconds.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        start_block: int = 0,
        near_blocks: int = NEAR_BLOCKS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.chain_id = sources.chain.chain_id
        self._part = f"chain {self.chain_id}"
        self._sources = sources
        self._chain = sources.chain
        self._index = sources.index
        self._start_block = start_block
        self._near = near_blocks
        self._monotonic = monotonic
        self._syncing = asyncio.Lock()
        self._step = 2_000
        self._checked_start = False
        self._tried_anew = False
        self._cursor: Cursor | None = None
        self._head: Block | None = None
        self._problem = ""
        #: When the index was last known to be at the head; the clock's time.
        self.synced_at = float("-inf")
        #: Raised whenever entries may have changed.
        self.version = 0

    def lag(self) -> Lag:
        """Say how far the index is, without asking anybody."""
        age = self._monotonic() - self.synced_at
        return Lag(
            self.chain_id,
            -1 if self._cursor is None else self._cursor.block,
            None if self._head is None else self._head.number,
            None if age == float("inf") else age,
            self._problem,
        )

    async def sync(self, asked_at: float | None = None, patience: float | None = _PATIENCE_SECONDS) -> None:
        """Read on to the chain's head; those who ask at the same time share it.

        Args:
            asked_at: The clock's time at which the index must have been at the head; None: now.
            patience: Seconds after which it gives up, and goes on at the next call; None: never.

        Raises:
            Unavailable: The chain does not answer, or its past is still being read.
        """
        asked_at = self._monotonic() if asked_at is None else asked_at
        try:
            async with asyncio.timeout(patience):
                await self._syncing.acquire()
        except TimeoutError:
            raise self._still() from None
        try:
            if self.synced_at < asked_at:
                await self._sync(None if patience is None else self._monotonic() + patience)
        except (Unavailable, NoSpace) as problem:
            self._problem = problem.message
            raise
        finally:
            self._syncing.release()

    async def run(self, seconds: float) -> None:
        """Look for new blocks for ever; a chain that does not answer is asked again.

        Args:
            seconds: Between two looks.
        """
        told = ""
        while True:
            try:
                await self.sync(patience=None)
            except (Unavailable, NoSpace) as problem:
                if problem.message != told:
                    log.warning("the index of %s waits: %s", self._part, problem.message)
                told = problem.message
            else:
                told = ""
            await asyncio.sleep(seconds)

    # ------------------------------------------------------------------------------------------ reading on

    async def _sync(self, deadline: float | None) -> None:
        began = self._monotonic()
        head = await self._chain.block(None)
        if head is None:
            raise Unavailable(self._part)
        self._head = head
        cursor = await self._begun()
        if cursor.block_hash and (head.number, head.hash) != (cursor.block, cursor.block_hash):
            try:
                cursor = await self._on_the_chain(cursor, head)
            except StaleWrite:  # another Cove took the same blocks back
                cursor = await self._begun()
        while cursor.block < head.number:
            if deadline is not None and self._monotonic() > deadline:
                raise self._still()
            try:
                cursor = await self._read_on(cursor, head)
            except StaleWrite:
                await asyncio.sleep(_PAUSE_SECONDS)  # another Cove reads this chain: it may go first
                cursor = await self._begun()
        self._problem = ""
        self.synced_at = began
        if not self._tried_anew:
            await self._read_anew(cursor)

    async def _begun(self) -> Cursor:
        """Give the stored cursor, of a chain that is begun anew where it is not the one that was read."""
        cursor = await self._index.cursor(self.chain_id)
        if cursor is None or not self._checked_start:
            first = await self._chain.block(0)
            genesis = "" if first is None else first.hash
            if cursor is None or self._is_another(cursor, genesis):
                cursor = await self._anew(cursor, genesis)
            self._checked_start = True
        self._moved(cursor, changed=self._cursor is None or cursor.version != self._cursor.version)
        return cursor

    def _is_another(self, cursor: Cursor, genesis: str) -> bool:
        return (
            self._start_block < cursor.start_block
            or cursor.factory.lower() != self._chain.factory.lower()
            or (genesis != cursor.genesis and "" not in {genesis, cursor.genesis})
        )

    async def _anew(self, cursor: Cursor | None, genesis: str) -> Cursor:
        if cursor is not None:
            log.warning("%s is read anew from block %d", self._part, self._start_block)
        version = 0 if cursor is None else cursor.version
        before = self._start_block - 1
        wanted = Cursor(self.chain_id, version, before, "", self._start_block, self._chain.factory, genesis)
        try:
            return await self._index.begin(wanted)
        except StaleWrite:
            found = await self._index.cursor(self.chain_id)
            if found is None:
                raise Unavailable(self._part) from None
            return found

    def _moved(self, cursor: Cursor, *, changed: bool = True) -> None:
        self._cursor = cursor
        self.version += changed

    async def _store(self, cursor: Cursor, progress: Progress) -> Cursor:
        after = await self._index.advance(cursor, progress)
        self._moved(after, changed=bool(progress.entries))
        return after

    async def _on_the_chain(self, cursor: Cursor, head: Block) -> Cursor:
        """Give the cursor, moved back to where it is on the chain as it is now."""
        if head.number > cursor.block:
            found = await self._chain.block(cursor.block)
            if found is None:
                raise Unavailable(self._part, f"{self._part} does not give block {cursor.block}")
            if found.hash == cursor.block_hash:
                return cursor
        kept = await self._index.blocks(self.chain_id)
        if head.number <= cursor.block and (head.number, head.hash) in kept:
            return cursor  # this node is behind, and has nothing else to tell
        for number, block_hash in kept:
            if number > head.number:
                continue
            found = await self._chain.block(number)
            if found is None:
                raise Unavailable(self._part, f"{self._part} does not give block {number}")
            if found.hash == block_hash:
                log.warning("%s took back blocks after %d", self._part, number)
                after = await self._index.rewind(cursor, number, block_hash)
                self._moved(after)
                return after
        first = await self._chain.block(0)
        genesis = cursor.genesis if first is None else first.hash
        if genesis == cursor.genesis and all(number > head.number for number, _ in kept):
            raise Unavailable(self._part, f"{self._part} is behind: its newest block is {head.number}")
        after = await self._anew(cursor, genesis)
        self._moved(after)
        return after

    async def _read_on(self, cursor: Cursor, head: Block) -> Cursor:
        deep = head.number - self._near
        if cursor.block < deep:
            return await self._read_deep(cursor, deep)
        return await self._read_near(cursor, head)

    async def _read_deep(self, cursor: Cursor, deep: int) -> Cursor:
        last = min(cursor.block + self._step, deep)
        events = await self._chain.asset_events(cursor.block + 1, last)
        end = await self._chain.block(last)
        if end is None:
            raise Unavailable(self._part, f"{self._part} does not give block {last}")
        self._step = _next_step(self._step, len(events))
        for part in _slices(events):
            block, block_hash = part[-1].at.block, part[-1].at.block_hash
            if part[-1] is events[-1]:
                block, block_hash = last, end.hash
            found = await changes_of(self._sources, part)
            progress = Progress(block, block_hash, tuple(found.entries.values()), found.tokens, keep_from=block)
            cursor = await self._store(cursor, progress)
        if not events:
            cursor = await self._store(cursor, Progress(last, end.hash, keep_from=last))
        return cursor

    async def _read_near(self, cursor: Cursor, head: Block) -> Cursor:
        last = min(cursor.block + _HEADERS_AT_ONCE, head.number)
        found = await asyncio.gather(*(self._chain.block(number) for number in range(cursor.block + 1, last + 1)))
        blocks = _linked(found, cursor.block_hash)
        if not blocks:
            raise Unavailable(self._part, f"{self._part} changes while it is read")
        logs = await asyncio.gather(*(self._chain.asset_events_of(block) for block in blocks))
        all_changes = Changes()
        undo: list[Undo] = []
        for block, events in zip(blocks, logs, strict=True):
            if events:
                one = await changes_of(self._sources, events, all_changes)
                undo += [Undo(block.number, did, before) for did, before in one.before.items()]
                all_changes.entries |= one.entries
                all_changes.tokens |= one.tokens
        progress = Progress(
            blocks[-1].number,
            blocks[-1].hash,
            tuple(all_changes.entries.values()),
            all_changes.tokens,
            blocks=[(block.number, block.hash) for block in blocks],
            undo=undo,
            keep_from=max(0, head.number - 2 * self._near),
        )
        return await self._store(cursor, progress)

    async def _read_anew(self, cursor: Cursor) -> None:
        """Try a few of the documents once more that another reader could not read."""
        unread = await self._index.unread(self.chain_id, self._sources.reader, _ANEW_AT_ONCE)
        self._tried_anew = not unread
        if unread:
            try:
                entries = [await read_anew(self._sources, entry) for entry in unread]
                await self._store(cursor, Progress(cursor.block, cursor.block_hash, entries))
            except (StaleWrite, Unavailable) as problem:
                log.info("%s: documents are tried anew later: %s", self._part, problem.message)

    def _still(self) -> Unavailable:
        block = -1 if self._cursor is None else self._cursor.block
        head = "its head" if self._head is None else str(self._head.number)
        return Unavailable(self._part, f"{self._part} is still being read: block {max(0, block)} of {head}")


def _next_step(step: int, events: int) -> int:
    """Give how many blocks are asked for next, so that what comes back fits into memory and is worth a question."""
    if events > 2 * _EVENTS_AT_ONCE:
        return max(_SMALLEST_STEP, step // 2)
    return min(_LARGEST_STEP, step * 2) if events < _EVENTS_AT_ONCE else step


def _slices(events: Sequence[ChainEvent]) -> list[Sequence[ChainEvent]]:
    """Cut events into parts that are stored together; a block's events stay together."""
    parts: list[Sequence[ChainEvent]] = []
    start = 0
    while start < len(events):
        end = min(start + _EVENTS_AT_ONCE, len(events))
        while end < len(events) and events[end].at.block == events[end - 1].at.block:
            end += 1
        parts.append(events[start:end])
        start = end
    return parts


def _linked(blocks: Sequence[Block | None], parent: str) -> list[Block]:
    """Give the blocks that follow each other on one chain, up to where one is missing or stands on another."""
    linked: list[Block] = []
    for block in blocks:
        if block is None or (parent and block.parent_hash != parent):
            break
        linked.append(block)
        parent = block.hash
    return linked
