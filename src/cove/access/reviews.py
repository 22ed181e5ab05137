"""What reviewers ask: which results wait, what is in them, and to let them out or not."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cove.core import airlock, masking
from cove.core.airlock import HeldFile, Review, ReviewState, Vote
from cove.core.audit import Entry
from cove.core.errors import Forbidden, NotFound, StaleWrite
from cove.core.job import Job, JobId
from cove.core.masking import Preview
from cove.jobs.holding import closing, subject_of
from cove.ports import Airlock, AuditStore, Clock, JobQuery, JobStore, ResultStore, ReviewStore

_NO_REVIEW: Final = "There is no such review."
_COMPARED_JOBS: Final = 20


def _nobody(_: JobId) -> None:
    """Tell no loop: one beside looks at decisions by itself."""


@dataclass(frozen=True, slots=True)
class ReviewParts:
    """What reviews work with; a command beside the service has its own."""

    jobs: JobStore
    reviews: ReviewStore
    audit: AuditStore
    airlock: Airlock
    results: ResultStore
    clock: Clock
    #: Accounts that may review over HTTP, in lower case.
    reviewers: frozenset[str] = frozenset()
    #: Called with a job that something was decided about.
    decided: Callable[[JobId], None] = field(default=_nobody)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A file that was released before, under the same name."""

    job_id: JobId
    attempt: int
    content: bytes


