"""Which job a request of an owner's means: by its id, or by the handle that a public list shows for it."""

from __future__ import annotations

from cove.core import messages
from cove.core.job import JobId
from cove.wiring.house import Cove


async def job_id_of(house: Cove, given: str | None) -> JobId:
    """Give the id behind an id or a handle; what is neither is given back, and is then found to be no job.

    Only for requests that prove who asks: what a handle opens is for the job's owner alone.

    Raises:
        Invalid: It is not 32 hex digits.
    """
    job_id = messages.parse_job_id(given)
    if await house.jobs.attempt_of(job_id) is not None:
        return job_id
    behind = house.handles.job(job_id)
    return job_id if await house.jobs.attempt_of(behind) is None else behind
