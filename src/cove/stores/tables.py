"""The tables, the same in SQLite and PostgreSQL. ``migrations/`` makes them; a test compares the two."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnClause,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
    or_,
)

from cove.stores.rules import IN_LINE, UNSTARTED

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
"""Every revision in ``migrations/versions``, the oldest first. It stands here so that a start need not load Alembic."""

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
_BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    # Counts up as jobs come in, so that "newest first" does not hang on a clock that may be set back.
    Column("number", _NUMBER, Identity(), primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("environment", Text, nullable=False),
    # In lower case, as they are searched; the document has them as they were given.
    Column("owner", Text, nullable=False),
    Column("agreement", Text, nullable=False),
    # The main dataset's DID; empty without a dataset.
    Column("dataset", Text, nullable=False),
    # Place in the queue (``core.queueing``): given when a job is accepted, and again when it is restarted.
    Column("place", _NUMBER, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("stop_requested_at", Double),
    Column("delete_requested_at", Double),
    # Seconds from the algorithm's start to DONE; null until then, and for a job that never started.
    Column("duration", Double),
    # True while the loop must look at it: under way, or with an open wish.
    Column("active", Boolean, nullable=False),
    # Everything else of the job, JSON (``codec.py``).
    Column("document", Text, nullable=False),
    sqlite_autoincrement=True,
)

# The planner uses a partial index only where the query says the same condition in the same words: no parameter, and not
# SQLAlchemy's "active = 1" either.
NOT_DONE: Final = jobs.c.phase != literal_column("'done'", String)
IS_ACTIVE: Final[ColumnClause[Any]] = literal_column("active")
WAITS: Final = jobs.c.phase == literal_column("'accepted'", String)
IS_UNSTARTED: Final = or_(
    *[jobs.c.phase == literal_column(f"'{phase}'", String) for phase in sorted(UNSTARTED)],
)
IS_IN_LINE: Final = or_(
    *[jobs.c.phase == literal_column(f"'{phase}'", String) for phase in sorted(IN_LINE)],
)
HAS_DURATION: Final = jobs.c.duration.is_not(None)

Index("jobs_owner", jobs.c.owner, jobs.c.number)
Index("jobs_dataset", jobs.c.dataset, jobs.c.number)
Index("jobs_agreement", jobs.c.agreement, jobs.c.number)
Index(
    "jobs_open",
    jobs.c.environment,
    jobs.c.phase,
    jobs.c.place,
    sqlite_where=NOT_DONE,
    postgresql_where=NOT_DONE,
)
Index("jobs_open_owner", jobs.c.owner, jobs.c.number, sqlite_where=NOT_DONE, postgresql_where=NOT_DONE)
Index(
    "jobs_in_line",
    jobs.c.owner,
    jobs.c.environment,
    jobs.c.place,
    sqlite_where=IS_IN_LINE,
    postgresql_where=IS_IN_LINE,
)
Index("jobs_active", jobs.c.number, sqlite_where=IS_ACTIVE, postgresql_where=IS_ACTIVE)
Index(
    "jobs_durations",
    jobs.c.environment,
    jobs.c.finished_at,
    jobs.c.number,
    jobs.c.duration,
    sqlite_where=HAS_DURATION,
    postgresql_where=HAS_DURATION,
)

packages = Table(
    "packages",
    metadata,
    Column("job_id", String(32), primary_key=True),
    # Sealed by the vault before it comes here.
    Column("sealed", LargeBinary, nullable=False),
)

order_uses = Table(
    "order_uses",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("order_key", Text, primary_key=True),
    # False once its job is done; kept, so that it is known what an order paid for.
    Column("active", Boolean, nullable=False),
)
Index("order_uses_key", order_uses.c.order_key)
Index(
    "order_uses_active",
    order_uses.c.order_key,
    unique=True,
    sqlite_where=order_uses.c.active,
    postgresql_where=order_uses.c.active,
)

deadlines = Table(
    "deadlines",
    metadata,
    # A job in ACCEPTED that may not wait for ever.
    Column("job_id", String(32), primary_key=True),
    # Unix time.
    Column("wait_until", Double, nullable=False),
)
Index("deadlines_time", deadlines.c.wait_until)

starts = Table(
    "starts",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    # Any of the job's datasets.
    Column("dataset", Text, primary_key=True),
    # In lower case.
    Column("owner", Text, nullable=False),
    # Unix time.
    Column("started_at", Double, nullable=False),
)
Index("starts_count", starts.c.dataset, starts.c.owner, starts.c.started_at)

nonces = Table(
    "nonces",
    metadata,
    Column("address", Text, primary_key=True),
    # As it was sent.
    Column("nonce", Text, nullable=False),
    # ``core.nonce.nonce_sort_key`` of it; compared byte by byte whatever the database's language is.
    Column("sort_key", _BYTEWISE, nullable=False),
)

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    # Unix time from which on the token is refused for its age.
    Column("expires_at", _NUMBER, nullable=False),
)
Index("revoked_tokens_expiry", revoked_tokens.c.expires_at)

proofs = Table(
    "proofs",
    metadata,
    # Counts up as they come in: the order in which a chain gets them.
    Column("number", _NUMBER, Identity(), primary_key=True),
    # sha256 of ``core.proof.proof_key``; kept when the rest is forgotten, so that nothing is proven twice.
    Column("key", String(64), nullable=False, unique=True),
    Column("lane", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("note", Text, nullable=False),
    # The access and what was sent for it, JSON; empty once it is delivered.
    Column("document", Text, nullable=False),
    sqlite_autoincrement=True,
)
NOT_DELIVERED: Final = proofs.c.state != literal_column("'delivered'", String)
Index("proofs_open", proofs.c.lane, proofs.c.state, sqlite_where=NOT_DELIVERED, postgresql_where=NOT_DELIVERED)

reviews = Table(
    "reviews",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("opened_at", Double, nullable=False),
    # Unix time.
    Column("expires_at", Double, nullable=False),
    # True once the job went on by it.
    Column("settled", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    # Everything else but the votes, JSON; it quotes no input but masked.
    Column("document", Text, nullable=False),
)
NOT_SETTLED: Final = literal_column("settled", Boolean).is_(literal_column("false", Boolean))
Index("reviews_time", reviews.c.opened_at)
Index("reviews_due", reviews.c.expires_at, sqlite_where=NOT_SETTLED, postgresql_where=NOT_SETTLED)

votes = Table(
    "votes",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    # ``core.airlock.file_key``.
    Column("file", String(32), primary_key=True),
    Column("reviewer", Text, primary_key=True),
    Column("approve", Boolean, nullable=False),
    # Of the bytes that it is about.
    Column("sha256", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    # Unix time.
    Column("at", Double, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    # Canonical JSON; the hash is of these very bytes.
    Column("record", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    # sha256 of what names a record that may be there once; null for the others.
    Column("once", String(64), unique=True),
)

messages = Table(
    "messages",
    metadata,
    # Counts up as they come in.
    Column("number", _NUMBER, Identity(), primary_key=True),
    Column("target", Text, nullable=False),
    Column("job_id", String(32), nullable=False),
    # JSON, as it is sent.
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    # Unix time.
    Column("due_at", Double, nullable=False),
    Column("note", Text, nullable=False),
    Column("version", Integer, nullable=False),
    sqlite_autoincrement=True,
)
Index("messages_due", messages.c.state, messages.c.due_at, messages.c.number)
grants = Table(
    "grants",
    metadata,
    # Counts up as they come in.
    Column("number", _NUMBER, Identity(), primary_key=True),
    # The digest, ``0x`` and 64 lower-case hex digits.
    Column("id", String(66), nullable=False, unique=True),
    # The grant and its signature, JSON.
    Column("document", Text, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    # Unix times.
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    # ``core.delivery.DeliveryKind``.
    Column("kind", String(16), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    # Unix time.
    Column("due_at", Double, nullable=False),
    Column("note", Text, nullable=False),
    # What was done so far, as its kind writes it; nothing of it is secret.
    Column("progress", Text, nullable=False),
    Column("version", Integer, nullable=False),
)
TO_DELIVER: Final = deliveries.c.state == literal_column("'open'", String)
Index("deliveries_due", deliveries.c.kind, deliveries.c.due_at, sqlite_where=TO_DELIVER, postgresql_where=TO_DELIVER)

payments = Table(
    "payments",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    # Unix time.
    Column("due_at", Double, nullable=False),
    # The whole payment, JSON.
    Column("document", Text, nullable=False),
)
NOT_CLOSED: Final = payments.c.state != literal_column("'closed'", String)
Index("payments_due", payments.c.due_at, payments.c.job_id, sqlite_where=NOT_CLOSED, postgresql_where=NOT_CLOSED)

counters = Table(
    "counters",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", _NUMBER, nullable=False),
)

QUEUE: Final = "queue"
"""The row of ``counters`` that counts the jobs that came into any queue."""

AUDIT: Final = "audit"
"""The row of ``counters`` that counts the records of the audit log; who writes there holds it."""
