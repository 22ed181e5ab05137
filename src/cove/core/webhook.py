"""What is told of jobs to those who asked for it, as Standard Webhooks has it: signed, without private values."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from cove.core.airlock import release_state
from cove.core.job import Job, JobId, Phase

CONSUMER: Final = "consumer"
"""Target of what goes to the one who started a job."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - no secret itself
_SECRET_BYTES: Final = range(24, 65)

PAUSES: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds to wait after each failed attempt, as Standard Webhooks proposes; after the last one it is given up."""

_TOLD: Final = frozenset(Phase) - {Phase.PUBLISHING, Phase.CLEANING}


class MessageState(StrEnum):
    """How far a message is; one that arrived is forgotten."""

    OPEN = "open"
    #: Given up; ``note`` says why.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way to one place."""

    #: Counts up as messages come in.
    number: int
    #: ``CONSUMER``, or which of the owner's places.
    target: str
    job_id: JobId
    #: JSON; what is sent and signed.
    body: str
    state: MessageState = MessageState.OPEN
    #: Failed attempts.
    attempts: int = 0
    #: Unix time before which nothing is tried.
    due_at: float = 0.0
    #: What went wrong last, in words without secrets.
    note: str = ""
    #: For compare-and-swap writes.
    version: int = 1

    @property
    def id(self) -> str:
        """Name the message the same at each attempt, so that its receiver can tell that it came before."""
        return f"msg_{hashlib.sha256(f'{self.number}:{self.target}:{self.body}'.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Signed:
    """A message as it is posted."""

    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


def is_told(job: Job) -> bool:
    """Say whether a job's phase is one that others are told of."""
    return job.phase in _TOLD


def body_of(job: Job, number: int, at: float) -> str:
    """Say where a job is: codes, ids and times alone.

    Args:
        job: The job.
        number: Its status number.
        at: Unix time of the change.
    """
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {
        "type": f"job.{job.phase}",
        "timestamp": moment,
        "data": {
            "jobId": job.id,
            "attempt": job.attempt,
            "environment": job.environment,
            "mock": job.mock,
            "phase": str(job.phase),
            "status": number,
            "releaseState": release_state(job),
            "outcome": job.outcome,
            "reason": job.reason or None,
        },
    }
    return json.dumps(said, separators=(",", ":"))


def secret_of(text: str) -> bytes:
    """Give the bytes of a secret.

    Args:
        text: ``whsec_`` and base64 of 24 to 64 bytes.

    Raises:
        ValueError: It is none; the text says what is expected and never quotes it.
    """
    try:
        found = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not text.startswith(SECRET_PREFIX) or len(found) not in _SECRET_BYTES:
        raise ValueError(f"should be {SECRET_PREFIX} and the base64 of 24 to 64 random bytes")
    return found


def signed(message: Message, secret: bytes, now: float) -> Signed:
    """Sign a message as Standard Webhooks does (version 1, HMAC-SHA256 over id, time and body)."""
    moment = str(int(now))
    headers = (
        ("Content-Type", "application/json"),
        ("webhook-id", message.id),
        ("webhook-timestamp", moment),
        ("webhook-signature", signature(secret, message.id, moment, message.body)),
    )
    return Signed(headers, message.body.encode("ascii"))


def signature(secret: bytes, message_id: str, moment: str, body: str) -> str:
    """Give the signature of a message: ``v1,`` and base64."""
    digest = hmac.new(secret, f"{message_id}.{moment}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode('ascii')}"


def postponed(message: Message, now: float, note: str) -> Message:
    """Give a message after an attempt that failed: it waits longer each time, and is given up at last."""
    attempts = message.attempts + 1
    if attempts > len(PAUSES):
        return given_up(replace(message, attempts=attempts), note)
    return replace(message, attempts=attempts, due_at=now + PAUSES[attempts - 1], note=note)


def given_up(message: Message, note: str) -> Message:
    """Give a message that is tried no more."""
    return replace(message, state=MessageState.FAILED, note=note)
