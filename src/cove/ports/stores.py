"""What keeps jobs, nonces and results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cove.core.grant import GrantRecord
from cove.core.job import Job, JobId
from cove.core.policy import ReleasedOutput
from cove.ports.common import Finding


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs are asked for; parts that are None do not count, given ones must all hold."""

    job_id: JobId | None = None
    #: Compared without case.
    owner: str | None = None
    #: The main dataset's DID.
    document_id: str | None = None
    #: With ``0x``, lower case.
    agreement_id: str | None = None
    #: Only jobs that are not DONE.
    open_only: bool = False
    #: At most so many, the newest first.
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Line:
    """Who waits in an environment, and what is known of how fast it goes on."""

    #: ``Job.place`` of every job in ACCEPTED, ascending.
    places: Sequence[int]
    #: Jobs between ACCEPTED and DONE, those left out that are HELD.
    under_way: int
    #: Seconds of its last finished runs.
    durations: Sequence[float]
    #: Those of ``places`` that are of jobs of the free tier; empty where nobody asked for them.
    free_places: Sequence[int] = ()
    #: Those of ``under_way`` that are; 0 where nobody asked.
    free_under_way: int = 0


@dataclass(frozen=True, slots=True)
class RunLimit:
    """How often an account may start jobs on a dataset."""

    dataset: str
    #: So many starts, and no further one.
    runs: int
    #: Unix time after which starts count.
    since: float
    #: The dotted field that a refusal stands under.
    field: str


@dataclass(frozen=True, slots=True)
class Restart:
    """What a job is run again with."""

    #: Unix time.
    at: float
    #: Sealed, in place of the one before.
    package: bytes
    limits: tuple[RunLimit, ...] = ()


