"""The audit log in SQLite or PostgreSQL; nothing here changes or removes a record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, insert, select, text, update

from cove.core.audit import FIRST, Entry, Head, Record, chained
from cove.stores.sql import SqlJobStore
from cove.stores.tables import AUDIT, audit, counters

# It changes nothing, and holds the row to the transaction's end: the next writer then sees what this one wrote.
_COUNTED: Final = text(
    "INSERT INTO counters (name, value) VALUES (:name, 0) "
    "ON CONFLICT (name) DO UPDATE SET value = counters.value RETURNING value"
)
_COUNT: Final = update(counters).where(counters.c.name == AUDIT).values(value=bindparam("counted"))
_READ_COUNT: Final = select(counters.c.value).where(counters.c.name == AUDIT)
_LAST: Final[Select[Any]] = select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
_ONCE: Final = select(audit.c.number).where(audit.c.once == bindparam("key"))
_AFTER: Final = (
    select(audit.c.number, audit.c.record, audit.c.hash)
    .where(audit.c.number > bindparam("after"))
    .order_by(audit.c.number)
    .limit(bindparam("limit"))
)


class SqlAuditStore:
    """An ``AuditStore`` in a database.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
    """

    def __init__(self, jobs: SqlJobStore) -> None:
        self._database = jobs.database

    async def append(self, *entries: Entry) -> Head:
        """Write entries down, in their order, and give the newest record; what is there once stays as it is."""
        return await self._database.write(lambda connection: append(connection, entries))

    async def head(self) -> Head:
        """Give the newest record."""
        return await self._database.read(_head)

    async def records(self, after: int = 0, limit: int = 1000) -> Sequence[Record]:
        """Give records in their order, from the one behind number ``after``."""
        asked = {"after": after, "limit": max(0, limit)}
        return await self._database.read(
            lambda connection: [Record(*row) for row in connection.execute(_AFTER, asked).all()]
        )

    async def counted(self) -> int:
        """Give how many records were ever written, which is kept apart from them."""
        return await self._database.read(lambda connection: int(connection.execute(_READ_COUNT).scalar() or 0))


def append(connection: Connection, entries: Iterable[Entry]) -> Head:
    """Write entries down within a transaction that may do more; it is the last thing that the transaction does."""
    counted = int(connection.execute(_COUNTED, {"name": AUDIT}).scalar_one())
    # The number goes on from the count, so that records that somebody took from the end leave a gap.
    head = Head(counted, _head(connection).hash)
    for entry in entries:
        key = hashlib.sha256(entry.once.encode()).hexdigest() if entry.once else None
        if key is not None and connection.execute(_ONCE, {"key": key}).first() is not None:
            continue
        record = chained(entry, head)
        values = {"number": record.number, "record": record.text, "hash": record.hash, "once": key}
        connection.execute(insert(audit).values(**values))
        head = Head(record.number, record.hash)
    if head.number != counted:
        connection.execute(_COUNT, {"counted": head.number})
    return head


def _head(connection: Connection) -> Head:
    row = connection.execute(_LAST).one_or_none()
    return Head(0, FIRST) if row is None else Head(int(row[0]), str(row[1]))
