"""Proofs of access that are on their way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NOT_DELIVERED = sa.text("state != 'delivered'")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "proofs",
        sa.Column("number", _NUMBER, sa.Identity(), primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("lane", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "proofs_open", "proofs", ["lane", "state"], sqlite_where=_NOT_DELIVERED, postgresql_where=_NOT_DELIVERED
    )
