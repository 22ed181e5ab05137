"""Jobs in SQLite or PostgreSQL, in the same SQL for both. Each method that writes is one transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Select,
    String,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)

from cove.core import queueing
from cove.core.errors import NotFound, StaleWrite
from cove.core.job import Job, JobId, Phase
from cove.core.lifecycle import never_ran
from cove.ports import Finding, JobQuery, Line, Restart, RunLimit
from cove.stores import orderuses, starts
from cove.stores.codec import CHANGING, COLUMNS, decode, encode
from cove.stores.database import Database, DatabaseConfig
from cove.stores.grant_runs import give_grants_back
from cove.stores.lines import DURATIONS, IN_ENVIRONMENT, IS_FREE, read_line
from cove.stores.prepared import Prepared
from cove.stores.rules import can_be_stored, check_move, matches
from cove.stores.tables import (
    IS_ACTIVE,
    IS_IN_LINE,
    IS_UNSTARTED,
    NOT_DONE,
    QUEUE,
    WAITS,
    deadlines,
    deliveries,
    jobs,
    order_uses,
    packages,
)

Observer = Callable[[Connection, Job], None]
_IDS_AT_ONCE: Final = 500

_own = jobs.alias("own")

_JOB: Final[Select[Any]] = select(*[jobs.c[name] for name in COLUMNS])
_BY_ID: Final = _JOB.where(jobs.c.id == bindparam("key"))
_PACKAGE: Final = select(packages.c.sealed).where(packages.c.job_id == bindparam("key"))
_STORED: Final = Prepared(select(jobs.c.version, jobs.c.phase).where(jobs.c.id == bindparam("key")))

_RUNS: Final = jobs.c.phase == literal_column("'running'", String)

_ACTIVE: Final = _JOB.where(IS_ACTIVE).order_by(jobs.c.number)
_QUEUED: Final = _JOB.where(IN_ENVIRONMENT, WAITS, NOT_DONE).order_by(jobs.c.place).limit(bindparam("limit"))
_QUEUED_BY_TIER: Final[Mapping[bool | None, Select[Any]]] = {
    None: _QUEUED,
    True: _QUEUED.where(IS_FREE),
    False: _QUEUED.where(~IS_FREE),
}
_COUNTS: Final = select(
    func.coalesce(func.sum(case((WAITS, 1), else_=0)), 0),
    func.coalesce(func.sum(case((jobs.c.phase == literal_column("'held'", String), 0), else_=1)), 0),
).where(IN_ENVIRONMENT, NOT_DONE)
_PLACE: Final = select(_own.c.place).where(_own.c.id == bindparam("key"), _own.c.phase == str(Phase.ACCEPTED))
_POSITION: Final = select(func.count()).where(IN_ENVIRONMENT, WAITS, NOT_DONE, jobs.c.place <= _PLACE.scalar_subquery())
_KNOWN: Final = select(jobs.c.id).where(jobs.c.id.in_(bindparam("ids", expanding=True)))

_NEXT_PLACE: Final = Prepared(
    text(
        "INSERT INTO counters (name, value) VALUES (:name, 1) "
        "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value"
    )
)
# One row: the highest place that runs, the lowest that has not started, and the highest of this owner's.
_PLACES: Final = Prepared(
    select(
        select(func.max(jobs.c.place)).where(IN_ENVIRONMENT, _RUNS, NOT_DONE).scalar_subquery(),
        select(func.min(jobs.c.place)).where(IN_ENVIRONMENT, IS_UNSTARTED, NOT_DONE).scalar_subquery(),
        select(func.max(jobs.c.place))
        .where(jobs.c.owner == bindparam("owner"), IN_ENVIRONMENT, IS_IN_LINE)
        .scalar_subquery(),
    )
)
_OVERDUE: Final = (
    select(deadlines.c.job_id)
    .where(deadlines.c.wait_until < bindparam("now"))
    .order_by(deadlines.c.wait_until)
    .limit(bindparam("limit"))
)
_NO_DEADLINE: Final = Prepared(
    delete(deadlines).where(deadlines.c.job_id == bindparam("key")).returning(deadlines.c.job_id)
)
_ADD: Final = Prepared(
    insert(jobs)
    .values({column.name: bindparam(column.name) for column in jobs.c if column is not jobs.c.number})
    .returning(jobs.c.number)
)
_ADD_PACKAGE: Final = Prepared(
    insert(packages).values(job_id=bindparam("job_id"), sealed=bindparam("sealed")).returning(packages.c.job_id)
)
# What a job is found by never changes: to write it again would cost three indexes.
_SAVE: Final = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("key"), jobs.c.version == bindparam("read_version"))
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
    .returning(jobs.c.number)
)


class SqlJobStore:
    """A ``JobStore`` in a database.

    Args:
        url: SQLAlchemy URL of a SQLite file or of PostgreSQL, which may hold a password.
        order_pays_again: False when an order pays for one job only, ever.
        busy_seconds: How long to wait for a lock before ``Unavailable``.
        connections: Connections at one time.

    Raises:
        SettingsWrong: The URL makes no sense, or its driver is not installed.
    """

    def __init__(
        self, url: str, *, order_pays_again: bool = True, busy_seconds: float = 10.0, connections: int = 4
    ) -> None:
        #: Opened by :meth:`start` and closed by :meth:`close`; other stores may share it.
        self.database = database = Database(DatabaseConfig(url, busy_seconds, connections))
        #: Called with each job whose phase changes, within the very transaction.
        self.observers: list[Observer] = []
        #: False when an order pays for one job only, ever.
        self.pays_again = order_pays_again
        self._by_id = database.point_read(_BY_ID, "key")
        self._package_of = database.point_read(_PACKAGE, "key")

    async def start(self) -> None:
        """Open the database, and make or renew its tables where that is needed."""
        await self.database.start()

    async def close(self) -> None:
        """Let what is under way end, and let go of connections."""
        await self.database.close()

    async def add(self, job: Job, package: bytes, limits: Sequence[RunLimit] = ()) -> Job:
        """Store a new job, its sealed package, its start and the use of its orders, all or nothing."""

        def write(connection: Connection) -> Job:
            added = _add(connection, self, job, package)
            starts.record(connection, added, job.created_at, limits)
            return added

        return await self.database.write(write)

    async def package(self, job_id: JobId) -> bytes:
        """Give the sealed package."""
        row = await self._package_of(job_id) if can_be_stored(job_id) else None
        if row is None:
            raise NotFound("There is no such job.")
        return bytes(row[0])

    async def get(self, job_id: JobId) -> Job | None:
        """Give a job, deleted ones too; None when there is none."""
        row = await self._by_id(job_id) if can_be_stored(job_id) else None
        return None if row is None else decode(row)

    async def find(self, query: JobQuery) -> Sequence[Job]:
        """Give the jobs that match, the newest first; never one whose deletion was asked for."""
        given = (query.job_id, query.owner, query.document_id, query.agreement_id)
        if query.limit < 1 or not all(can_be_stored(part) for part in given if part is not None):
            return ()
        if query.job_id is not None:
            job = await self.get(query.job_id)
            return (job,) if job is not None and matches(job, query) else ()
        searched = _searched(query)
        statement = _matching(tuple(searched), open_only=query.open_only)
        return await self._jobs(statement, {**searched, "limit": query.limit})

    async def save(self, job: Job, restart: Restart | None = None) -> Job:
        """Write a job if nobody else did since it was read, and give it with its new version."""

        def write(connection: Connection) -> Job:
            saved = _save(connection, self, job)
            if restart is not None:
                starts.record(connection, saved, restart.at, restart.limits)
                starts.REPACK.rows(connection, {"key": job.id, "sealed": restart.package})
            return saved

        return await self.database.write(write)

    async def runs(self, owner: str, dataset: str, since: float) -> int:
        """Give how often an account started jobs on a dataset after a time, deleted ones too."""
        asked = {"owner": owner.lower(), "dataset": dataset, "since": since}
        if not can_be_stored(owner + dataset):
            return 0
        return await self.database.read(lambda connection: int(connection.execute(starts.COUNT, asked).scalar_one()))

    async def remove(self, job_id: JobId) -> None:
        """Forget a job, its package and its orders' use. May be repeated."""
        if can_be_stored(job_id):
            await self.database.write(lambda connection: _remove(connection, job_id, keep_orders=not self.pays_again))

    async def queued(self, environment: str, limit: int, *, free: bool | None = None) -> Sequence[Job]:
        """Give the jobs in ACCEPTED of an environment, whose turn is next first, at most ``limit``."""
        statement = _QUEUED_BY_TIER[free]
        return await self._jobs(statement, {"environment": environment, "limit": max(0, limit)})

    async def active(self) -> Sequence[Job]:
        """Give every job that is neither ACCEPTED nor DONE, and every job with an open stop or delete wish."""
        return await self._jobs(_ACTIVE, {})

    async def counts(self, environment: str) -> tuple[int, int]:
        """Give how many jobs of an environment wait in ACCEPTED, and how many are between that and DONE."""
        row = await self.database.read(
            lambda connection: connection.execute(_COUNTS, {"environment": environment}).one()
        )
        waiting, unfinished = int(row[0]), int(row[1])
        return waiting, unfinished - waiting

    async def position(self, job: Job) -> int:
        """Give the place of an ACCEPTED job in its environment's queue: 1 is next, 0 means that it does not wait."""
        own = {"environment": job.environment, "key": job.id}
        return await self.database.read(lambda connection: int(connection.execute(_POSITION, own).scalar_one()))

    async def durations(self, environment: str, limit: int = 20) -> Sequence[float]:
        """Give the run times (seconds) of the newest finished jobs of an environment, the newest first."""
        wanted = {"environment": environment, "limit": max(0, limit)}
        return await self.database.read(lambda connection: connection.execute(DURATIONS, wanted).scalars().all())

    async def line(self, environment: str, durations: int = 20, *, free: bool = False) -> Line:
        """Give who waits in an environment, and what is known of how fast it goes on."""
        return await self.database.read(lambda connection: read_line(connection, environment, durations, free=free))

    async def overdue(self, now: float, limit: int = 1000) -> Sequence[JobId]:
        """Give jobs in ACCEPTED that have waited too long, the longest first."""
        asked = {"now": now, "limit": max(0, limit)}
        return await self.database.read(
            lambda connection: [JobId(found) for found in connection.execute(_OVERDUE, asked).scalars()]
        )

    async def known(self, jobs: Iterable[JobId]) -> frozenset[JobId]:
        """Say which of these jobs are stored, so that what no job owns can be removed."""
        asked = {job for job in jobs if can_be_stored(job)}
        return (
            await self.database.read(lambda connection: frozenset(_stored_ids(connection, asked)))
            if asked
            else frozenset()
        )

    async def examine(self) -> Sequence[Finding]:
        """Look at the database."""
        return await self.database.examine()

    async def _jobs(self, statement: Select[Any], parameters: dict[str, Any]) -> Sequence[Job]:
        # Decoded in the reader's thread as well: a hundred jobs are some milliseconds that the event loop can use.
        return await self.database.read(
            lambda connection: [decode(row) for row in connection.execute(statement, parameters)]
        )


