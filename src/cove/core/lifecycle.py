"""What happens next to a job: one pure, total function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cove.core.job import Attempt, Job, Outcome, Phase, Verdict

P = Phase

MOVES: Final[dict[Phase, frozenset[Phase]]] = {
    P.ACCEPTED: frozenset({P.PROVISIONING, P.CLEANING}),
    P.PROVISIONING: frozenset({P.SUBMITTING, P.FILTERING}),
    P.SUBMITTING: frozenset({P.RUNNING, P.FILTERING}),
    P.RUNNING: frozenset({P.SUBMITTING, P.FILTERING}),
    P.FILTERING: frozenset({P.PUBLISHING, P.HELD}),
    P.HELD: frozenset({P.PUBLISHING}),
    P.PUBLISHING: frozenset({P.CLEANING}),
    P.CLEANING: frozenset({P.DONE}),
    P.DONE: frozenset({P.ACCEPTED}),
}
"""Which phase may follow which; staying is always legal."""

PASSING: Final = frozenset({P.PROVISIONING, P.FILTERING})
"""Phases that a job may pass through without being stored in them, as it does where they last but a moment.

After a crash the job is found in the phase before and goes the same way again: it brings the same inputs, and judges
outputs that stay where they are until PUBLISHING or HELD, which take them away, is stored with the verdicts.
"""


def _reachable(phase: Phase) -> frozenset[Phase]:
    passed = (_reachable(following) for following in MOVES[phase] & PASSING)
    return MOVES[phase].union(*passed)


STORED_MOVES: Final = {phase: _reachable(phase) for phase in Phase}
"""In which phase a job may be stored after which: by a legal move, or over PASSING phases. The store refuses others."""

MAX_LOSSES: Final = 3
"""After so many lost runs in a row a job ends as the provider's failure."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The engine is certain that it holds nothing under this run's name."""


@dataclass(frozen=True, slots=True)
class Active:
    """The run is there and has not ended."""

    #: Unix time at which the algorithm started; None while the engine still prepares.
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class Exited:
    """The run is over, and nothing of its process tree is left."""

    #: 0 to 255; 128 + n for signal n.
    code: int
    started_at: float | None
    finished_at: float
    out_of_memory: bool = False
    #: Empty, or why the engine ended the run: ``stopped``, ``time_limit``.
    ended_by: str = ""
    #: Empty, or the engine's own failure: ``lost``, ``no_space``, ``image_refused``, ``sandbox``.
    failure: str = ""
    #: One sentence about the failure; empty without one.
    detail: str = ""


Observation = Missing | Active | Exited


class Step(StrEnum):
    """What the loop does next for a job."""

    WAIT = "wait"
    PROVISION = "provision"
    SUBMIT = "submit"
    CANCEL = "cancel"
    FILTER = "filter"
    #: Take what may leave into the airlock, and remove the run.
    HOLD = "hold"
    #: See whether a person has decided, or nobody did in time.
    REVIEW = "review"
    PUBLISH = "publish"
    CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step, and the job as it must be stored before that step is taken.

    ``job`` is the very object that was given when there is nothing to store.
    """

    step: Step
    job: Job


def decide(job: Job, seen: Observation | None, now: float) -> Decision:  # noqa: C901 - one case per phase
    """Say what happens next to a job.

    Asked again with the decision's own job and an unchanged world, it gives the same step.

    Args:
        job: The job as it is stored.
        seen: What the engine says of the present attempt; None when it did not answer or was not asked.
        now: Unix time.
    """
    match job.phase:
        case Phase.ACCEPTED:
            if _ending(job):
                return Decision(Step.CLEAN, _stopped(job, Phase.CLEANING))
            if is_overdue(job, now):
                return Decision(Step.CLEAN, waited_too_long(job, Phase.CLEANING))
            return Decision(Step.PROVISION, replace(job, phase=Phase.PROVISIONING))
        case Phase.PROVISIONING:
            if _ending(job):
                return Decision(Step.FILTER, _stopped(job, Phase.FILTERING))
            return Decision(Step.PROVISION, job)
        case Phase.SUBMITTING:
            return _decide_submitting(job, seen)
        case Phase.RUNNING:
            return _decide_running(job, seen, now)
        case Phase.FILTERING:
            return Decision(Step.FILTER, job)
        case Phase.HELD:
            return Decision(Step.HOLD if job.held_at is None else Step.REVIEW, job)
        case Phase.PUBLISHING:
            return Decision(Step.PUBLISH, job)
        case Phase.CLEANING:
            return Decision(Step.CLEAN, job)
        case Phase.DONE:
            return Decision(Step.WAIT, job)


