"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IS_ACTIVE = sa.text("active")
_NOT_DONE = sa.text("phase != 'done'")
_HAS_DURATION = sa.text("duration IS NOT NULL")


def upgrade() -> None:
    """Bring the tables to this revision."""
    _jobs()
    op.create_table(
        "packages",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "order_uses",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("order_key", sa.Text, primary_key=True),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_index("order_uses_key", "order_uses", ["order_key"])
    op.create_index(
        "order_uses_active",
        "order_uses",
        ["order_key"],
        unique=True,
        sqlite_where=_IS_ACTIVE,
        postgresql_where=_IS_ACTIVE,
    )
    op.create_table(
        "nonces",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("nonce", sa.Text, nullable=False),
        sa.Column("sort_key", _BYTEWISE, nullable=False),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", _NUMBER, nullable=False),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", _NUMBER, sa.Identity(), primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("agreement", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("place", _NUMBER, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("stop_requested_at", sa.Double),
        sa.Column("delete_requested_at", sa.Double),
        sa.Column("duration", sa.Double),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_owner", "jobs", ["owner", "number"])
    op.create_index("jobs_dataset", "jobs", ["dataset", "number"])
    op.create_index("jobs_agreement", "jobs", ["agreement", "number"])
    op.create_index(
        "jobs_open",
        "jobs",
        ["environment", "phase", "place"],
        sqlite_where=_NOT_DONE,
        postgresql_where=_NOT_DONE,
    )
    op.create_index("jobs_open_owner", "jobs", ["owner", "number"], sqlite_where=_NOT_DONE, postgresql_where=_NOT_DONE)
    op.create_index("jobs_active", "jobs", ["number"], sqlite_where=_IS_ACTIVE, postgresql_where=_IS_ACTIVE)
    op.create_index(
        "jobs_durations",
        "jobs",
        ["environment", "finished_at", "number", "duration"],
        sqlite_where=_HAS_DURATION,
        postgresql_where=_HAS_DURATION,
    )
