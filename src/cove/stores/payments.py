"""Payments of jobs, in SQLite or PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from sqlalchemy import RowMapping, Select, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from cove.core.errors import StaleWrite
from cove.core.job import JobId
from cove.core.payment import Payment, PaymentState
from cove.core.proof import Sent
from cove.stores.sql import SqlJobStore
from cove.stores.tables import NOT_CLOSED, payments

_MOST: Final = 100
_CHANGING: Final = ("state", "version", "due_at", "document")
_OF: Final[Select[Any]] = select(payments).where(payments.c.job_id == bindparam("of"))
_NEXT: Final[Select[Any]] = select(payments).where(NOT_CLOSED).order_by(payments.c.due_at, payments.c.job_id).limit(1)
_OPEN: Final[Select[Any]] = select(payments).where(NOT_CLOSED).order_by(payments.c.job_id)
_LOCKING: Final = select(payments.c.job_id).where(NOT_CLOSED, payments.c.state == str(PaymentState.LOCKING))
_SAVE: Final = (
    update(payments)
    .where(payments.c.job_id == bindparam("of"), payments.c.version == bindparam("read_version"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)


class SqlPaymentStore:
    """A ``PaymentStore`` in a database.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
    """

    def __init__(self, jobs: SqlJobStore) -> None:
        self._database = jobs.database

    async def add(self, payment: Payment) -> Payment:
        """Write a new payment down."""
        row = {"job_id": payment.job_id, **_columns(payment)}
        try:
            await self._database.write(lambda connection: connection.execute(insert(payments), row))
        except IntegrityError:
            raise StaleWrite(f"Job {payment.job_id} has a payment already.") from None
        return payment

    async def save(self, payment: Payment) -> Payment:
        """Write a payment if nobody else did since it was read."""
        after = replace(payment, version=payment.version + 1)
        values = {f"new_{name}": value for name, value in _columns(after).items()}
        values |= {"of": payment.job_id, "read_version": payment.version}
        if await self._database.write(lambda connection: connection.execute(_SAVE, values).rowcount) != 1:
            raise StaleWrite(f"The payment of job {payment.job_id} was changed by somebody else.")
        return after

    async def of(self, job_id: JobId) -> Payment | None:
        """Give a job's payment; None without one."""
        return await self._one(_OF, {"of": job_id})

    async def next(self) -> Payment | None:
        """Give the payment that is not closed and due first; None when all are closed."""
        return await self._one(_NEXT, {})

    async def locking(self) -> Sequence[JobId]:
        """Name the jobs whose payment's lock was asked for, and does not count yet."""
        rows = await self._database.read(lambda connection: connection.execute(_LOCKING).scalars().all())
        return [JobId(row) for row in rows]

    async def failing(self) -> Sequence[Payment]:
        """Give those that are not closed and failed to be taken further last time, at most a hundred."""
        rows = await self._database.read(lambda connection: connection.execute(_OPEN).mappings().all())
        return [found for found in map(_decoded, rows) if found.attempts][:_MOST]

    async def _one(self, statement: Select[Any], values: Mapping[str, Any]) -> Payment | None:
        row = await self._database.read(
            lambda connection: connection.execute(statement, values).mappings().one_or_none()
        )
        return None if row is None else _decoded(row)


def _columns(payment: Payment) -> dict[str, Any]:
    return {
        "state": str(payment.state),
        "version": payment.version,
        "due_at": payment.due_at,
        "document": json.dumps(asdict(payment)),
    }


def _decoded(row: RowMapping) -> Payment:
    given = json.loads(row["document"])
    state, sent = PaymentState(given.pop("state")), tuple(Sent(**entry) for entry in given.pop("sent"))
    return Payment(**given, state=state, sent=sent)