class JobStore(Protocol):
    """Keeps jobs. Every write is one transaction; jobs with ``delete_requested_at`` are invisible to :meth:`find`."""

    async def start(self) -> None:
        """Get ready (open, check the schema's version).

        Raises:
            SettingsWrong: The database is newer than this program.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    async def add(self, job: Job, package: bytes, limits: Sequence[RunLimit] = ()) -> Job:
        """Store a new job, its sealed package, its start and the use of its orders, all or nothing.

        Of starts that come at one time no more are let in than ``limits`` allow.

        Returns:
            The job with its place (``core.queueing``).

        Raises:
            Refused: ``agreementId: in_use`` when one of its orders pays for a job that is not done; ``grant_spent``
                when one is a grant whose runs are used up, or that was taken back; ``policy_runs_used_up`` under a
                limit's field.
        """
        ...

    async def package(self, job_id: JobId) -> bytes:
        """Give the sealed package.

        Raises:
            NotFound: No such job.
        """
        ...

    async def get(self, job_id: JobId) -> Job | None:
        """Give a job, deleted ones too; None when there is none."""
        ...

    async def find(self, query: JobQuery) -> Sequence[Job]:
        """Give the jobs that match, the newest first; never one whose deletion was asked for."""
        ...

    async def runs(self, owner: str, dataset: str, since: float) -> int:
        """Give how often an account started, or restarted, jobs on a dataset after a time.

        Jobs that were deleted since count too; jobs that never left the queue do not (``lifecycle.never_ran``).

        Args:
            owner: In any case.
            dataset: DID of any of a job's datasets.
            since: Unix time, itself not included; starts of more than a year ago may be forgotten.
        """
        ...

    async def save(self, job: Job, restart: Restart | None = None) -> Job:
        """Write a job if nobody else did since it was read, and give it with its new version.

        With ``restart``, in the same transaction, its package is replaced and the start is counted as in :meth:`add`.

        Moving to DONE frees its orders, as if they had never been used where nothing ran (``lifecycle.never_ran``);
        moving from DONE to ACCEPTED takes them again and gives a new place, in the same transaction. Each time that the
        orders are taken is a run of those that are grants; what never ran gives its run back.

        Raises:
            StaleWrite: Another version is stored, or the job is gone.
            Refused: ``agreementId: in_use`` when a restarted job's order pays for another job now; ``grant_spent`` and
                ``policy_runs_used_up`` as for :meth:`add`.
            ValueError: The move of phase is not legal.
        """
        ...

    async def remove(self, job_id: JobId) -> None:
        """Forget a job, its package and its orders' use. May be repeated."""
        ...

    async def queued(self, environment: str, limit: int, *, free: bool | None = None) -> Sequence[Job]:
        """Give the jobs in ACCEPTED of an environment, whose turn is next first, at most ``limit``.

        Args:
            environment: Its id.
            limit: How many.
            free: True for those of its free tier alone, False for all others; None for both.
        """
        ...

    async def active(self) -> Sequence[Job]:
        """Give every job that is neither ACCEPTED nor DONE, and every job with an open stop or delete wish.

        A job that rests in the airlock (``lifecycle.waits_for_review``) is not among them.
        """
        ...

    async def counts(self, environment: str) -> tuple[int, int]:
        """Give how many jobs of an environment wait in ACCEPTED, and how many are between that and DONE but HELD."""
        ...

    async def position(self, job: Job) -> int:
        """Give the place of an ACCEPTED job in its environment's queue: 1 is next, 0 means that it does not wait."""
        ...

    async def durations(self, environment: str, limit: int = 20) -> Sequence[float]:
        """Give the run times (seconds) of the newest finished jobs of an environment, for queue estimates."""
        ...

    async def line(self, environment: str, durations: int = 20, *, free: bool = False) -> Line:
        """Give who waits in an environment, and the run times of so many of its newest finished jobs.

        Args:
            environment: The environment.
            durations: How many run times.
            free: Whether to tell as well which jobs are of its free tier, which takes several times as long.

        This reads the whole queue; it is made for somebody who keeps the answer for a while.
        """
        ...

    async def overdue(self, now: float, limit: int = 1000) -> Sequence[JobId]:
        """Give the jobs in ACCEPTED whose ``wait_until`` has passed, the earliest first, at most ``limit``."""
        ...

    async def known(self, jobs: Iterable[JobId]) -> frozenset[JobId]:
        """Say which of these jobs are stored, so that what no job owns can be removed."""
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at the database."""
        ...


class NonceStore(Protocol):
    """Remembers the last nonce of every address; addresses are compared by value."""

    async def last(self, address: str) -> str | None:
        """Give the last nonce used, as the text it was sent in; None for an address that used none."""
        ...

    async def use(self, address: str, nonce: str) -> bool:
        """Take a nonce in one atomic write; False when it is not greater than the last one used.

        Args:
            address: In any case.
            nonce: A decimal number as text, already checked for form by ``core.messages.parse_nonce``.
        """
        ...


class TokenStore(Protocol):
    """Remembers which auth tokens were taken back before their time."""

    async def revoke(self, token_id: str, expires: int) -> bool:
        """Take a token back; False when it was taken back before.

        Args:
            token_id: What the token calls itself.
            expires: Unix time from which on it need not be remembered.
        """
        ...

    async def is_revoked(self, token_id: str) -> bool:
        """Say whether a token was taken back."""
        ...


class GrantStore(Protocol):
    """Keeps grants (``core.grant``). The job store of the same database counts their runs, with the jobs themselves."""

    async def add(self, record: GrantRecord) -> bool:
        """Keep a grant; False when it is kept already, which changes nothing."""
        ...

    async def get(self, grant_id: str) -> GrantRecord | None:
        """Give a grant; None when there is none.

        Args:
            grant_id: Its digest in lower case; anything else is the id of none.
        """
        ...

    async def list(self) -> Sequence[GrantRecord]:
        """Give all grants, the newest first."""
        ...

    async def revoke(self, grant_id: str, now: float) -> bool:
        """Take a grant back, for ever; False when there is none, or it was taken back before."""
        ...


class ResultStore(Protocol):
    """Keeps released results. It takes nothing that was not released."""

    def put(self, job_id: JobId, attempt: int, output: ReleasedOutput, content: Callable[[], Path]) -> str:
        """Store one released file and give its key; an equal earlier put of the same path is replaced. Blocking.

        Args:
            job_id: Its job.
            attempt: Its attempt.
            output: What was released; the bytes must have its size and digest.
            content: Gives a path of this host that holds the bytes; the store may take the file away (rename).

        Raises:
            StaleWrite: The bytes are not those that were released.
            NoSpace: The store is full.
        """
        ...

    def key(self, job_id: JobId, attempt: int, kind: str, path: str) -> str:
        """Give the key that :meth:`put` gives, or gave, to a file of this type and path."""
        ...

    def settle(self, job_id: JobId) -> None:
        """Have all that was put of a job outlive a power cut; called once, after the last put. Blocking.

        Raises:
            NoSpace: The store is full.
        """
        ...

    def read(self, key: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """Give a part of a stored file in chunks.

        Raises:
            NotFound: There is no such key.
        """
        ...

    async def delete(self, job_id: JobId) -> None:
        """Forget everything of a job. May be repeated."""
        ...

    async def jobs(self) -> Sequence[JobId]:
        """List the jobs that anything is stored of."""
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at the store."""
        ...
