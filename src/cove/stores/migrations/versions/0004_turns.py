"""Turns of consumers in the queue, and until when jobs wait.

Places that were given before are the first turn, in the order of arrival.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    in_line = sa.text("phase = 'accepted' OR phase = 'provisioning' OR phase = 'running' OR phase = 'submitting'")
    op.create_index(
        "jobs_in_line", "jobs", ["owner", "environment", "place"], sqlite_where=in_line, postgresql_where=in_line
    )
    op.create_table(
        "deadlines",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("wait_until", sa.Double, nullable=False),
    )
    op.create_index("deadlines_time", "deadlines", ["wait_until"])