def _decide_submitting(job: Job, seen: Observation | None) -> Decision:
    match seen:
        case None:
            return Decision(Step.WAIT, job)
        case Missing():
            if _ending(job):
                return Decision(Step.FILTER, _stopped(job, Phase.FILTERING))
            return Decision(Step.SUBMIT, job)
        case Active():
            return Decision(
                Step.CANCEL if _ending(job) else Step.WAIT,
                replace(job, phase=Phase.RUNNING, started_at=seen.started_at),
            )
        case Exited():
            return _after_exit(job, seen)


def _decide_running(job: Job, seen: Observation | None, now: float) -> Decision:
    match seen:
        case None:
            return Decision(Step.WAIT, job)
        case Missing():
            return _after_loss(job, now)
        case Active():
            current = job if job.started_at == seen.started_at else replace(job, started_at=seen.started_at)
            return Decision(Step.CANCEL if _ending(job) else Step.WAIT, current)
        case Exited():
            return _after_exit(job, seen)


def _after_exit(job: Job, seen: Exited) -> Decision:
    if seen.failure == "lost":
        return _after_loss(job, seen.finished_at)
    outcome, reason, message = judge(seen, stop_requested=_ending(job))
    ended = replace(
        job,
        phase=Phase.FILTERING,
        started_at=seen.started_at,
        exit_code=None if seen.failure else seen.code,
        out_of_memory=seen.out_of_memory,
        outcome=outcome,
        reason=reason,
        message=message,
        losses=0,
    )
    return Decision(Step.FILTER, ended)


def _after_loss(job: Job, now: float) -> Decision:
    """A run that vanished is run again as a new attempt, but not for ever."""
    if _ending(job):
        return Decision(Step.FILTER, _stopped(job, Phase.FILTERING))
    if job.losses + 1 >= MAX_LOSSES:
        failed = replace(
            job,
            phase=Phase.FILTERING,
            outcome=Outcome.PROVIDER_FAILED,
            reason="run_lost",
            message=f"The provider lost the run {MAX_LOSSES} times in a row.",
        )
        return Decision(Step.FILTER, failed)
    lost = Attempt(job.attempt, Outcome.PROVIDER_FAILED, "run_lost", job.started_at, now)
    again = replace(
        job,
        phase=Phase.SUBMITTING,
        attempt=job.attempt + 1,
        losses=job.losses + 1,
        started_at=None,
        history=(*job.history, lost),
    )
    return Decision(Step.SUBMIT, again)


def judge(seen: Exited, *, stop_requested: bool) -> tuple[Outcome, str, str]:
    """Say how a run that is over ended: the outcome, the reason for machines, the sentence for people.

    Args:
        seen: What the engine recorded.
        stop_requested: True when the owner asked for the end.
    """
    if seen.failure == "image_refused":
        return Outcome.ALGORITHM_FAILED, "image_refused", seen.detail or "The algorithm's image cannot be run here."
    if seen.failure:
        return Outcome.PROVIDER_FAILED, seen.failure, seen.detail or "The provider could not run the algorithm."
    if seen.ended_by == "time_limit":
        return Outcome.TIMED_OUT, "time_limit", "The algorithm reached its time limit."
    if seen.ended_by == "stopped" or (stop_requested and seen.code in {137, 143}):
        return Outcome.STOPPED, "stopped", "The job was stopped by its owner."
    if seen.out_of_memory and seen.code != 0:
        return Outcome.ALGORITHM_FAILED, "out_of_memory", "The algorithm needed more memory than the environment gives."
    if seen.code == 0:
        return Outcome.SUCCEEDED, "", ""
    if seen.code > 128:  # noqa: PLR2004 - the shell's way of writing a signal
        signal = seen.code - 128
        return Outcome.ALGORITHM_FAILED, f"signal_{signal}", f"The algorithm was ended by signal {signal}."
    return Outcome.ALGORITHM_FAILED, f"exit_code_{seen.code}", f"The algorithm ended with exit code {seen.code}."


