"""Which auth tokens were taken back, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, bindparam, delete, select, text

from cove.stores.rules import can_be_stored
from cove.stores.sql import SqlJobStore
from cove.stores.tables import revoked_tokens

_FIND: Final = select(revoked_tokens.c.id).where(revoked_tokens.c.id == bindparam("id"))
_EXPIRED: Final = delete(revoked_tokens).where(revoked_tokens.c.expires_at <= bindparam("now"))
_REVOKE: Final = text(
    "INSERT INTO revoked_tokens (id, expires_at) VALUES (:id, :expires_at) ON CONFLICT (id) DO NOTHING RETURNING id"
)


class SqlTokenStore:
    """A ``TokenStore`` in a database; what has expired is forgotten when something is revoked.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
        now: Gives the Unix time.
    """

    def __init__(self, jobs: SqlJobStore, now: Callable[[], float]) -> None:
        self._database = jobs.database
        self._now = now
        self._find = self._database.point_read(_FIND, "id")

    async def revoke(self, token_id: str, expires: int) -> bool:
        """Take a token back; False when it was taken back before."""
        return await self._database.write(lambda connection: self._revoke(connection, token_id, expires))

    async def is_revoked(self, token_id: str) -> bool:
        """Say whether a token was taken back."""
        return can_be_stored(token_id) and await self._find(token_id) is not None

    def _revoke(self, connection: Connection, token_id: str, expires: int) -> bool:
        connection.execute(_EXPIRED, {"now": int(self._now())})
        row = connection.execute(_REVOKE, {"id": token_id, "expires_at": expires}).one_or_none()
        return row is not None
