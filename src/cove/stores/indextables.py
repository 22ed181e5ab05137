"""The tables of the index of published assets, the same in SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ColumnElement, Index, Integer, String, Table, Text, literal_column

from cove.stores.tables import metadata

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
_BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")

index_chains = Table(
    "index_chains",
    metadata,
    Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    # Last block that was read, and its hash.
    Column("block", _NUMBER, nullable=False),
    Column("block_hash", Text, nullable=False),
    Column("start_block", _NUMBER, nullable=False),
    Column("factory", Text, nullable=False),
    Column("genesis", Text, nullable=False),
)

index_blocks = Table(
    "index_blocks",
    metadata,
    Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
)

index_assets = Table(
    "index_assets",
    metadata,
    Column("did", _BYTEWISE, primary_key=True),
    Column("chain_id", _NUMBER, nullable=False),
    # 1: its document may be given to everybody (``core.indexed.is_shown``); else 0.
    Column("shown", Integer, nullable=False),
    # In lower case.
    Column("owner", Text, nullable=False),
    # dataset or algorithm; empty without a document.
    Column("type", String(16), nullable=False),
    # Who could not read the newest document; empty where there is nothing to read anew.
    Column("reader", Text, nullable=False),
    # Everything else, JSON (``core.indexed.encode``).
    Column("record", Text, nullable=False),
    # The DDO as it was published, in clear; empty without one.
    Column("document", Text, nullable=False),
)
IS_SHOWN: Final[ColumnElement[bool]] = index_assets.c.shown == literal_column("1", Integer)
IS_UNREAD: Final[ColumnElement[bool]] = index_assets.c.reader != literal_column("''", String)
Index("index_assets_shown", index_assets.c.did, sqlite_where=IS_SHOWN, postgresql_where=IS_SHOWN)
Index("index_assets_owner", index_assets.c.owner, index_assets.c.did, sqlite_where=IS_SHOWN, postgresql_where=IS_SHOWN)
Index("index_assets_unread", index_assets.c.chain_id, sqlite_where=IS_UNREAD, postgresql_where=IS_UNREAD)

index_tokens = Table(
    "index_tokens",
    metadata,
    Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
    # Of a datatoken; or ``core.indexed.exchange_key``.
    Column("address", Text, primary_key=True),
    Column("did", Text, nullable=False),
)

index_undo = Table(
    "index_undo",
    metadata,
    Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
    # The block that changed the asset.
    Column("block", _NUMBER, primary_key=True, autoincrement=False),
    Column("did", Text, primary_key=True),
    # As it was before, JSON of record and document; null: it was not there.
    Column("before", Text),
)