def restarted(job: Job, now: float, wait_until: float | None = None) -> Job:
    """Give a finished job as its next attempt.

    Args:
        job: A job in DONE.
        now: Unix time.
        wait_until: Unix time until which it may wait this time; None for as long as it takes.
    """
    past = Attempt(
        job.attempt,
        job.outcome or Outcome.PROVIDER_FAILED,
        job.reason,
        job.started_at,
        job.finished_at if job.finished_at is not None else now,
    )
    return replace(
        job,
        phase=Phase.ACCEPTED,
        attempt=job.attempt + 1,
        outcome=None,
        reason="",
        message="",
        exit_code=None,
        out_of_memory=False,
        started_at=None,
        finished_at=None,
        stop_requested_at=None,
        losses=0,
        verdicts=(),
        results=(),
        held_at=None,
        review="",
        history=(*job.history, past),
        wait_until=wait_until,
    )


def judged(job: Job, verdicts: Sequence[Verdict]) -> Job:
    """Give a job whose outputs were judged, in the phase that comes next: HELD where a person is to look at any."""
    phase = Phase.HELD if any(verdict.held for verdict in verdicts) else Phase.PUBLISHING
    return replace(job, phase=phase, verdicts=tuple(verdicts))


def waits_for_review(job: Job) -> bool:
    """Say whether a job rests in the airlock, so that the loop need not look at it before somebody decides."""
    return job.phase is Phase.HELD and job.held_at is not None


QUEUE_WAIT: Final = "queue_wait"
"""Reason of a job that waited longer for its run than it was to."""
PAYMENT_LOST: Final = "payment_lost"
"""Reason of a job whose lock the chain took back before it counted."""


def is_overdue(job: Job, now: float) -> bool:
    """Say whether a job has waited longer for its run than it was to; one whose run was lost had its turn."""
    return job.wait_until is not None and now > job.wait_until and job.losses == 0


def waited_too_long(job: Job, phase: Phase) -> Job:
    """Give a job that ends because it is overdue, in the phase that comes next."""
    message = "The job waited longer in the queue than it was allowed to, and did not run."
    return replace(job, phase=phase, outcome=Outcome.TIMED_OUT, reason=QUEUE_WAIT, message=message)


def unpaid(job: Job) -> Job:
    """Give a job in ACCEPTED that ends because the chain took back what was locked for it."""
    message = "The chain took back what was locked to pay for the job, and it cannot be locked again: start a new one."
    return replace(job, phase=Phase.CLEANING, outcome=Outcome.STOPPED, reason=PAYMENT_LOST, message=message)


def never_ran(job: Job) -> bool:
    """Say whether a finished job, in all its attempts, was but in the queue: then its orders have paid for nothing."""
    reasons = (job.reason, *(attempt.reason for attempt in job.history))
    return all(reason in {QUEUE_WAIT, PAYMENT_LOST} for reason in reasons)


def _ending(job: Job) -> bool:
    return job.stop_requested_at is not None or job.delete_requested_at is not None


def _stopped(job: Job, phase: Phase) -> Job:
    return replace(
        job,
        phase=phase,
        outcome=Outcome.STOPPED,
        reason="stopped",
        message="The job was stopped by its owner.",
    )
