"""Stores that forget everything at the end: for tests and for trying things out."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from cove.core import queueing
from cove.core.errors import NotFound, Refused, StaleWrite
from cove.core.grant import ORDER_KEY, GrantRecord
from cove.core.job import Job, JobId, Phase
from cove.core.lifecycle import never_ran
from cove.core.nonce import nonce_sort_key
from cove.ports import Finding, JobQuery, Line, Restart, RunLimit
from cove.stores.rules import (
    IN_LINE,
    UNDER_WAY,
    UNSTARTED,
    check_move,
    duration,
    grant_spent,
    grants_of,
    is_active,
    matches,
    used_up,
)

log = logging.getLogger("cove.stores")


class MemoryJobStore:
    """A ``JobStore`` in this process's memory; every method takes effect at once.

    Args:
        order_pays_again: False when an order pays for one job only, ever.
    """

    def __init__(self, *, order_pays_again: bool = True) -> None:
        self._order_pays_again = order_pays_again
        #: In the order in which they came.
        self._jobs: dict[JobId, Job] = {}
        self._packages: dict[JobId, bytes] = {}
        #: The job that each order pays for now, or has paid for where it pays only once.
        self._uses: dict[str, JobId] = {}
        self._next_place = itertools.count(1)
        #: Job, dataset, owner in lower case, and time of every start.
        self._starts: list[tuple[JobId, str, str, float]] = []
        #: By id; ``MemoryGrantStore`` keeps them here, where their runs are counted.
        self.grants: dict[str, GrantRecord] = {}

    async def start(self) -> None:
        """Say that nothing will be kept."""
        log.warning("jobs are kept in memory and are lost when the service ends")

    async def close(self) -> None:
        """Do nothing: what is stored stays readable, so that a test can look at it."""

    async def add(self, job: Job, package: bytes, limits: Sequence[RunLimit] = ()) -> Job:
        """Store a new job, its sealed package, its start and the use of its orders, all or nothing."""
        if job.id in self._jobs:
            raise StaleWrite(f"Job {job.id} is stored already.")
        self._check_runs(job, limits)
        if job.phase is not Phase.DONE:
            self._take_orders(job)
        self._jobs[job.id] = stored = replace(job, place=self._place(job))
        self._packages[job.id] = package
        self._record(job, job.created_at)
        return stored

    async def package(self, job_id: JobId) -> bytes:
        """Give the sealed package."""
        if job_id not in self._packages:
            raise NotFound("There is no such job.")
        return self._packages[job_id]

    async def get(self, job_id: JobId) -> Job | None:
        """Give a job, deleted ones too; None when there is none."""
        return self._jobs.get(job_id)

    async def find(self, query: JobQuery) -> Sequence[Job]:
        """Give the jobs that match, the newest first; never one whose deletion was asked for."""
        newest_first = reversed(self._jobs.values())
        return list(itertools.islice((job for job in newest_first if matches(job, query)), max(0, query.limit)))

    async def runs(self, owner: str, dataset: str, since: float) -> int:
        """Give how often an account started jobs on a dataset after a time, deleted ones too."""
        pair = (dataset, owner.lower())
        return sum(1 for _, *of, at in self._starts if tuple(of) == pair and at > since)

    async def save(self, job: Job, restart: Restart | None = None) -> Job:
        """Write a job if nobody else did since it was read, and give it with its new version."""
        stored = self._jobs.get(job.id)
        if stored is None or stored.version != job.version:
            raise StaleWrite(f"Job {job.id} was changed by somebody else.")
        check_move(stored.phase, job.phase)
        self._check_runs(job, restart.limits if restart is not None else ())
        if stored.phase is Phase.DONE and job.phase is not Phase.DONE:
            self._take_orders(job)
            job = replace(job, place=self._place(job))
        if stored.phase is not Phase.DONE and job.phase is Phase.DONE:
            self._end(job)
        if restart is not None:
            self._packages[job.id] = restart.package
            self._record(job, restart.at)
        after = replace(job, version=job.version + 1)
        self._jobs[job.id] = after
        return after

    async def remove(self, job_id: JobId) -> None:
        """Forget a job, its package and its orders' use. May be repeated."""
        if self._order_pays_again:
            self._free_orders(job_id)
        self._jobs.pop(job_id, None)
        self._packages.pop(job_id, None)

    async def queued(self, environment: str, limit: int, *, free: bool | None = None) -> Sequence[Job]:
        """Give the jobs in ACCEPTED of an environment, whose turn is next first, at most ``limit``."""
        waiting = [job for job in self._queue(environment) if free in {None, job.is_free}]
        return waiting[: max(0, limit)]

    async def active(self) -> Sequence[Job]:
        """Give every job that is neither ACCEPTED nor DONE, and every job with an open stop or delete wish."""
        return [job for job in self._jobs.values() if is_active(job)]

    async def counts(self, environment: str) -> tuple[int, int]:
        """Give how many jobs of an environment wait in ACCEPTED, and how many are between that and DONE."""
        waiting = len(self._queue(environment))
        unfinished = sum(1 for job in self._of(environment) if job.phase not in {Phase.HELD, Phase.DONE})
        return waiting, unfinished - waiting

    async def position(self, job: Job) -> int:
        """Give the place of an ACCEPTED job in its environment's queue: 1 is next, 0 means that it does not wait."""
        waiting = [other.id for other in self._queue(job.environment)]
        return waiting.index(job.id) + 1 if job.id in waiting else 0

    async def durations(self, environment: str, limit: int = 20) -> Sequence[float]:
        """Give the run times (seconds) of the newest finished jobs of an environment, the newest first."""
        newest_first = reversed(list(self._of(environment)))
        finished = [(job.finished_at, duration(job)) for job in newest_first]
        timed = [(end, seconds) for end, seconds in finished if end is not None and seconds is not None]
        timed.sort(key=lambda pair: -pair[0])
        return [seconds for _, seconds in timed[: max(0, limit)]]

    async def line(self, environment: str, durations: int = 20, *, free: bool = False) -> Line:
        """Give who waits in an environment, and what is known of how fast it goes on."""
        under_way = [job for job in self._of(environment) if job.phase in UNDER_WAY]
        queue = self._queue(environment)
        line = Line([job.place for job in queue], len(under_way), await self.durations(environment, durations))
        if not free:
            return line
        free_places = [job.place for job in queue if job.is_free]
        return replace(line, free_places=free_places, free_under_way=sum(job.is_free for job in under_way))

    async def overdue(self, now: float, limit: int = 1000) -> Sequence[JobId]:
        """Give jobs in ACCEPTED that have waited too long, the longest first."""
        late = [
            (job.wait_until, job.id)
            for job in self._jobs.values()
            if job.phase is Phase.ACCEPTED and job.wait_until is not None and job.wait_until < now
        ]
        return [job_id for _, job_id in sorted(late)][: max(0, limit)]

    async def known(self, jobs: Iterable[JobId]) -> frozenset[JobId]:
        """Say which of these jobs are stored, so that what no job owns can be removed."""
        return frozenset(self._jobs.keys() & set(jobs))

    async def examine(self) -> Sequence[Finding]:
        """Say that nothing will be kept."""
        seen = f"{len(self._jobs)} jobs are kept in memory and are lost when the service ends."
        return [Finding("database", ok=True, seen=seen, advice="Use SQLite or PostgreSQL for a service.")]

    def _of(self, environment: str) -> Iterator[Job]:
        return (job for job in self._jobs.values() if job.environment == environment)

    def _place(self, job: Job) -> int:
        line = [other for other in self._of(job.environment) if other.id != job.id and other.phase in IN_LINE]
        turn = queueing.turn(
            _turn(max, (other for other in line if other.phase is Phase.RUNNING)),
            _turn(min, (other for other in line if other.phase in UNSTARTED)),
            _turn(max, (other for other in line if other.owner.lower() == job.owner.lower())),
        )
        return queueing.place(turn, next(self._next_place))

    def _queue(self, environment: str) -> list[Job]:
        waiting = [job for job in self._of(environment) if job.phase is Phase.ACCEPTED]
        return sorted(waiting, key=lambda job: job.place)

    def _take_orders(self, job: Job) -> None:
        if any(self._uses.get(key, job.id) != job.id for key in job.order_keys):
            raise Refused("agreementId", "in_use")
        for grant in grants_of(job):
            record = self.grants.get(grant)
            if record is None or record.used >= record.grant.runs or record.revoked_at is not None:
                raise grant_spent()
        for grant in grants_of(job):
            self.grants[grant] = replace(self.grants[grant], used=self.grants[grant].used + 1)
        self._uses.update(dict.fromkeys(job.order_keys, job.id))

    def _check_runs(self, job: Job, limits: Sequence[RunLimit]) -> None:
        for limit in () if job.mock else limits:
            pair = (limit.dataset, job.owner.lower())
            if sum(1 for _, *of, at in self._starts if tuple(of) == pair and at > limit.since) >= limit.runs:
                raise used_up(limit)

    def _record(self, job: Job, at: float) -> None:
        if job.mock:
            return
        self._starts += [(job.id, dataset, job.owner.lower(), at) for dataset in dict.fromkeys(job.dataset_dids)]

    def _end(self, job: Job) -> None:
        """Free what paid for a job: where an order pays only once, only what is a grant or paid for nothing."""
        unused = never_ran(job)
        if unused:
            self._starts = [start for start in self._starts if start[0] != job.id]
        for grant in grants_of(job) if unused else ():
            if grant in self.grants and self.grants[grant].used:
                self.grants[grant] = replace(self.grants[grant], used=self.grants[grant].used - 1)
        freed = (
            set(job.order_keys)
            if self._order_pays_again or unused
            else {key for key in job.order_keys if key.startswith(ORDER_KEY)}
        )
        self._uses = {key: user for key, user in self._uses.items() if user != job.id or key not in freed}

    def _free_orders(self, job_id: JobId) -> None:
        self._uses = {key: user for key, user in self._uses.items() if user != job_id}


