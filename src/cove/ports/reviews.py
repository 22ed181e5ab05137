"""What keeps what is held: the files in the airlock, the reviews, and the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Protocol

from cove.core.airlock import Review
from cove.core.audit import Entry, Head, Record
from cove.core.job import JobId, Verdict


class Airlock(Protocol):
    """Keeps files that are not released, and may yet be. It gives them to reviewers and to a ``ResultStore`` alone."""

    def put(self, job_id: JobId, file: Verdict, content: Callable[[], Path]) -> None:
        """Take a file in; an equal earlier one of the same type and path stays. Blocking.

        Args:
            job_id: Its job.
            file: The bytes must have its size and digest.
            content: Gives a path of this host that holds the bytes; the airlock may take the file away (rename).

        Raises:
            StaleWrite: The bytes are not those that were judged.
            NoSpace: There is no room.
        """
        ...

    def settle(self, job_id: JobId) -> None:
        """Have all that was taken in of a job outlive a power cut; called once, after the last put. Blocking.

        Raises:
            NoSpace: There is no room.
        """
        ...

    def look(self, job_id: JobId, kind: str, path: str) -> tuple[int, str]:
        """Give size and sha256 of a file as it is now. Blocking.

        Raises:
            NotFound: There is no such file.
        """
        ...

    def place(self, job_id: JobId, kind: str, path: str) -> Path:
        """Say where a file is, or would be, on this host, for a ``ResultStore`` to take it from."""
        ...

    def read(self, job_id: JobId, kind: str, path: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """Give a part of a file in chunks.

        Raises:
            NotFound: There is no such file.
        """
        ...

    async def delete(self, job_id: JobId) -> None:
        """Remove everything of a job. May be repeated."""
        ...

    async def jobs(self) -> Sequence[JobId]:
        """List the jobs that anything is kept of."""
        ...


class ReviewStore(Protocol):
    """Keeps reviews with their votes. Every write is one transaction, with what the audit log says of it."""

    async def add(self, review: Review, *entries: Entry) -> Review:
        """Store a new review, and give the stored one; one of the same job and attempt stays as it is, unnoted."""
        ...

    async def get(self, job_id: JobId, attempt: int | None = None) -> Review | None:
        """Give the review of an attempt, or a job's newest one; None when there is none."""
        ...

    async def find(self, *, open_only: bool = True, limit: int = 100) -> Sequence[Review]:
        """Give reviews, the newest first."""
        ...

    async def save(self, review: Review, *entries: Entry) -> Review:
        """Write a review if nobody else did since it was read, and give it with its new version.

        Raises:
            StaleWrite: Somebody else did, or it is gone.
        """
        ...

    async def due(self, now: float, limit: int = 1000) -> Sequence[JobId]:
        """Give the jobs whose newest review is closed, or expired, and not settled: the loop is to look at them."""
        ...

    async def remove(self, job_id: JobId) -> None:
        """Forget every review of a job. May be repeated."""
        ...


class AuditStore(Protocol):
    """The audit log. However many processes write to it at once, it is one chain."""

    async def append(self, *entries: Entry) -> Head:
        """Write entries down, in their order, and give the newest record; what may stand there once stays as it is."""
        ...

    async def head(self) -> Head:
        """Give the newest record."""
        ...

    async def records(self, after: int = 0, limit: int = 1000) -> Sequence[Record]:
        """Give records in their order, from the one behind number ``after``."""
        ...

    async def counted(self) -> int:
        """Give how many records were ever written, which is kept apart from them."""
        ...
