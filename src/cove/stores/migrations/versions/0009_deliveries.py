"""What is done with released results beside keeping them here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "deliveries",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    is_open = sa.text("state = 'open'")
    op.create_index("deliveries_due", "deliveries", ["kind", "due_at"], sqlite_where=is_open, postgresql_where=is_open)
