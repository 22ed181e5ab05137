"""Messages about jobs on their way, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from cove.core.errors import StaleWrite
from cove.core.job import Job, JobId
from cove.core.webhook import CONSUMER, Message, MessageState, is_told
from cove.ports.webhooks import MessageCount
from cove.stores.sql import SqlJobStore
from cove.stores.tables import messages

_CHANGING: Final = ("state", "attempts", "due_at", "note", "version")
_NEXT: Final[Select[Any]] = (
    select(messages)
    .where(messages.c.state == str(MessageState.OPEN))
    .order_by(messages.c.due_at, messages.c.number)
    .limit(1)
)
_SAVE: Final = (
    update(messages)
    .where(messages.c.number == bindparam("of"), messages.c.version == bindparam("read_version"))
    .values({name: bindparam(f"new_{name}") for name in _CHANGING})
)
_RETRY: Final = (
    update(messages)
    .where(messages.c.state == str(MessageState.FAILED))
    .values(state=str(MessageState.OPEN), attempts=0, due_at=0.0, version=messages.c.version + 1)
)
_FAILED: Final = (
    select(messages.c.target, func.count(), func.max(messages.c.number))
    .where(messages.c.state == str(MessageState.FAILED))
    .group_by(messages.c.target)
)

_NOTE: Final = select(messages.c.note).where(messages.c.number == bindparam("of"))


class SqlMessageStore:
    """A ``MessageStore`` in a database.

    Args:
        jobs: The store whose database is shared; each change of a job's phase there brings its messages here.
        targets: Where else than to its consumer each job's messages go.
        body_of: Writes the body of a job's message.
    """

    def __init__(self, jobs: SqlJobStore, targets: Sequence[str], body_of: Callable[[Job], str]) -> None:
        self._database = jobs.database
        self._targets = tuple(targets)
        self._body_of = body_of
        jobs.observers.append(self._note)

    async def next(self) -> Message | None:
        """Give the open message that is due first, whether or not it is due yet; None when there is none."""
        row = await self._database.read(lambda connection: connection.execute(_NEXT).mappings().one_or_none())
        if row is None:
            return None
        return Message(
            number=row["number"],
            target=row["target"],
            job_id=JobId(row["job_id"]),
            body=row["body"],
            state=MessageState(row["state"]),
            attempts=row["attempts"],
            due_at=row["due_at"],
            note=row["note"],
            version=row["version"],
        )

    async def save(self, message: Message) -> Message:
        """Write a message if nobody else did since it was read."""
        after = replace(message, version=message.version + 1)
        values: dict[str, Any] = {f"new_{name}": getattr(after, name) for name in _CHANGING}
        values |= {"new_state": str(after.state), "of": message.number, "read_version": message.version}
        if await self._database.write(lambda connection: connection.execute(_SAVE, values).rowcount) != 1:
            raise StaleWrite(f"Message {message.number} was changed by somebody else.")
        return after

    async def remove(self, message: Message) -> None:
        """Forget a message that arrived. May be repeated."""
        statement = delete(messages).where(messages.c.number == message.number)
        await self._database.write(lambda connection: connection.execute(statement))

    async def retry(self) -> int:
        """Open every message that was given up, as if it was new and due now; give how many there were."""
        return await self._database.write(lambda connection: connection.execute(_RETRY).rowcount)

    async def failed(self) -> Sequence[MessageCount]:
        """Count the messages that were given up."""
        return await self._database.read(_failed)

    def _note(self, connection: Connection, job: Job) -> None:
        targets = (*self._targets, *((CONSUMER,) if job.notify else ()))
        if not targets or not is_told(job):
            return
        body = self._body_of(job)
        rows = [
            {
                "target": target,
                "job_id": job.id,
                "body": body,
                "state": str(MessageState.OPEN),
                "attempts": 0,
                "due_at": 0.0,
                "note": "",
                "version": 1,
            }
            for target in targets
        ]
        connection.execute(insert(messages), rows)


def _failed(connection: Connection) -> list[MessageCount]:
    return [
        MessageCount(target, count, str(connection.execute(_NOTE, {"of": newest}).scalar_one()))
        for target, count, newest in connection.execute(_FAILED).all()
    ]
