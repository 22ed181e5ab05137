"""Counts the runs of grants in SQL, inside the transaction that writes the job."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, update

from cove.core.job import Job
from cove.stores.prepared import Prepared
from cove.stores.rules import grant_spent, grants_of
from cove.stores.tables import grants

_USE: Final = Prepared(
    update(grants)
    .where(grants.c.id == bindparam("key"), grants.c.used < grants.c.runs, grants.c.revoked_at.is_(None))
    .values(used=grants.c.used + 1)
    .returning(grants.c.id)
)
_GIVE_BACK: Final = Prepared(
    update(grants)
    .where(grants.c.id == bindparam("key"), grants.c.used > 0)
    .values(used=grants.c.used - 1)
    .returning(grants.c.id)
)


def use_grants(connection: Connection, job: Job) -> None:
    """Count one run of each grant among a job's orders.

    Raises:
        Refused: ``agreementId: grant_spent``: one pays for no further run, was taken back, or is gone.
    """
    for grant in grants_of(job):
        if not _USE.rows(connection, {"key": grant}):
            raise grant_spent()


def give_grants_back(connection: Connection, job: Job) -> None:
    """Take back that a run was counted, for a job that never ran."""
    for grant in grants_of(job):
        _GIVE_BACK.rows(connection, {"key": grant})
