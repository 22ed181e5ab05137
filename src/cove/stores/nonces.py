"""The last nonce of every address, in SQLite or PostgreSQL."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, select, text

from cove.core.nonce import nonce_sort_key
from cove.stores.prepared import Prepared
from cove.stores.rules import can_be_stored
from cove.stores.sql import SqlJobStore
from cove.stores.tables import nonces

_LAST: Final = select(nonces.c.nonce).where(nonces.c.address == bindparam("address"))

# One statement: there is no moment between the look and the write in which the same nonce could be taken again.
_USE: Final = Prepared(
    text(
        "INSERT INTO nonces (address, nonce, sort_key) VALUES (:address, :nonce, :sort_key) "
        "ON CONFLICT (address) DO UPDATE SET nonce = excluded.nonce, sort_key = excluded.sort_key "
        "WHERE excluded.sort_key > nonces.sort_key RETURNING address"
    )
)


class SqlNonceStore:
    """A ``NonceStore`` in a database.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
    """

    def __init__(self, jobs: SqlJobStore) -> None:
        self._database = jobs.database
        self._last = self._database.point_read(_LAST, "address")

    async def last(self, address: str) -> str | None:
        """Give the last nonce used, as the text it was sent in; None for an address that used none."""
        row = await self._last(address.lower()) if can_be_stored(address) else None
        return None if row is None else str(row[0])

    async def use(self, address: str, nonce: str) -> bool:
        """Take a nonce in one atomic write; False when it is not greater than the last one used."""
        values = {"address": address.lower(), "nonce": nonce, "sort_key": nonce_sort_key(nonce)}
        return await self._database.write(lambda connection: bool(_USE.rows(connection, values)))
