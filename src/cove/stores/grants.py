"""Grants in SQLite or PostgreSQL, and the counting of their runs inside a job's own transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, text, update

from cove.core.grant import Grant, GrantRecord
from cove.stores.rules import can_be_stored
from cove.stores.sql import SqlJobStore
from cove.stores.tables import grants

_RECORD: Final = select(grants.c.id, grants.c.document, grants.c.created_at, grants.c.used, grants.c.revoked_at)
_BY_ID: Final = _RECORD.where(grants.c.id == bindparam("id"))
_ALL: Final = _RECORD.order_by(grants.c.number.desc())
_ADD: Final = text(
    "INSERT INTO grants (id, document, runs, used, created_at) VALUES (:id, :document, :runs, 0, :created_at) "
    "ON CONFLICT (id) DO NOTHING RETURNING id"
)
_REVOKE: Final = (
    update(grants)
    .where(grants.c.id == bindparam("key"), grants.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
    .returning(grants.c.id)
)


class SqlGrantStore:
    """A ``GrantStore`` in a database.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
    """

    def __init__(self, jobs: SqlJobStore) -> None:
        self._database = jobs.database
        self._find = self._database.point_read(_BY_ID, "id")

    async def add(self, record: GrantRecord) -> bool:
        """Keep a grant; False when it is kept already, which changes nothing."""
        return await self._database.write(lambda connection: _added(connection, record))

    async def get(self, grant_id: str) -> GrantRecord | None:
        """Give a grant; None when there is none."""
        row = await self._find(grant_id) if can_be_stored(grant_id) else None
        return None if row is None else _record(row)

    async def list(self) -> Sequence[GrantRecord]:
        """Give all grants, the newest first."""
        return await self._database.read(lambda connection: [_record(row) for row in connection.execute(_ALL)])

    async def revoke(self, grant_id: str, now: float) -> bool:
        """Take a grant back, for ever; False when there is none, or it was taken back before."""
        if not can_be_stored(grant_id):
            return False
        return await self._database.write(
            lambda connection: connection.execute(_REVOKE, {"key": grant_id, "now": now}).first() is not None
        )


def _added(connection: Connection, record: GrantRecord) -> bool:
    grant = record.grant
    document = {
        "consumer": grant.consumer,
        "asset": grant.asset,
        "service": grant.service,
        "validUntil": grant.valid_until,
        "runs": grant.runs,
        "salt": grant.salt.hex(),
        "signature": record.signature.hex(),
    }
    values = {
        "id": record.id,
        "document": json.dumps(document),
        "runs": grant.runs,
        "created_at": record.created_at,
    }
    return connection.execute(_ADD, values).first() is not None


def _record(row: Sequence[Any]) -> GrantRecord:
    body = json.loads(row[1])
    grant = Grant(
        consumer=body["consumer"],
        asset=body["asset"],
        service=body["service"],
        valid_until=body["validUntil"],
        runs=body["runs"],
        salt=bytes.fromhex(body["salt"]),
    )
    revoked = None if row[4] is None else float(row[4])
    return GrantRecord(row[0], grant, bytes.fromhex(body["signature"]), float(row[2]), int(row[3]), revoked)
