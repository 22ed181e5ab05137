"""The index of published assets in SQLite or PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import BindParameter, Connection, Select, bindparam, delete, select, text, update

from cove.core.assetquery import Narrowing
from cove.core.errors import StaleWrite
from cove.core.indexed import Entry, decode, encode, is_shown
from cove.ports import Cursor, Progress
from cove.stores.indextables import (
    IS_SHOWN,
    IS_UNREAD,
    index_assets,
    index_blocks,
    index_chains,
    index_tokens,
    index_undo,
)
from cove.stores.prepared import Prepared
from cove.stores.sql import SqlJobStore

_AT_ONCE: Final = 500
_CHAIN: Final[BindParameter[Any]] = bindparam("chain_id")

_STORED: Final[Select[Any]] = select(index_assets.c.record, index_assets.c.document)
_BY_DID: Final = _STORED.where(index_assets.c.did == bindparam("did"))
_BY_DIDS: Final = _STORED.where(index_assets.c.did.in_(bindparam("dids", expanding=True)))
_UNREAD: Final = (
    _STORED.where(IS_UNREAD, index_assets.c.chain_id == _CHAIN, index_assets.c.reader != bindparam("reader"))
    .order_by(index_assets.c.did)
    .limit(bindparam("limit"))
)
_CURSOR: Final = select(index_chains).where(index_chains.c.chain_id == _CHAIN)
_BLOCKS: Final = (
    select(index_blocks.c.number, index_blocks.c.hash)
    .where(index_blocks.c.chain_id == _CHAIN)
    .order_by(index_blocks.c.number.desc())
)
_TOKENS: Final[Select[Any]] = select(index_tokens.c.address, index_tokens.c.did).where(
    index_tokens.c.chain_id == _CHAIN, index_tokens.c.address.in_(bindparam("addresses", expanding=True))
)
_UNDO: Final = (
    select(index_undo.c.did, index_undo.c.before)
    .where(index_undo.c.chain_id == _CHAIN, index_undo.c.block > bindparam("after"))
    .order_by(index_undo.c.block.desc())
)
_MOVE: Final = Prepared(
    update(index_chains)
    .where(index_chains.c.chain_id == bindparam("of_chain"), index_chains.c.version == bindparam("read_version"))
    .values(version=index_chains.c.version + 1, block=bindparam("to"), block_hash=bindparam("to_hash"))
    .returning(index_chains.c.version)
)
_PUT_ENTRY: Final = text(
    "INSERT INTO index_assets (did, chain_id, shown, owner, type, reader, record, document) "
    "VALUES (:did, :chain_id, :shown, :owner, :type, :reader, :record, :document) "
    "ON CONFLICT (did) DO UPDATE SET shown = excluded.shown, owner = excluded.owner, type = excluded.type, "
    "reader = excluded.reader, record = excluded.record, document = excluded.document"
)
_PUT_BLOCK: Final = text(
    "INSERT INTO index_blocks (chain_id, number, hash) VALUES (:chain_id, :number, :hash) "
    "ON CONFLICT (chain_id, number) DO UPDATE SET hash = excluded.hash"
)
_PUT_TOKEN: Final = text(
    "INSERT INTO index_tokens (chain_id, address, did) VALUES (:chain_id, :address, :did) "
    "ON CONFLICT (chain_id, address) DO UPDATE SET did = excluded.did"
)
_PUT_UNDO: Final = text(
    "INSERT INTO index_undo (chain_id, block, did, before) VALUES (:chain_id, :block, :did, :before) "
    "ON CONFLICT (chain_id, block, did) DO NOTHING"
)

T = TypeVar("T")


class SqlIndexStore:
    """An ``IndexStore`` in a database.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
    """

    def __init__(self, jobs: SqlJobStore) -> None:
        self._database = jobs.database
        self._by_did = self._database.point_read(_BY_DID, "did")

    async def cursor(self, chain_id: int) -> Cursor | None:
        """Say how far a chain was read; None: it was never begun."""
        return await self._database.read(lambda connection: _cursor(connection, chain_id))

    async def begin(self, cursor: Cursor) -> Cursor:
        """Forget all of a chain and begin it anew."""
        return await self._database.write(lambda connection: _begin(connection, cursor))

    async def advance(self, cursor: Cursor, progress: Progress) -> Cursor:
        """Store what reading on brought, and give the new cursor."""
        return await self._database.write(lambda connection: _advance(connection, cursor, progress))

    async def rewind(self, cursor: Cursor, block: int, block_hash: str) -> Cursor:
        """Take everything back that was read after a block whose hash is kept."""
        return await self._database.write(lambda connection: _rewind(connection, cursor, block, block_hash))

    async def blocks(self, chain_id: int) -> Sequence[tuple[int, str]]:
        """Give number and hash of the blocks that are kept, the newest first."""
        rows = await self._database.read(lambda connection: connection.execute(_BLOCKS, {"chain_id": chain_id}).all())
        return [(number, block_hash) for number, block_hash in rows]

    async def entry(self, did: str) -> Entry | None:
        """Give one entry."""
        row = await self._by_did(did)
        return None if row is None else decode(row[0], row[1])

    async def entries(self, dids: Collection[str]) -> Mapping[str, Entry]:
        """Give entries by DID, those that there are."""
        found = await self._database.read(
            lambda connection: [
                entry for part in _parts(dids) for entry in map(_decoded, connection.execute(_BY_DIDS, {"dids": part}))
            ]
        )
        return {entry.did: entry for entry in found}

    async def tokens(self, chain_id: int, addresses: Collection[str]) -> Mapping[str, str]:
        """Give the DID of each of these datatokens and exchanges."""
        rows = await self._database.read(
            lambda connection: [
                row
                for part in _parts(addresses)
                for row in connection.execute(_TOKENS, {"chain_id": chain_id, "addresses": part})
            ]
        )
        return {row[0]: row[1] for row in rows}

    async def unread(self, chain_id: int, reader: str, limit: int) -> Sequence[Entry]:
        """Give entries whose newest document another reader could not read."""
        asked = {"chain_id": chain_id, "reader": reader, "limit": limit}
        return await self._database.read(
            lambda connection: [_decoded(row) for row in connection.execute(_UNREAD, asked)]
        )

    async def shown(self, narrowing: Narrowing, after: str, limit: int) -> Sequence[Entry]:
        """Give entries that may be shown and were narrowed down to, by rising DID."""
        columns = (
            (index_assets.c.did, narrowing.dids),
            (index_assets.c.chain_id, narrowing.chain_ids),
            (index_assets.c.owner, narrowing.owners),
            (index_assets.c.type, narrowing.types),
        )
        statement = _STORED.where(IS_SHOWN, index_assets.c.did > after).order_by(index_assets.c.did).limit(limit)
        for column, wanted in columns:
            if wanted is not None:
                statement = statement.where(column.in_(sorted(wanted)))
        return await self._database.read(lambda connection: [_decoded(row) for row in connection.execute(statement)])


def _decoded(row: Any) -> Entry:  # noqa: ANN401 - a row of the driver
    return decode(row[0], row[1])


def _parts(values: Collection[T]) -> Iterator[list[T]]:
    remaining = iter(values)
    while part := list(islice(remaining, _AT_ONCE)):
        yield part


def _cursor(connection: Connection, chain_id: int) -> Cursor | None:
    row = connection.execute(_CURSOR, {"chain_id": chain_id}).mappings().one_or_none()
    return None if row is None else Cursor(**row)


def _begin(connection: Connection, cursor: Cursor) -> Cursor:
    stored = _cursor(connection, cursor.chain_id)
    if (0 if stored is None else stored.version) != cursor.version:
        raise _stale(cursor)
    after = replace(cursor, version=cursor.version + 1)
    values = {name: getattr(after, name) for name in index_chains.c.keys()}  # noqa: SIM118 - columns, not names
    if stored is None:
        # Of two that begin at the same time one waits here, and then finds the row.
        made = connection.execute(
            text(
                "INSERT INTO index_chains (chain_id, version, block, block_hash, start_block, factory, genesis) VALUES "
                "(:chain_id, :version, :block, :block_hash, :start_block, :factory, :genesis) "
                "ON CONFLICT (chain_id) DO NOTHING"
            ),
            values,
        )
        if made.rowcount != 1:
            raise _stale(cursor)
        return after
    _move(connection, cursor, cursor.block, cursor.block_hash)
    connection.execute(update(index_chains).where(index_chains.c.chain_id == cursor.chain_id).values(values))
    for table in (index_assets, index_blocks, index_tokens, index_undo):
        connection.execute(delete(table).where(table.c.chain_id == cursor.chain_id))
    return after


def _advance(connection: Connection, cursor: Cursor, progress: Progress) -> Cursor:
    # First, so that of two services the second one waits here and then has nothing to undo.
    after = _move(connection, cursor, progress.block, progress.block_hash)
    chain = {"chain_id": cursor.chain_id}
    undo = [
        {**chain, "block": one.block, "did": one.did, "before": None if one.before is None else _whole(one.before)}
        for one in progress.undo
    ]
    blocks = [*progress.blocks, (progress.block, progress.block_hash)]
    for statement, rows in (
        (_PUT_ENTRY, [_columns(entry) for entry in progress.entries]),
        (_PUT_TOKEN, [{**chain, "address": key, "did": did} for key, did in sorted(progress.tokens.items())]),
        (_PUT_UNDO, undo),
        (_PUT_BLOCK, [{**chain, "number": number, "hash": block_hash} for number, block_hash in blocks if block_hash]),
    ):
        if rows:
            connection.execute(statement, rows)
    if progress.keep_from:
        for table, column in ((index_blocks, index_blocks.c.number), (index_undo, index_undo.c.block)):
            connection.execute(delete(table).where(table.c.chain_id == cursor.chain_id, column < progress.keep_from))
    return after


def _rewind(connection: Connection, cursor: Cursor, block: int, block_hash: str) -> Cursor:
    after = _move(connection, cursor, block, block_hash)
    # The newest first: what stands last is what was there before the first of the blocks.
    undone = connection.execute(_UNDO, {"chain_id": cursor.chain_id, "after": block})
    before: dict[str, str | None] = {row[0]: row[1] for row in undone}
    gone = [did for did, stored in before.items() if stored is None]
    for part in _parts(gone):
        connection.execute(delete(index_assets).where(index_assets.c.did.in_(part)))
    kept = [_columns(decode(*json.loads(stored))) for stored in before.values() if stored is not None]
    if kept:
        connection.execute(_PUT_ENTRY, kept)
    for table, column in ((index_blocks, index_blocks.c.number), (index_undo, index_undo.c.block)):
        connection.execute(delete(table).where(table.c.chain_id == cursor.chain_id, column > block))
    return after


def _move(connection: Connection, cursor: Cursor, block: int, block_hash: str) -> Cursor:
    values = {"of_chain": cursor.chain_id, "read_version": cursor.version, "to": block, "to_hash": block_hash}
    if not _MOVE.rows(connection, values):
        raise _stale(cursor)
    return replace(cursor, version=cursor.version + 1, block=block, block_hash=block_hash)


def _columns(entry: Entry) -> dict[str, Any]:
    return {
        "did": entry.did,
        "chain_id": entry.chain_id,
        "shown": int(is_shown(entry)),
        "owner": entry.owner.lower(),
        "type": entry.type,
        "reader": entry.reader,
        "record": encode(entry),
        "document": entry.document,
    }


def _whole(entry: Entry) -> str:
    return json.dumps([encode(entry), entry.document])


def _stale(cursor: Cursor) -> StaleWrite:
    return StaleWrite(f"The index of chain {cursor.chain_id} was written by somebody else.")
