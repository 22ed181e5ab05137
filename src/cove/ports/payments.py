"""What keeps payments, and the contract that locks them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cove.core.job import JobId
from cove.core.payment import Payment

SavePayment = Callable[[Payment], Awaitable[Payment]]
"""Writes a payment down, and gives it with its new version."""


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that was mined, and did what it was for."""

    #: ``0x`` and 64 hex digits.
    tx_id: str
    #: The payment as it was written down last.
    payment: Payment
    #: Blocks that it has, its own among them, and that it needs to count.
    confirmations: int = 1
    needed: int = 1

    @property
    def counts(self) -> bool:
        """Say whether it is as deep as the owner wants it."""
        return self.confirmations >= self.needed


class PaymentStore(Protocol):
    """Keeps payments for ever. Every write is one transaction."""

    async def add(self, payment: Payment) -> Payment:
        """Write a new payment down.

        Raises:
            StaleWrite: Its job has one already.
        """
        ...

    async def save(self, payment: Payment) -> Payment:
        """Write a payment if nobody else did since it was read.

        Raises:
            StaleWrite: Somebody else did.
        """
        ...

    async def of(self, job_id: JobId) -> Payment | None:
        """Give a job's payment; None without one."""
        ...

    async def next(self) -> Payment | None:
        """Give the payment that is not closed and due first; None when all are closed."""
        ...

    async def locking(self) -> Sequence[JobId]:
        """Name the jobs whose payment's lock was asked for, and does not count yet."""
        ...

    async def failing(self) -> Sequence[Payment]:
        """Give those that are not closed and failed to be taken further last time, at most a hundred."""
        ...


class Escrow(Protocol):
    """The escrow contract of one chain, as the provider uses it.

    Raises:
        Unavailable: From every method, when the chain does not answer; its part is ``chain <id>``.
    """

    chain_id: int
    #: Checksummed address of the contract.
    address: str
    #: Seconds between two looks at a transaction that is not mined yet, at most.
    poll: float

    async def problem(self, payment: Payment) -> str:
        """Say in a sentence why the payer's tokens cannot be locked; empty when they can."""
        ...

    async def expiry(self, payment: Payment) -> int | None:
        """Give the Unix time at which a payment's lock ends; None when there is no such lock."""
        ...

    async def advance(self, payment: Payment, save: SavePayment) -> Mined | None:
        """Bring what a payment's state asks for as far as it can go now; None: it is not mined yet.

        In LOCKING that is the lock, in CLAIMING the claim. A lock that is mined is told with how deep it is, and
        brought along again where the chain took its block back. A transaction is written down with ``save`` before it
        is sent; a payment that was interrupted at any point is taken up by calling this again.

        Raises:
            Refused: The contract refuses it; the reason says why.
            StaleWrite: Somebody else works on it.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