class ReviewService:
    """Answers for reviews. Every decision is one write, with what the audit log says of it.

    Args:
        parts: Stores, airlock and reviewers.
    """

    def __init__(self, parts: ReviewParts) -> None:
        self._parts = parts

    def check(self, account: str) -> None:
        """See that an account may review at all.

        Raises:
            Forbidden: The settings do not name it.
        """
        if account.lower() not in self._parts.reviewers:
            raise Forbidden("The account is no reviewer of this provider.", hint="review.reviewers names them.")

    async def waiting(self, *, open_only: bool = True, limit: int = 100) -> Sequence[Review]:
        """Give reviews, the newest first."""
        return await self._parts.reviews.find(open_only=open_only, limit=limit)

    async def review(self, job_id: JobId, reviewer: str) -> Review:
        """Give the newest review of a job, to somebody who may see what is in it.

        Raises:
            Forbidden: It is the reviewer's own job.
            NotFound: There is none.
        """
        found = await self._parts.reviews.get(job_id)
        if found is None:
            raise NotFound(_NO_REVIEW, hint="Ask for the list of those that wait.")
        airlock.check_reviewer(found, reviewer)
        return found

    async def preview(self, review: Review, file: HeldFile) -> Preview | None:
        """Show the beginning of a file; None once it has left the airlock."""
        try:
            content = await self._content(review, file, masking.MAX_PREVIEW)
        except NotFound:
            return None
        return masking.preview(content, file.size)

    async def read(self, review: Review, file: HeldFile, offset: int, length: int) -> AsyncIterator[bytes]:
        """Give a stretch of a held file.

        Raises:
            NotFound: It has left the airlock.
        """
        async for chunk in self._parts.airlock.read(review.job_id, file.type, file.path, offset, length):
            yield chunk

    async def difference(self, review: Review, file: HeldFile, *, plain: bool = False) -> tuple[Earlier, str | None]:
        """Compare a held file with what was released before under its name: by this job, else by one like it.

        Args:
            review: Whose file it is.
            file: The file.
            plain: False masks values.

        Returns:
            What it was compared with, and the difference; None where one of the two is no text.

        Raises:
            NotFound: It has left the airlock, or nothing was released under its name.
        """
        after = await self._content(review, file, masking.MAX_COMPARED + 1)
        before = await self._earlier(review, file)
        if before is None:
            raise NotFound("Nothing was released before under the name of this file.")
        found = await asyncio.to_thread(masking.difference, before.content, after, plain=plain)
        return before, found

    async def vote(
        self, job_id: JobId, key: str, *, reviewer: str, approve: bool, reason: str, sha256: str | None
    ) -> Review:
        """Count a vote about a file, and give the review as it is then.

        Args:
            job_id: The job.
            key: Of the file.
            reviewer: Who votes, proven.
            approve: Whether it may leave.
            reason: Why.
            sha256: Of the bytes that the voter saw; None for those that the review names.

        Raises:
            Forbidden: It is the reviewer's own job.
            Invalid: There is no reason.
            NotFound: There is no such review or file.
            Refused: It is closed or decided, or the file is another one now.
        """
        while True:
            review = await self.review(job_id, reviewer)
            seen = sha256 or review.file(key).sha256
            review = await self._looked_at(review, key)
            vote = Vote(reviewer, approve, reason, seen, self._parts.clock.now())
            after = airlock.voted(review, key, vote)
            if await self._saved(after, _voted(after, key)):
                return after

    async def give_back(self, job_id: JobId, *, reviewer: str, reason: str) -> Review:
        """Give a job's results back to its owner as a whole: nothing of its algorithm's leaves.

        Raises:
            Forbidden: It is the reviewer's own job.
            Invalid: There is no reason.
            NotFound: There is no such review.
            Refused: It is closed.
        """
        while True:
            review = await self.review(job_id, reviewer)
            after = airlock.returned(review, reviewer, reason, self._parts.clock.now())
            if await self._saved(after):
                return after

    async def _looked_at(self, review: Review, key: str) -> Review:
        """See that a file is what the review says; other bytes lose all votes, for good."""
        file = review.file(key)
        if review.state is not ReviewState.OPEN:
            return review
        size, sha256 = await asyncio.to_thread(self._parts.airlock.look, review.job_id, file.type, file.path)
        after = airlock.observed(review, key, size, sha256)
        if after is review:
            return review
        now = self._parts.clock.now()
        details = {"file": key, "before": file.sha256, "sha256": sha256}
        return await self._parts.reviews.save(after, Entry(now, "provider", "changed", subject_of(review), details))

    async def _saved(self, after: Review, *entries: Entry) -> bool:
        """Write a decision; False when somebody else was quicker, and it is to be made anew."""
        closed = () if after.state is ReviewState.OPEN else (closing(after),)
        try:
            await self._parts.reviews.save(after, *entries, *closed)
        except StaleWrite:
            return False
        self._parts.decided(after.job_id)
        return True

    async def _content(self, review: Review, file: HeldFile, length: int) -> bytes:
        return b"".join([chunk async for chunk in self.read(review, file, 0, length)])

    async def _earlier(self, review: Review, file: HeldFile) -> Earlier | None:
        parts = self._parts
        for attempt in range(review.attempt - 1, 0, -1):
            content = await self._result(parts.results.key(review.job_id, attempt, file.type, file.path))
            if content is not None:
                return Earlier(review.job_id, attempt, content)
        job = await parts.jobs.get(review.job_id)
        if job is None or not job.dataset_dids:
            return None
        others = await parts.jobs.find(JobQuery(document_id=job.dataset_dids[0], limit=_COMPARED_JOBS))
        for other in others:
            if other.id == job.id or other.algorithm_did != job.algorithm_did:
                continue
            content = await self._released(other, file)
            if content is not None:
                return Earlier(other.id, other.attempt, content)
        return None

    async def _released(self, job: Job, file: HeldFile) -> bytes | None:
        found = [one for one in job.results if (one.filename, one.type) == (file.path, file.type) and one.key]
        return await self._result(found[0].key) if found else None

    async def _result(self, key: str) -> bytes | None:
        try:
            return b"".join([part async for part in self._parts.results.read(key, 0, masking.MAX_COMPARED + 1)])
        except NotFound:
            return None


def _voted(review: Review, key: str) -> Entry:
    """Say in the audit log who voted, about which bytes; the reviewer's words are named by their digest alone."""
    vote = review.file(key).votes[-1]
    details = {
        "file": key,
        "sha256": vote.sha256,
        "approve": vote.approve,
        "reasonSha256": hashlib.sha256(vote.reason.encode()).hexdigest(),
    }
    return Entry(vote.at, vote.reviewer, "vote", subject_of(review), details)
