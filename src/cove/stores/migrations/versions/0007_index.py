"""The index of published assets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "index_chains",
        sa.Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("block", _NUMBER, nullable=False),
        sa.Column("block_hash", sa.Text, nullable=False),
        sa.Column("start_block", _NUMBER, nullable=False),
        sa.Column("factory", sa.Text, nullable=False),
        sa.Column("genesis", sa.Text, nullable=False),
    )
    op.create_table(
        "index_blocks",
        sa.Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_table(
        "index_assets",
        sa.Column("did", _BYTEWISE, primary_key=True),
        sa.Column("chain_id", _NUMBER, nullable=False),
        sa.Column("shown", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    shown, unread = sa.text("shown = 1"), sa.text("reader != ''")
    op.create_index("index_assets_shown", "index_assets", ["did"], sqlite_where=shown, postgresql_where=shown)
    op.create_index("index_assets_owner", "index_assets", ["owner", "did"], sqlite_where=shown, postgresql_where=shown)
    op.create_index("index_assets_unread", "index_assets", ["chain_id"], sqlite_where=unread, postgresql_where=unread)
    op.create_table(
        "index_tokens",
        sa.Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("did", sa.Text, nullable=False),
    )
    op.create_table(
        "index_undo",
        sa.Column("chain_id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("block", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("did", sa.Text, primary_key=True),
        sa.Column("before", sa.Text),
    )
