"""Proofs of access that are on their way, in SQLite or PostgreSQL."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, func, select, text, update

from cove.core.errors import StaleWrite
from cove.core.proof import Access, Proof, ProofState, Sent, proof_key
from cove.ports import ProofCount
from cove.stores.sql import SqlJobStore
from cove.stores.tables import NOT_DELIVERED, proofs

_ADD: Final = text(
    "INSERT INTO proofs (key, lane, state, version, attempts, due_at, note, document) "
    "VALUES (:key, :lane, 'open', 1, 0, 0, '', :document) ON CONFLICT (key) DO NOTHING"
)
_OPEN: Final[Select[Any]] = (
    select(proofs)
    .where(NOT_DELIVERED, proofs.c.lane == bindparam("lane"), proofs.c.state == str(ProofState.OPEN))
    .limit(1)
)
_FIRST: Final = _OPEN.order_by(proofs.c.number)
_FIRST_DUE: Final = _OPEN.order_by(proofs.c.due_at, proofs.c.number)
_SAVE: Final = (
    update(proofs)
    .where(proofs.c.number == bindparam("of"), proofs.c.version == bindparam("read_version"))
    .values({name: bindparam(f"new_{name}") for name in ("state", "version", "attempts", "due_at", "note", "document")})
)
_RETRY: Final = (
    update(proofs)
    .where(NOT_DELIVERED, proofs.c.state == str(ProofState.FAILED))
    .values(state=str(ProofState.OPEN), attempts=0, due_at=0.0, version=proofs.c.version + 1)
)
_NEWEST: Final = (
    select(proofs.c.lane, proofs.c.state, func.count(), func.max(proofs.c.number))
    .where(NOT_DELIVERED)
    .group_by(proofs.c.lane, proofs.c.state)
)
_NOTE: Final = select(proofs.c.note).where(proofs.c.number == bindparam("of"))


class SqlProofStore:
    """A ``ProofStore`` in a database.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
    """

    def __init__(self, jobs: SqlJobStore) -> None:
        self._database = jobs.database

    async def add(self, access: Access, lanes: Sequence[str]) -> None:
        """Write an access down for each lane, unless it was written there before."""
        document = _document(access, ())
        rows = [{"key": _key(lane, access), "lane": lane, "document": document} for lane in lanes]
        await self._database.write(lambda connection: connection.execute(_ADD, rows))

    async def next(self, lane: str, *, in_order: bool) -> Proof | None:
        """Give the open proof that is to be looked at next; None when there is none."""
        statement = _FIRST if in_order else _FIRST_DUE
        row = await self._database.read(
            lambda connection: connection.execute(statement, {"lane": lane}).mappings().one_or_none()
        )
        return None if row is None else _decoded(row)

    async def save(self, proof: Proof) -> Proof:
        """Write a proof if nobody else did since it was read."""
        after = dataclasses.replace(proof, version=proof.version + 1)
        delivered = after.state is ProofState.DELIVERED
        values = {
            "of": proof.number,
            "read_version": proof.version,
            "new_state": str(after.state),
            "new_version": after.version,
            "new_attempts": after.attempts,
            "new_due_at": after.due_at,
            "new_note": after.note,
            "new_document": "" if delivered else _document(after.access, after.sent),
        }
        if await self._database.write(lambda connection: connection.execute(_SAVE, values).rowcount) != 1:
            raise StaleWrite(f"Proof {proof.number} was changed by somebody else.")
        return after

    async def retry(self) -> int:
        """Open every proof that was given up, as if it was new and due now; give how many there were."""
        return await self._database.write(lambda connection: connection.execute(_RETRY).rowcount)

    async def counts(self) -> Sequence[ProofCount]:
        """Count the proofs that are not delivered."""
        return await self._database.read(_counts)


def _counts(connection: Connection) -> list[ProofCount]:
    return [
        ProofCount(lane, ProofState(state), count, str(connection.execute(_NOTE, {"of": newest}).scalar_one()))
        for lane, state, count, newest in connection.execute(_NEWEST).all()
    ]


def _key(lane: str, access: Access) -> str:
    return hashlib.sha256(proof_key(lane, access).encode()).hexdigest()


def _document(access: Access, sent: Sequence[Sent]) -> str:
    return json.dumps({"access": dataclasses.asdict(access), "sent": [dataclasses.asdict(entry) for entry in sent]})


def _decoded(row: Any) -> Proof:  # noqa: ANN401 - a row of the driver
    document = json.loads(row["document"])
    return Proof(
        number=row["number"],
        lane=row["lane"],
        access=Access(**document["access"]),
        state=ProofState(row["state"]),
        attempts=row["attempts"],
        due_at=row["due_at"],
        sent=tuple(Sent(**entry) for entry in document["sent"]),
        note=row["note"],
        version=row["version"],
    )
