"""The rules that every job store keeps alike."""

from __future__ import annotations

from typing import Final

from cove.core.job import Job, Phase
from cove.core.lifecycle import STORED_MOVES
from cove.ports import JobQuery

UNDER_WAY: Final = frozenset(Phase) - {Phase.ACCEPTED, Phase.DONE}
UNSTARTED: Final = frozenset({Phase.ACCEPTED, Phase.PROVISIONING, Phase.SUBMITTING})
"""Phases of jobs that wait for their run, whether or not their data was brought already."""
IN_LINE: Final = UNSTARTED | {Phase.RUNNING}
"""Phases of jobs that count in who is next (``core.queueing``)."""


def matches(job: Job, query: JobQuery) -> bool:
    """Say whether a job is among those that are asked for."""
    return (
        job.delete_requested_at is None
        and query.job_id in {None, job.id}
        and (query.owner is None or query.owner.lower() == job.owner.lower())
        and (query.document_id is None or query.document_id in job.dataset_dids[:1])
        and (query.agreement_id is None or query.agreement_id.lower() == job.agreement_id.lower())
        and not (query.open_only and job.phase is Phase.DONE)
    )


def check_move(before: Phase, after: Phase) -> None:
    """Refuse a move of phase that is not legal.

    Raises:
        ValueError: It is not.
    """
    if after is not before and after not in STORED_MOVES[before]:
        raise ValueError(f"a job cannot move from {before} to {after}")


def is_active(job: Job) -> bool:
    """Say whether the loop must look at a job: it is under way, or a wish of its owner is open."""
    stopping = job.stop_requested_at is not None and job.phase is not Phase.DONE
    return job.phase in UNDER_WAY or stopping or job.delete_requested_at is not None


def duration(job: Job) -> float | None:
    """Give the seconds from the algorithm's start to DONE; None before, and where it never started."""
    if job.phase is not Phase.DONE or job.started_at is None or job.finished_at is None:
        return None
    return job.finished_at - job.started_at


def can_be_stored(text_from_outside: str) -> bool:
    """Say whether a text can be in the database at all; what consumers ask for may hold anything."""
    return "\0" not in text_from_outside and not any(
        "\ud800" <= character <= "\udfff" for character in text_from_outside
    )
