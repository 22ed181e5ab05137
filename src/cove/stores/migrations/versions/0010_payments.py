"""Payments of jobs through an escrow contract."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "payments",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    is_open = sa.text("state != 'closed'")
    op.create_index("payments_due", "payments", ["due_at", "job_id"], sqlite_where=is_open, postgresql_where=is_open)