def _searched(query: JobQuery) -> dict[str, str]:
    """Give the columns that are searched with their values, the most telling first."""
    given = {"agreement": query.agreement_id, "owner": query.owner, "dataset": query.document_id}
    exact = {"dataset"}
    return {name: value if name in exact else value.lower() for name, value in given.items() if value is not None}


@functools.cache
def _matching(columns: tuple[str, ...], *, open_only: bool) -> Select[Any]:
    """Put a search into SQL so that its most telling part alone can choose the index.

    Without statistics a planner may take the index of a dataset with a million jobs to find the twenty of an owner;
    a column inside a function cannot be looked up in an index, so the other parts are written that way.

    Args:
        columns: What is searched, the most telling first.
        open_only: Only jobs that are not DONE.
    """
    statement = _JOB.where(jobs.c.delete_requested_at.is_(None)).order_by(jobs.c.number.desc())
    if open_only:
        statement = statement.where(NOT_DONE)
    for position, name in enumerate(columns):
        column = func.coalesce(jobs.c[name], "") if position else jobs.c[name]
        statement = statement.where(column == bindparam(name))
    return statement.limit(bindparam("limit"))


def _add(connection: Connection, store: SqlJobStore, job: Job, package: bytes) -> Job:
    place = _next_place(connection, job)
    if _STORED.rows(connection, {"key": job.id}):
        raise StaleWrite(f"Job {job.id} is stored already.")
    _ADD.rows(connection, {**encode(job), "place": place})
    _ADD_PACKAGE.rows(connection, {"job_id": job.id, "sealed": package})
    if not store.pays_again:
        orderuses.refuse_paid_for(connection, job)
    if job.phase is not Phase.DONE:
        orderuses.take_orders(connection, job)
    if job.phase is Phase.ACCEPTED:
        _set_deadline(connection, job)
    for observe in store.observers:
        observe(connection, job)
    return replace(job, place=place)


