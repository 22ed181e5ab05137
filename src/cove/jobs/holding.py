"""What happens to a job whose results a person is to look at: into the airlock, and out of it again by decision."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from cove.core import airlock
from cove.core.airlock import Review, ReviewState
from cove.core.audit import Entry
from cove.core.errors import StaleWrite
from cove.core.inspection import Inspection
from cove.core.inspection_form import inspection_of, values_of
from cove.core.job import Job, Phase, Verdict
from cove.core.policylines import lines
from cove.core.releasepolicy import ReleasePolicy
from cove.jobs.parts import Parts

PROVIDER: Final = "provider"
"""Who acts in the audit log where the service does by itself."""

_INSPECTION_FILE: Final = "inspection.json"


def subject_of(job: Job | Review) -> str:
    """Name an attempt of a job in the audit log."""
    return f"job:{job.job_id if isinstance(job, Review) else job.id}/{job.attempt}"


def of_mock(job: Job) -> dict[str, bool]:
    """Give what the audit log says of a mock job, beside what it says of any."""
    return {"mock": True} if job.mock else {}


def keep_inspection(folder: Path, inspection: Inspection) -> None:
    """Keep what was found in a job's outputs in its workspace, until a review of them has it. Blocking."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _INSPECTION_FILE).write_text(json.dumps(values_of(inspection)), encoding="ascii")


def kept_inspection(folder: Path) -> Inspection:
    """Give what :func:`keep_inspection` kept; an empty one where nothing was. Blocking."""
    try:
        return inspection_of(json.loads((folder / _INSPECTION_FILE).read_text("ascii")))
    except (OSError, ValueError, KeyError, TypeError):
        return Inspection(failure="lost")


async def take_in(parts: Parts, job: Job, policy: ReleasePolicy, place_of: Callable[[Verdict], Path | None]) -> Job:
    """Put everything that may yet leave into the airlock, and open the review. May be repeated at any point of it.

    Args:
        parts: The house's.
        job: In HELD.
        policy: That it runs under.
        place_of: Says where a judged file lies; None where nothing is known of it any more.

    Raises:
        NoSpace: The airlock's disk is full.
    """
    job = await asyncio.to_thread(_put_all, parts, job, place_of)
    if not any(verdict.held for verdict in job.verdicts):
        return job
    found = await asyncio.to_thread(kept_inspection, parts.workspace(job.id))
    review = airlock.opened(job, policy.review, lines(policy), found, parts.clock.now())
    await parts.reviews.add(review, _held(review))
    return job


def _put_all(parts: Parts, job: Job, place_of: Callable[[Verdict], Path | None]) -> Job:
    verdicts = [
        _put(parts, job, verdict, place_of) if verdict.held or verdict.released else verdict for verdict in job.verdicts
    ]
    parts.airlock.settle(job.id)
    return replace(job, verdicts=tuple(verdicts))


def _put(parts: Parts, job: Job, verdict: Verdict, place_of: Callable[[Verdict], Path | None]) -> Verdict:
    def content() -> Path:
        place = place_of(verdict)
        if place is None:
            raise StaleWrite("The run is not there any more.")
        return place

    try:
        parts.airlock.put(job.id, verdict, content)
    except StaleWrite:
        return replace(verdict, released=False, held=False, reason="changed")
    return verdict


async def settle(parts: Parts, job: Job) -> Job | None:
    """Take a held job further by what was decided about it; None while nothing was.

    Raises:
        StaleWrite: Somebody decides just now.
    """
    review = await parts.reviews.get(job.id, job.attempt)
    if review is None:
        lost = tuple(replace(one, held=False, reason="review_lost") if one.held else one for one in job.verdicts)
        return replace(job, phase=Phase.PUBLISHING, verdicts=lost, review=str(ReviewState.REJECTED))
    closed = airlock.concluded(review, job, parts.clock.now())
    if closed.state is ReviewState.OPEN:
        return None
    if closed is not review:
        closed = await parts.reviews.save(closed, closing(closed))
    return airlock.applied(job, closed)


async def leave(parts: Parts, job: Job) -> None:
    """Empty the airlock of a job that went on, and let its review rest. May be repeated.

    Raises:
        StaleWrite: Somebody wrote the review just now.
    """
    if job.held_at is None:
        return
    await parts.airlock.delete(job.id)
    review = await parts.reviews.get(job.id, job.attempt)
    if review is not None and not review.settled:
        await parts.reviews.save(replace(review, settled=True))


def closing(review: Review) -> Entry:
    """Say in the audit log how a review was closed."""
    at = review.opened_at if review.closed_at is None else review.closed_at
    counts = [airlock.decided(file, review.reviewers) for file in review.files]
    details = {
        "state": str(review.state),
        "approved": counts.count(True),
        "rejected": counts.count(False),
        "undecided": counts.count(None),
    }
    once = f"{subject_of(review)}/closed"
    return Entry(at, review.closed_by or PROVIDER, str(review.state), subject_of(review), details, once)


def _held(review: Review) -> Entry:
    details = {
        "files": [{"file": one.key, "sha256": one.sha256, "reason": one.reason} for one in review.files],
        "reviewers": review.reviewers,
        "expires": review.expires_at,
    }
    return Entry(review.opened_at, PROVIDER, "held", subject_of(review), details, f"{subject_of(review)}/held")
