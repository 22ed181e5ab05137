"""Deliveries of results on their way, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, exists, insert, select, update

from cove.core.delivery import Delivery, DeliveryKind, DeliveryState, arisen
from cove.core.errors import StaleWrite
from cove.core.job import Job, JobId
from cove.ports.deliveries import DeliveryCount
from cove.stores.sql import SqlJobStore
from cove.stores.tables import TO_DELIVER, deliveries, jobs

_CHANGING: Final = ("state", "tries", "due_at", "note", "progress", "version")
_OPEN: Final[Select[Any]] = (
    select(deliveries)
    .where(TO_DELIVER, deliveries.c.kind == bindparam("of_kind"))
    .order_by(deliveries.c.due_at, deliveries.c.job_id)
    .limit(bindparam("limit"))
)
_OF_JOB: Final[Select[Any]] = (
    select(deliveries)
    .where(deliveries.c.job_id == bindparam("of"))
    .order_by(deliveries.c.attempt.desc(), deliveries.c.kind)
)
_LATER: Final = deliveries.alias("later")
#: Given up, and of its job's newest attempt.
_GIVEN_UP: Final = and_(
    deliveries.c.state == str(DeliveryState.FAILED),
    ~exists().where(_LATER.c.job_id == deliveries.c.job_id, _LATER.c.attempt > deliveries.c.attempt),
)
_FAILED: Final[Select[Any]] = (
    select(deliveries.c.kind, deliveries.c.job_id, deliveries.c.note)
    .join(jobs, jobs.c.id == deliveries.c.job_id)
    .where(_GIVEN_UP, jobs.c.finished_at > bindparam("since"))
    .order_by(jobs.c.finished_at)
)
_RETRY: Final = (
    update(deliveries)
    .where(_GIVEN_UP)
    .values(state=str(DeliveryState.OPEN), tries=0, due_at=0.0, version=deliveries.c.version + 1)
)
_SAVE: Final = (
    update(deliveries)
    .where(
        deliveries.c.job_id == bindparam("of"),
        deliveries.c.attempt == bindparam("of_attempt"),
        deliveries.c.kind == bindparam("of_kind"),
        deliveries.c.version == bindparam("read_version"),
    )
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)


class SqlDeliveryStore:
    """A ``DeliveryStore`` in a database.

    Args:
        store: The store whose database is shared; the end of a job there brings its deliveries here.
    """

    def __init__(self, store: SqlJobStore) -> None:
        self._database = store.database
        store.observers.append(_note)

    async def open(self, kind: DeliveryKind, limit: int) -> Sequence[Delivery]:
        """Give the open deliveries of a kind that are due first, due or not, at most ``limit``."""
        return await self._read(_OPEN, {"of_kind": str(kind), "limit": max(0, limit)})

    async def of(self, job_id: JobId) -> Sequence[Delivery]:
        """Give all deliveries of a job, the newest attempt first."""
        return await self._read(_OF_JOB, {"of": job_id})

    async def failed(self, since: float) -> Sequence[DeliveryCount]:
        """Count the deliveries that were given up, of jobs that ended after a Unix time, by kind."""
        rows = await self._database.read(lambda connection: connection.execute(_FAILED, {"since": since}).all())
        counts: dict[str, DeliveryCount] = {}
        for kind, job_id, note in rows:
            before = counts[kind].count if kind in counts else 0
            counts[kind] = DeliveryCount(DeliveryKind(kind), before + 1, JobId(job_id), note)
        return list(counts.values())

    async def retry(self) -> int:
        """Open every delivery that was given up, as if it was new and due now; give how many there were."""
        return await self._database.write(lambda connection: connection.execute(_RETRY).rowcount)

    async def save(self, delivery: Delivery) -> Delivery:
        """Write a delivery if nobody else did since it was read."""
        after = replace(delivery, version=delivery.version + 1)
        values: dict[str, Any] = {f"new_{name}": getattr(after, name) for name in _CHANGING}
        values |= {
            "new_state": str(after.state),
            "of": delivery.job_id,
            "of_attempt": delivery.attempt,
            "of_kind": str(delivery.kind),
            "read_version": delivery.version,
        }
        if await self._database.write(lambda connection: connection.execute(_SAVE, values).rowcount) != 1:
            raise StaleWrite(f"A delivery of job {delivery.job_id} was changed by somebody else.")
        return after

    async def _read(self, statement: Select[Any], asked: dict[str, Any]) -> Sequence[Delivery]:
        return await self._database.read(
            lambda connection: [_decoded(row) for row in connection.execute(statement, asked).mappings()]
        )


def _note(connection: Connection, job: Job) -> None:
    rows = [
        {
            "job_id": one.job_id,
            "attempt": one.attempt,
            "kind": str(one.kind),
            "state": str(one.state),
            "tries": one.tries,
            "due_at": one.due_at,
            "note": one.note,
            "progress": one.progress,
            "version": one.version,
        }
        for one in arisen(job)
    ]
    if rows:
        connection.execute(insert(deliveries), rows)


def _decoded(row: Any) -> Delivery:  # noqa: ANN401 - a row of the driver
    return Delivery(
        job_id=JobId(row["job_id"]),
        attempt=row["attempt"],
        kind=DeliveryKind(row["kind"]),
        state=DeliveryState(row["state"]),
        tries=row["tries"],
        due_at=row["due_at"],
        note=row["note"],
        progress=row["progress"],
        version=row["version"],
    )
