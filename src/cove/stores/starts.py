"""When accounts started jobs on datasets: kept beyond the jobs, so that deleting one gives no further run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from cove.core.job import Job
from cove.core.policykeys import LONGEST_PERIOD
from cove.ports import RunLimit
from cove.stores.prepared import Prepared
from cove.stores.rules import used_up
from cove.stores.tables import packages, starts

_OF_PAIR: Final = (starts.c.dataset == bindparam("dataset"), starts.c.owner == bindparam("owner"))

COUNT: Final = select(func.count()).where(*_OF_PAIR, starts.c.started_at > bindparam("since"))
_RECORD: Final = Prepared(
    text(
        "INSERT INTO starts (job_id, attempt, dataset, owner, started_at) "
        "VALUES (:job_id, :attempt, :dataset, :owner, :started_at) "
        "ON CONFLICT (job_id, attempt, dataset) DO UPDATE SET started_at = excluded.started_at RETURNING attempt"
    )
)
PRUNE: Final = Prepared(
    delete(starts).where(*_OF_PAIR, starts.c.started_at < bindparam("before")).returning(starts.c.attempt)
)
FORGET: Final = Prepared(delete(starts).where(starts.c.job_id == bindparam("key")).returning(starts.c.attempt))
REPACK: Final = Prepared(
    update(packages)
    .where(packages.c.job_id == bindparam("key"))
    .values(sealed=bindparam("sealed"))
    .returning(packages.c.job_id)
)


def record(connection: Connection, job: Job, at: float, limits: Sequence[RunLimit]) -> None:
    """Write down that a job was started, unless it was the one too many. A mock job learns nothing that is counted.

    The caller's transaction has counted up the queue before, so that no two of them do this at one time.

    Raises:
        Refused: ``policy_runs_used_up``; the transaction is to be undone.
    """
    if job.mock:
        return
    owner = job.owner.lower()
    for limit in limits:
        asked = {"owner": owner, "dataset": limit.dataset, "since": limit.since}
        if int(connection.execute(COUNT, asked).scalar_one()) >= limit.runs:
            raise used_up(limit)
    for dataset in dict.fromkeys(job.dataset_dids):
        pair = {"dataset": dataset, "owner": owner}
        PRUNE.rows(connection, {**pair, "before": at - LONGEST_PERIOD})
        _RECORD.rows(connection, {**pair, "job_id": job.id, "attempt": job.attempt, "started_at": at})
