"""Reviews of what is held and their votes, in SQLite or PostgreSQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, insert, or_, select, update

from cove.core.airlock import Review, ReviewState
from cove.core.audit import Entry
from cove.core.errors import StaleWrite
from cove.core.job import JobId
from cove.stores.audit import append
from cove.stores.reviewcodec import VoteRow, decode, document, vote_rows
from cove.stores.rules import can_be_stored
from cove.stores.sql import SqlJobStore
from cove.stores.tables import NOT_SETTLED, reviews, votes

_OF_JOB: Final = reviews.c.job_id == bindparam("key")
_ONE: Final[Select[Any]] = select(reviews).where(_OF_JOB, reviews.c.attempt == bindparam("number"))
_NEWEST: Final[Select[Any]] = select(reviews).where(_OF_JOB).order_by(reviews.c.attempt.desc()).limit(1)
_ALL: Final[Select[Any]] = select(reviews).order_by(reviews.c.opened_at.desc()).limit(bindparam("limit"))
_OPEN: Final = _ALL.where(NOT_SETTLED, reviews.c.state == str(ReviewState.OPEN))
_VOTES: Final = (
    select(votes)
    .where(votes.c.job_id == bindparam("key"), votes.c.attempt == bindparam("number"))
    .order_by(votes.c.at, votes.c.reviewer)
)
_DUE: Final = (
    select(reviews.c.job_id)
    .where(NOT_SETTLED, or_(reviews.c.state != str(ReviewState.OPEN), reviews.c.expires_at < bindparam("now")))
    .order_by(reviews.c.expires_at)
    .limit(bindparam("limit"))
)
_SAVE: Final = (
    update(reviews)
    .where(_OF_JOB, reviews.c.attempt == bindparam("number"), reviews.c.version == bindparam("read_version"))
    .values({
        name: bindparam(f"new_{name}")
        for name in ("state", "opened_at", "expires_at", "settled", "version", "document")
    })
)  # fmt: skip


class SqlReviewStore:
    """A ``ReviewStore`` in a database.

    Args:
        jobs: The store whose database is shared; it is started and closed there.
    """

    def __init__(self, jobs: SqlJobStore) -> None:
        self._database = jobs.database

    async def add(self, review: Review, *entries: Entry) -> Review:
        """Store a new review, and give the stored one; one of the same job and attempt stays as it is, unnoted."""
        return await self._database.write(lambda connection: _add(connection, review, entries))

    async def get(self, job_id: JobId, attempt: int | None = None) -> Review | None:
        """Give the review of an attempt, or a job's newest one; None when there is none."""
        if not can_be_stored(job_id):
            return None
        return await self._database.read(lambda connection: _get(connection, job_id, attempt))

    async def find(self, *, open_only: bool = True, limit: int = 100) -> Sequence[Review]:
        """Give reviews, the newest first."""
        statement = _OPEN if open_only else _ALL
        return await self._database.read(
            lambda connection: [
                _with_votes(connection, row)
                for row in connection.execute(statement, {"limit": max(0, limit)}).mappings().all()
            ]
        )

    async def save(self, review: Review, *entries: Entry) -> Review:
        """Write a review if nobody else did since it was read, and give it with its new version."""
        return await self._database.write(lambda connection: _save(connection, review, entries))

    async def due(self, now: float, limit: int = 1000) -> Sequence[JobId]:
        """Give the jobs whose review is closed, or expired, and not settled."""
        asked = {"now": now, "limit": max(0, limit)}
        return await self._database.read(
            lambda connection: [JobId(found) for found in connection.execute(_DUE, asked).scalars()]
        )

    async def remove(self, job_id: JobId) -> None:
        """Forget every review of a job. May be repeated."""
        if can_be_stored(job_id):
            await self._database.write(lambda connection: _remove(connection, job_id))


def _add(connection: Connection, review: Review, entries: Iterable[Entry]) -> Review:
    stored = _get(connection, review.job_id, review.attempt)
    if stored is not None:
        return stored
    columns = {"job_id": review.job_id, "attempt": review.attempt, **_columns(review)}
    connection.execute(insert(reviews).values(**columns))
    _write_votes(connection, review)
    append(connection, entries)
    return review


def _get(connection: Connection, job_id: JobId, attempt: int | None) -> Review | None:
    asked = {"key": job_id} if attempt is None else {"key": job_id, "number": attempt}
    row = connection.execute(_NEWEST if attempt is None else _ONE, asked).mappings().one_or_none()
    return None if row is None else _with_votes(connection, row)


def _save(connection: Connection, review: Review, entries: Iterable[Entry]) -> Review:
    after = dataclasses.replace(review, version=review.version + 1)
    values = {f"new_{name}": value for name, value in _columns(after).items()}
    values |= {"key": review.job_id, "number": review.attempt, "read_version": review.version}
    # PostgreSQL holds the row from here to the end, so the votes below are those of one writer.
    if connection.execute(_SAVE, values).rowcount != 1:
        raise StaleWrite(f"The review of job {review.job_id} was changed by somebody else.")
    connection.execute(delete(votes).where(votes.c.job_id == review.job_id, votes.c.attempt == review.attempt))
    _write_votes(connection, after)
    append(connection, entries)
    return after


def _remove(connection: Connection, job_id: JobId) -> None:
    connection.execute(delete(votes).where(votes.c.job_id == job_id))
    connection.execute(delete(reviews).where(reviews.c.job_id == job_id))


def _columns(review: Review) -> dict[str, Any]:
    return {
        "state": str(review.state),
        "opened_at": review.opened_at,
        "expires_at": review.expires_at,
        "settled": review.settled,
        "version": review.version,
        "document": document(review),
    }


def _write_votes(connection: Connection, review: Review) -> None:
    rows = [
        {"job_id": review.job_id, "attempt": review.attempt, **dataclasses.asdict(row)} for row in vote_rows(review)
    ]
    if rows:
        connection.execute(insert(votes), rows)


def _with_votes(connection: Connection, row: Any) -> Review:  # noqa: ANN401 - a row of the driver
    asked = {"key": row["job_id"], "number": row["attempt"]}
    found = [
        VoteRow(vote["file"], vote["reviewer"], vote["approve"], vote["sha256"], vote["reason"], vote["at"])
        for vote in connection.execute(_VOTES, asked).mappings().all()
    ]
    return decode(row, found)
