"""Reviews and the audit log, for the service and for the owner's commands beside it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cove.access.reviews import ReviewParts, ReviewService
from cove.core.errors import SettingsWrong
from cove.jobs.parts import Parts
from cove.jobs.reconciler import Reconciler
from cove.ports import AuditStore
from cove.results import DiskAirlock, DiskResults
from cove.settings import Settings
from cove.stores.audit import SqlAuditStore
from cove.stores.database import sqlite_url
from cove.stores.reviews import SqlReviewStore
from cove.stores.sql import SqlJobStore
from cove.wiring.state import DATABASE_FILE


class _Clock:
    def now(self) -> float:
        return time.time()


@dataclass(frozen=True, slots=True)
class Desk:
    """What the owner's commands work with."""

    reviews: ReviewService
    audit: AuditStore


def open_reviews(settings: Settings, parts: Parts, reconciler: Reconciler) -> ReviewService:
    """Give what answers for reviews in a service."""
    return ReviewService(
        ReviewParts(
            jobs=parts.store,
            reviews=parts.reviews,
            audit=parts.audit,
            airlock=parts.airlock,
            results=parts.results,
            clock=parts.clock,
            reviewers=frozenset(account.lower() for account in settings.review.reviewers),
            decided=reconciler.wake,
        )
    )


@contextlib.asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Open reviews and the audit log, also beside a running service, which sees what is decided within a sweep.

    Raises:
        SettingsWrong: There is no database yet, or it cannot be used.
        Unavailable: The database does not answer.
    """
    url = settings.database_url.get_secret_value()
    state = settings.state_dir.absolute()
    if not url and not (state / DATABASE_FILE).exists():
        raise SettingsWrong(
            f"There is no database {state / DATABASE_FILE}.", hint="Check state_dir: cove serve makes it."
        )
    jobs = SqlJobStore(url or sqlite_url(state / DATABASE_FILE))
    try:
        await jobs.start()
        audit = SqlAuditStore(jobs)
        parts = ReviewParts(
            jobs=jobs,
            reviews=SqlReviewStore(jobs),
            audit=audit,
            airlock=DiskAirlock(state / "airlock"),
            results=DiskResults(state / "results"),
            clock=_Clock(),
        )
        yield Desk(ReviewService(parts), audit)
    finally:
        await jobs.close()