def _save(connection: Connection, store: SqlJobStore, job: Job) -> Job:
    stored = _STORED.rows(connection, {"key": job.id})
    if not stored or stored[0][0] != job.version:
        raise StaleWrite(f"Job {job.id} was changed by somebody else.")
    before = Phase(stored[0][1])
    check_move(before, job.phase)
    restarts = before is Phase.DONE and job.phase is not Phase.DONE
    # Before the write, so that the job does not count itself.
    place = _next_place(connection, job) if restarts else job.place
    after = replace(job, version=job.version + 1, place=place)
    columns = encode(after)
    values = {f"new_{name}": columns[name] for name in CHANGING} | {"key": job.id, "read_version": job.version}
    # The condition holds always in SQLite, whose transaction began with the write lock; in PostgreSQL another service
    # may have been quicker since the line above.
    if not _SAVE.rows(connection, values):
        raise StaleWrite(f"Job {job.id} was changed by somebody else.")
    if before is not job.phase and job.phase is Phase.DONE:
        unused = never_ran(job)
        (orderuses.FORGET_ORDERS if unused else orderuses.FREE_ORDERS).rows(connection, {"key": job.id})
        if unused:
            starts.FORGET.rows(connection, {"key": job.id})
            give_grants_back(connection, job)
    if before is Phase.ACCEPTED and job.phase is not Phase.ACCEPTED and job.wait_until is not None:
        _NO_DEADLINE.rows(connection, {"key": job.id})
    if restarts:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(place=place))
        if not store.pays_again:
            orderuses.refuse_paid_for(connection, job)
        orderuses.take_orders(connection, job)
        _set_deadline(connection, job)
    for observe in store.observers if before is not job.phase else ():
        observe(connection, after)
    return after


