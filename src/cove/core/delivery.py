"""What is done with a job's results once they are released, and how far it is. No job waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cove.core.job import Job, JobId, Phase
from cove.core.output import Output


class DeliveryKind(StrEnum):
    """What is done; a job names its own in ``Job.onward``."""

    #: They are sent to the consumer's storage.
    STORAGE = "storage"
    #: They become an asset of the consumer's.
    ASSET = "asset"


class DeliveryState(StrEnum):
    """How far it is; all but the first are final."""

    OPEN = "open"
    DONE = "done"
    #: Given up; ``note`` says why.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is done with the results of one attempt of a job, in one respect."""

    job_id: JobId
    attempt: int
    kind: DeliveryKind
    state: DeliveryState = DeliveryState.OPEN
    #: Failed tries since something last went well.
    tries: int = 0
    #: Unix time before which nothing is tried.
    due_at: float = 0.0
    #: What went wrong last, a sentence without secrets; empty while nothing has.
    note: str = ""
    #: What was done so far, in words of its kind.
    progress: str = ""
    #: For compare-and-swap writes.
    version: int = 1


def kinds_of(output: Output | None) -> tuple[str, ...]:
    """Give what is to be done for a job with this ``output``, as ``Job.onward`` has it."""
    if output is None:
        return ()
    wanted = ((DeliveryKind.STORAGE, output.storage), (DeliveryKind.ASSET, output.asset))
    return tuple(str(kind) for kind, wish in wanted if wish is not None)


def arisen(job: Job) -> tuple[Delivery, ...]:
    """Give what is to be done for a job that comes to its end."""
    if job.phase is not Phase.DONE or job.delete_requested_at is not None:
        return ()
    return tuple(Delivery(job.id, job.attempt, DeliveryKind(kind)) for kind in job.onward)


def advanced(delivery: Delivery, progress: str) -> Delivery:
    """Give a delivery of which a part is done: what failed before counts no more."""
    return replace(delivery, progress=progress, tries=0, note="")


def put_off(delivery: Delivery, pauses: Sequence[float], now: float, note: str) -> Delivery:
    """Give a delivery after a try that failed: it waits longer each time, and is given up at last.

    Args:
        delivery: As it was.
        pauses: Seconds to wait after each failed try; after the last one it is given up.
        now: Unix time.
        note: What went wrong.
    """
    tries = delivery.tries + 1
    if tries > len(pauses):
        return ended(replace(delivery, tries=tries), DeliveryState.FAILED, note)
    return replace(delivery, tries=tries, due_at=now + pauses[tries - 1], note=note)


def ended(delivery: Delivery, state: DeliveryState, note: str = "") -> Delivery:
    """Give a delivery that nothing more is done about."""
    return replace(delivery, state=state, note=note)
