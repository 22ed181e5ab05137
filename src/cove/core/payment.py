"""What a job in an environment with prices costs, and what becomes of the tokens that an escrow contract locks for it.

The consumer pays tokens into the contract, and lets the provider lock some of them. The provider locks what the longest
run would cost before the job is accepted, and claims what the run cost once it is over; the contract gives back the
rest. A claim of nothing gives back all. After the lock's time the contract gives all back, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Final

from cove.core import receipt
from cove.core.job import Job, JobId, Outcome, Phase
from cove.core.proof import Sent

USUAL_WAIT: Final = 3600
"""Seconds that a paid job may wait for its run where nobody says less: a lock must end some time."""

LOCK_MARGIN: Final = 3600
"""Seconds that a lock lasts beyond the longest wait and run: data is brought meanwhile, and the claim must be mined."""

_CLAIM_BEFORE: Final = 900
"""Seconds before the end of a lock in which what was used so far is claimed, whether or not the job is over."""

_FIRST_LOOK: Final = 0.2
_LATER_LOOKS: Final = 1.5

_MINUTE: Final = 60
_RUN_IS_OVER: Final = frozenset({Phase.FILTERING, Phase.HELD, Phase.PUBLISHING, Phase.CLEANING, Phase.DONE})
_SETTLED: Final = frozenset({Phase.HELD, Phase.DONE})


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What an environment costs in one token."""

    chain_id: int
    #: Checksummed.
    token: str
    #: Whole tokens for one of each resource and a minute, by the ids of ``core.tiers``.
    per_minute: tuple[tuple[str, Decimal], ...]


class PaymentState(StrEnum):
    """How far a payment is."""

    #: Its lock was asked for, or is about to be.
    LOCKING = "locking"
    LOCKED = "locked"
    #: What the run cost is known, and is being claimed; nothing is a claim too.
    CLAIMING = "claiming"
    #: Nothing more will happen; ``note`` says why where it is not a claim.
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Payment:
    """What is locked and claimed for one job. Amounts are base units of the token."""

    job_id: JobId
    chain_id: int
    #: Checksummed address of the contract.
    escrow: str
    token: str
    #: The job's owner.
    payer: str
    #: For a minute.
    rate: int
    #: What is locked.
    amount: int
    #: Seconds from the lock's block on.
    lock_seconds: int
    state: PaymentState = PaymentState.LOCKING
    #: Unix time at which the lock ends, by the chain; 0 before it is known.
    expires_at: int = 0
    #: When the algorithm started in the job's newest attempt, and when that was seen to be over; None before.
    started_at: float | None = None
    ended_at: float | None = None
    #: What is claimed.
    claim: int = 0
    #: Goes with the claim, hex: the sha256 of the job's receipt; empty where there is none yet.
    proof: str = ""
    #: Transactions of the present state; the newest last.
    sent: tuple[Sent, ...] = field(default=())
    #: Ids of those that were mined; empty before.
    lock_tx: str = ""
    claim_tx: str = ""
    #: Failed attempts of the present state.
    attempts: int = 0
    #: Unix time before which the loop leaves it alone.
    due_at: float = 0.0
    #: In words without secrets.
    note: str = ""
    #: For compare-and-swap writes.
    version: int = 1


def rate(prices: TokenPrices, amounts: Sequence[tuple[str, float]], decimals: int) -> int:
    """Give what some resources cost for a minute, in base units, rounded up.

    Args:
        prices: Of the environment.
        amounts: By id; what has no price is free.
        decimals: Of the token.
    """
    by_id = dict(prices.per_minute)
    total = sum((Decimal(amount) * by_id.get(name, Decimal(0)) for name, amount in amounts), Decimal(0))
    return int((total * 10**decimals).to_integral_value(ROUND_CEILING))


def cost(a_minute: int, seconds: float) -> int:
    """Give what so many seconds cost: each minute that was begun counts."""
    return a_minute * -(-max(0, int(-(-seconds // 1))) // _MINUTE)


def lock_seconds(duration: int, wait: int) -> int:
    """Give how long a lock must last for a job that may wait and run so long."""
    return duration + wait + LOCK_MARGIN


def followed(payment: Payment, job: Job | None, now: float) -> Payment:
    """Give a locked payment after a look at its job: the very same one where nothing is to be written down.

    A job that failed by the provider's doing costs nothing, and so does one that is gone before its run began.

    Args:
        payment: In state LOCKED.
        job: None when it is deleted, or was never accepted.
        now: Unix time.
    """
    seen = payment if job is None else _seen(payment, job, now)
    due = payment.expires_at and now >= payment.expires_at - _CLAIM_BEFORE
    if job is not None and job.phase not in _SETTLED and not due:
        return seen
    if job is not None and job.outcome is Outcome.PROVIDER_FAILED:
        return _claiming(seen, 0, now)
    if job is not None:
        seen = replace(seen, proof=next((one.sha256 for one in job.results if one.filename == receipt.NAME), ""))
    used = 0.0 if seen.started_at is None else (seen.ended_at or now) - seen.started_at
    return _claiming(seen, min(payment.amount, cost(payment.rate, used)), now)


def pauses(longest: float) -> Iterator[float]:
    """Give the seconds between the looks of a start at its lock, without end; short ones first, since blocks may be.

    Args:
        longest: None is longer.
    """
    pause = _FIRST_LOOK
    while True:
        yield min(pause, longest)
        pause = min(pause * _LATER_LOOKS, longest)


def given_back(payment: Payment, now: float) -> Payment:
    """Give a payment that is to be given back whole."""
    return _claiming(payment, 0, now)


def closed(payment: Payment, note: str) -> Payment:
    """Give a payment with which nothing more will happen."""
    return replace(payment, state=PaymentState.CLOSED, note=note, sent=(), due_at=0.0)


def _seen(payment: Payment, job: Job, now: float) -> Payment:
    started, ended = job.started_at, None
    if job.phase in _RUN_IS_OVER and started is not None:
        kept = payment.ended_at if payment.started_at == started else None
        ended = kept or job.held_at or job.finished_at or now
    if (payment.started_at, payment.ended_at) == (started, ended):
        return payment
    return replace(payment, started_at=started, ended_at=ended)


def _claiming(payment: Payment, claim: int, now: float) -> Payment:
    return replace(payment, state=PaymentState.CLAIMING, claim=claim, sent=(), attempts=0, due_at=now, note="")
