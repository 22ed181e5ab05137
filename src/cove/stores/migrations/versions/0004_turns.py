"""Turns of consumers in the queue. Places that were given before are the first turn, in the order of arrival."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    waits = sa.text("phase = 'accepted'")
    op.create_index(
        "jobs_waiting_owner", "jobs", ["owner", "environment", "place"], sqlite_where=waits, postgresql_where=waits
    )
