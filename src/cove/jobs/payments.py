"""Takes payments for jobs: what the longest run costs is locked before a job is accepted, and what it cost is claimed.

Each step is written down before it is done, and may be done again: a service that is killed anywhere goes on from
there. A lock whose job was never accepted is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cove.core.errors import CoveError, Refused, StaleWrite, Unavailable
from cove.core.job import JobId, Phase
from cove.core.payment import Payment, PaymentState, closed, followed, given_back, pauses
from cove.core.proof import pause_after
from cove.ports import Clock, Escrow, Finding, JobStore, Mined, PaymentStore

log = logging.getLogger("cove.payments")

_HOLD_SECONDS: Final = 300.0
"""So long the loop leaves a payment to the start that it is for."""

_LOCK_SECONDS: Final = 60.0
"""So long a start waits for its lock to be mined."""

_GONE: Final = "the lock is not there any more"
"""Stands in a payment's own record alone: its start was answered long before."""

_LOOK_SECONDS: Final = 60.0
"""Between two looks at a job that says nothing."""

_TAKE_SECONDS: Final = 30.0
"""So long other services leave a payment to the one that works on it."""

_LONGEST_PAUSE: Final = 300.0
_LONGEST_SLEEP: Final = 60.0


class Payments:
    """Locks and claims.

    Args:
        store: Keeps them.
        escrows: By chain id; empty where no payments are taken.
        jobs: What the jobs are that are paid for.
        clock: The time.
    """

    def __init__(self, store: PaymentStore, escrows: Mapping[int, Escrow], jobs: JobStore, clock: Clock) -> None:
        self._store = store
        self._escrows = escrows
        self._jobs = jobs
        self._clock = clock
        self._heard: set[JobId] = set()
        #: Jobs whose lock does not count yet: they are not let in.
        self._waiting: set[JobId] = set()
        #: Those of them whose lock is gone for good.
        self._lost: set[JobId] = set()
        #: Called with each job of these about which there is news.
        self.settled: set[Callable[[JobId], None]] = set()
        self._news = asyncio.Event()
        #: Called with each payment with which nothing more will happen.
        self.listeners: set[Callable[[Payment], None]] = set()

    def escrow_of(self, chain_id: int) -> Escrow | None:
        """Give the contract that payments of a chain go through; None: there are none."""
        return self._escrows.get(chain_id)

    async def of(self, job_id: JobId) -> Payment | None:
        """Give a job's payment; None without one."""
        return await self._store.of(job_id)

    async def begin(self) -> None:
        """Find the jobs that wait for their lock, before any is let in.

        Raises:
            Unavailable: The database does not answer.
        """
        self._waiting.update(await self._store.locking())

    def is_waited_for(self, job_id: JobId) -> bool:
        """Say whether a job's lock does not count yet, so that the job is not to be begun."""
        return job_id in self._waiting

    def is_lost(self, job_id: JobId) -> bool:
        """Say whether a job's lock was taken back by the chain and cannot be had again, so that the job is to end."""
        return job_id in self._lost

    @property
    def waited_for(self) -> int:
        """Give how many jobs wait for their lock."""
        return len(self._waiting)

    def hear(self, job_id: JobId) -> None:
        """Look at a job's payment now: the job has changed."""
        if self._escrows:
            self._heard.add(job_id)
            self._news.set()

    @contextlib.asynccontextmanager
    async def locked(self, payment: Payment) -> AsyncIterator[None]:
        """Around the acceptance of a job: its payment is locked, and given back where the job is not accepted.

        A lock that is mined and does not count yet is waited for afterwards: the job is accepted, and not begun.

        Raises:
            Refused: ``payment: payment_refused``; nothing is locked.
            Unavailable: The chain does not answer, or does not mine the lock in time; it is given back.
        """
        held = await self._lock(payment)
        if held.state is PaymentState.LOCKING:
            self._waiting.add(held.job_id)
        try:
            yield
        except BaseException:
            self._waiting.discard(held.job_id)
            await self._store.save(given_back(held, self._clock.now()))
            self._news.set()
            raise
        if held.state is PaymentState.LOCKING:
            # The job is accepted, whatever becomes of this: without it the loop comes to the payment later.
            with contextlib.suppress(CoveError):
                await self._store.save(replace(held, due_at=self._clock.now()))
        self.hear(held.job_id)

    async def run(self) -> None:
        """Follow and claim until cancelled; what is under way then is taken up at the next start."""
        while True:
            self._news.clear()
            pause = await self._safely()
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(pause, _LONGEST_SLEEP)):
                        await self._news.wait()

    async def examine(self) -> Sequence[Finding]:
        """Look at what could not be taken further."""
        advice = "Look at the chain's node, and whether the provider's account has coins for gas."
        return [
            Finding(
                "payments", ok=False, seen=f"the payment of job {one.job_id} is {one.state}: {one.note}", advice=advice
            )
            for one in await self._store.failing()
        ]

    async def _lock(self, payment: Payment) -> Payment:
        escrow = self._escrows[payment.chain_id]
        if hint := await escrow.problem(payment):
            raise Refused("payment", "payment_refused", hint=hint)
        now = self._clock.now()
        journal = _Journal(self._store, await self._store.add(replace(payment, due_at=now + _HOLD_SECONDS)))
        try:
            return await self._mined(escrow, journal)
        except Refused as problem:
            await journal.save(closed(journal.payment, problem.reason))
            raise Refused("payment", "payment_refused", hint=f"{problem.reason}.") from None
        except BaseException:
            # It may be mined yet: the loop waits for it, and gives it back.
            await journal.save(replace(journal.payment, due_at=self._clock.now()))
            self._news.set()
            raise

    async def _mined(self, escrow: Escrow, journal: _Journal) -> Payment:
        async with _in_time(f"chain {escrow.chain_id}"):
            looks = pauses(escrow.poll)
            while True:
                mined = await escrow.advance(journal.payment, journal.save)
                if mined is not None and mined.counts:
                    return await journal.save(await self._locked(escrow, mined))
                if mined is not None:
                    return await journal.save(_seen_at(mined))
                await asyncio.sleep(next(looks))

    async def _locked(self, escrow: Escrow, mined: Mined) -> Payment:
        """Give a payment whose lock is mined."""
        expiry = await escrow.expiry(mined.payment)
        if expiry is None and mined.needed > 1:  # it was deep enough to be shown: somebody dissolved it
            raise Refused("payment", _GONE)
        if expiry is None:
            raise Unavailable(f"chain {escrow.chain_id}", "the chain does not show the payment's lock yet")
        state = PaymentState.LOCKED
        return replace(mined.payment, state=state, lock_tx=mined.tx_id, expires_at=expiry, sent=(), attempts=0, note="")

    async def _safely(self) -> float:
        try:
            return await self._step()
        except StaleWrite:
            return 0.01  # another service has it, or its start
        except CoveError as problem:
            log.warning("payments wait: %s", problem.message)
        except Exception:  # a loop's top, as the reconciler's: one payment must never end it
            log.exception("a payment could not be taken further; trying again")
        return 5.0

    async def _step(self) -> float:
        """Take one payment further; give the seconds until there may be something to do again."""
        while self._heard:
            told = await self._store.of(self._heard.pop())
            if told is not None and told.state is PaymentState.LOCKED:
                await self._further(told)
        payment = await self._store.next()
        if payment is None:
            return _LONGEST_SLEEP
        now = self._clock.now()
        if payment.due_at > now:
            return payment.due_at - now
        await self._further(payment)
        return 0.0

    async def _further(self, payment: Payment) -> None:
        journal = _Journal(self._store, payment)
        try:
            await self._act(journal)
        except Unavailable as problem:
            failed = journal.payment
            pause = min(pause_after(failed.attempts + 1), _LONGEST_PAUSE)
            due = self._clock.now() + pause
            log.warning("the payment of a job is not taken further: %s", problem.message)
            await journal.save(replace(failed, attempts=failed.attempts + 1, due_at=due, note=problem.message))
        if journal.payment.state is PaymentState.CLOSED:
            for listener in tuple(self.listeners):
                listener(journal.payment)

    async def _act(self, journal: _Journal) -> None:
        payment, now = journal.payment, self._clock.now()
        if payment.state is PaymentState.LOCKED:
            seen = followed(payment, await self._jobs.get(payment.job_id), now)
            due = seen.due_at if seen.state is PaymentState.CLAIMING else now + _LOOK_SECONDS
            await journal.save(replace(seen, due_at=due))
            self._news.set()
            return
        if payment.state is PaymentState.LOCKING and not payment.sent:
            await journal.save(closed(payment, "the lock was never asked for"))
            self._settle(payment.job_id)
            return
        escrow = self._escrows.get(payment.chain_id)
        if escrow is None:
            raise Unavailable("payments", f"the settings name no escrow contract for chain {payment.chain_id}")
        await journal.save(replace(payment, due_at=now + _TAKE_SECONDS))
        try:
            mined = await escrow.advance(journal.payment, journal.save)
            await self._further_on(escrow, journal, mined)
        except Refused as problem:
            await self._refused(escrow, journal, problem)

    async def _further_on(self, escrow: Escrow, journal: _Journal, mined: Mined | None) -> None:
        payment = journal.payment
        if mined is None:
            await journal.save(replace(payment, due_at=self._clock.now() + escrow.poll))
        elif payment.state is PaymentState.LOCKING and not mined.counts:
            await journal.save(replace(_seen_at(mined), due_at=self._clock.now() + escrow.poll))
        elif payment.state is PaymentState.LOCKING:
            await journal.save(replace(await self._locked(escrow, mined), due_at=self._clock.now()))
            self._settle(payment.job_id)
        else:
            await journal.save(closed(replace(mined.payment, claim_tx=mined.tx_id), ""))

    async def _refused(self, escrow: Escrow, journal: _Journal, problem: Refused) -> None:
        """Close a payment that the contract refuses; a claim only once there is no lock any more."""
        if journal.payment.state is PaymentState.CLAIMING and await escrow.expiry(journal.payment) is not None:
            raise Unavailable(f"chain {escrow.chain_id}", problem.reason)
        if journal.payment.state is PaymentState.LOCKING and await self._is_open(journal.payment.job_id):
            # Its end comes first: a job whose payment is closed would be let in by the next service.
            self._lost.add(journal.payment.job_id)
            self._tell_settled(journal.payment.job_id)
            raise Unavailable(f"chain {escrow.chain_id}", problem.reason)
        self._settle(journal.payment.job_id)
        log.error("the payment of job %s ends as it is: %s", journal.payment.job_id, problem.reason)
        await journal.save(closed(journal.payment, problem.reason))

    async def _is_open(self, job_id: JobId) -> bool:
        job = await self._jobs.get(job_id)
        return job is not None and job.phase is not Phase.DONE

    def _settle(self, job_id: JobId) -> None:
        self._waiting.discard(job_id)
        self._lost.discard(job_id)
        self._tell_settled(job_id)

    def _tell_settled(self, job_id: JobId) -> None:
        for listener in tuple(self.settled):
            listener(job_id)


def _seen_at(mined: Mined) -> Payment:
    """Give a payment whose lock is mined, and does not count yet."""
    note = f"the lock has {mined.confirmations} of {mined.needed} confirmations"
    return replace(mined.payment, lock_tx=mined.tx_id, attempts=0, note=note)


class _Journal:
    """A payment as it was written down last."""

    def __init__(self, store: PaymentStore, payment: Payment) -> None:
        self._store = store
        self.payment = payment

    async def save(self, changed: Payment) -> Payment:
        """Write it down."""
        self.payment = await self._store.save(changed)
        return self.payment


@contextlib.asynccontextmanager
async def _in_time(part: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_LOCK_SECONDS):
            yield
    except TimeoutError:
        raise Unavailable(part, "the lock of the payment is not mined yet; it will be given back") from None