def _set_deadline(connection: Connection, job: Job) -> None:
    if job.wait_until is not None:
        connection.execute(insert(deadlines), {"job_id": job.id, "wait_until": job.wait_until})


def _next_place(connection: Connection, job: Job) -> int:
    arrival = int(_NEXT_PLACE.rows(connection, {"name": QUEUE})[0][0])
    asked = {"environment": job.environment, "owner": job.owner.lower()}
    served, waiting, own = (queueing.turn_at(place) for place in _PLACES.rows(connection, asked)[0])
    return queueing.place(queueing.turn(served, waiting, own), arrival)


def _remove(connection: Connection, job_id: JobId, *, keep_orders: bool) -> None:
    connection.execute(delete(jobs).where(jobs.c.id == job_id))
    connection.execute(delete(packages).where(packages.c.job_id == job_id))
    connection.execute(delete(deadlines).where(deadlines.c.job_id == job_id))
    connection.execute(delete(deliveries).where(deliveries.c.job_id == job_id))
    if keep_orders:
        orderuses.FREE_ORDERS.rows(connection, {"key": job_id})
    else:
        connection.execute(delete(order_uses).where(order_uses.c.job_id == job_id))


def _stored_ids(connection: Connection, asked: Iterable[JobId]) -> Iterable[JobId]:
    remaining = iter(asked)
    while batch := list(islice(remaining, _IDS_AT_ONCE)):
        yield from connection.execute(_KNOWN, {"ids": batch}).scalars()