def _turn(choose: Callable[..., int | None], jobs: Iterable[Job]) -> int | None:
    return queueing.turn_at(choose((job.place for job in jobs), default=None))


class MemoryNonceStore:
    """A ``NonceStore`` in this process's memory."""

    def __init__(self) -> None:
        self._nonces: dict[str, str] = {}

    async def last(self, address: str) -> str | None:
        """Give the last nonce used, as the text it was sent in; None for an address that used none."""
        return self._nonces.get(address.lower())

    async def use(self, address: str, nonce: str) -> bool:
        """Take a nonce; False when it is not greater than the last one used."""
        key = nonce_sort_key(nonce)
        last = self._nonces.get(address.lower())
        if last is not None and key <= nonce_sort_key(last):
            return False
        self._nonces[address.lower()] = nonce
        return True


class MemoryGrantStore:
    """A ``GrantStore`` in this process's memory.

    Args:
        jobs: The store that counts the runs.
    """

    def __init__(self, jobs: MemoryJobStore) -> None:
        self._grants = jobs.grants

    async def add(self, record: GrantRecord) -> bool:
        """Keep a grant; False when it is kept already, which changes nothing."""
        if record.id in self._grants:
            return False
        self._grants[record.id] = record
        return True

    async def get(self, grant_id: str) -> GrantRecord | None:
        """Give a grant; None when there is none."""
        return self._grants.get(grant_id)

    async def list(self) -> Sequence[GrantRecord]:
        """Give all grants, the newest first."""
        return list(reversed(self._grants.values()))

    async def revoke(self, grant_id: str, now: float) -> bool:
        """Take a grant back, for ever; False when there is none, or it was taken back before."""
        record = self._grants.get(grant_id)
        if record is None or record.revoked_at is not None:
            return False
        self._grants[grant_id] = replace(record, revoked_at=now)
        return True


class MemoryTokenStore:
    """A ``TokenStore`` in this process's memory."""

    def __init__(self) -> None:
        self._revoked: dict[str, int] = {}

    async def revoke(self, token_id: str, expires: int) -> bool:
        """Take a token back; False when it was taken back before."""
        if token_id in self._revoked:
            return False
        self._revoked[token_id] = expires
        return True

    async def is_revoked(self, token_id: str) -> bool:
        """Say whether a token was taken back."""
        return token_id in self._revoked
