"""Reviews and an audit log that are forgotten at the end: for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cove.core.airlock import Review, ReviewState
from cove.core.audit import FIRST, Entry, Head, Record, chained
from cove.core.errors import StaleWrite
from cove.core.job import JobId


class MemoryAuditStore:
    """An ``AuditStore`` in this process's memory."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._once: set[str] = set()

    async def append(self, *entries: Entry) -> Head:
        """Write entries down, in their order, and give the newest record; what is there once stays as it is."""
        return self.note(entries)

    async def head(self) -> Head:
        """Give the newest record."""
        return Head(self._records[-1].number, self._records[-1].hash) if self._records else Head(0, FIRST)

    async def records(self, after: int = 0, limit: int = 1000) -> Sequence[Record]:
        """Give records in their order, from the one behind number ``after``."""
        return self._records[after : after + max(0, limit)]

    async def counted(self) -> int:
        """Give how many records were ever written."""
        return len(self._records)

    def note(self, entries: Sequence[Entry]) -> Head:
        """Write entries down at once."""
        for entry in entries:
            if entry.once and entry.once in self._once:
                continue
            last = self._records[-1] if self._records else None
            self._records.append(chained(entry, Head(0, FIRST) if last is None else Head(last.number, last.hash)))
            if entry.once:
                self._once.add(entry.once)
        return Head(self._records[-1].number, self._records[-1].hash) if self._records else Head(0, FIRST)


class MemoryReviewStore:
    """A ``ReviewStore`` in this process's memory.

    Args:
        audit: Takes what is to stand in the audit log.
    """

    def __init__(self, audit: MemoryAuditStore) -> None:
        self._audit = audit
        self._reviews: dict[tuple[JobId, int], Review] = {}

    async def add(self, review: Review, *entries: Entry) -> Review:
        """Store a new review, and give the stored one; one of the same job and attempt stays as it is, unnoted."""
        key = (review.job_id, review.attempt)
        if key not in self._reviews:
            self._reviews[key] = review
            self._audit.note(entries)
        return self._reviews[key]

    async def get(self, job_id: JobId, attempt: int | None = None) -> Review | None:
        """Give the review of an attempt, or a job's newest one; None when there is none."""
        if attempt is None:
            attempt = max((number for job, number in self._reviews if job == job_id), default=0)
        return self._reviews.get((job_id, attempt))

    async def find(self, *, open_only: bool = True, limit: int = 100) -> Sequence[Review]:
        """Give reviews, the newest first."""
        found = [one for one in self._reviews.values() if not open_only or one.state is ReviewState.OPEN]
        return sorted(found, key=lambda one: -one.opened_at)[: max(0, limit)]

    async def save(self, review: Review, *entries: Entry) -> Review:
        """Write a review if nobody else did since it was read, and give it with its new version."""
        key = (review.job_id, review.attempt)
        stored = self._reviews.get(key)
        if stored is None or stored.version != review.version:
            raise StaleWrite(f"The review of job {review.job_id} was changed by somebody else.")
        self._reviews[key] = after = replace(review, version=review.version + 1)
        self._audit.note(entries)
        return after

    async def due(self, now: float, limit: int = 1000) -> Sequence[JobId]:
        """Give the jobs whose review is closed, or expired, and not settled."""
        late = [
            one
            for one in self._reviews.values()
            if not one.settled and (one.state is not ReviewState.OPEN or one.expires_at < now)
        ]
        return [one.job_id for one in sorted(late, key=lambda one: one.expires_at)][: max(0, limit)]

    async def remove(self, job_id: JobId) -> None:
        """Forget every review of a job. May be repeated."""
        self._reviews = {key: one for key, one in self._reviews.items() if key[0] != job_id}
