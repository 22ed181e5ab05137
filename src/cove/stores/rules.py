"""The rules that every job store keeps alike."""

from __future__ import annotations

from typing import Final

from cove.core.errors import Refused
from cove.core.grant import ORDER_KEY
from cove.core.job import Job, Phase
from cove.core.lifecycle import STORED_MOVES, waits_for_review
from cove.core.policygate import HINTS
from cove.ports import JobQuery, RunLimit

UNDER_WAY: Final = frozenset(Phase) - {Phase.ACCEPTED, Phase.HELD, Phase.DONE}
"""Phases of jobs that take something of their environment; one that is held waits for a person alone."""
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
    moving = job.phase in UNDER_WAY or (job.phase is Phase.HELD and not waits_for_review(job))
    return moving or stopping or job.delete_requested_at is not None


def grants_of(job: Job) -> tuple[str, ...]:
    """Give the ids of the grants among a job's orders, sorted, so that two services cannot wait for each other."""
    return tuple(sorted({key.removeprefix(ORDER_KEY) for key in job.order_keys if key.startswith(ORDER_KEY)}))


def grant_spent() -> Refused:
    """Give the refusal of a job whose grant pays for no further run."""
    return Refused("agreementId", "grant_spent", hint="Ask the data's owner for another grant.")


def duration(job: Job) -> float | None:
    """Give the seconds that a job in DONE took of its environment; None before, and where it never started."""
    if job.phase is not Phase.DONE or job.started_at is None or job.finished_at is None:
        return None
    # What was held left its slot then: how long a person took says nothing of how fast the queue goes on.
    return (job.finished_at if job.held_at is None else job.held_at) - job.started_at


def can_be_stored(text_from_outside: str) -> bool:
    """Say whether a text can be in the database at all; what consumers ask for may hold anything."""
    return "\0" not in text_from_outside and not any(
        "\ud800" <= character <= "\udfff" for character in text_from_outside
    )


def used_up(limit: RunLimit) -> Refused:
    """Give the refusal of a start that is one too many."""
    return Refused(limit.field, "policy_runs_used_up", hint=HINTS["policy_runs_used_up"])
