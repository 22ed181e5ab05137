"""Payments over the real contract and database: whatever is killed wherever, a lock is claimed once or given back."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.chain import Ocean
from tests.support.escrow import Escrowed, Funds, deploy_escrow
from tests.support.jobs import a_job

from cove.core.errors import Refused, Unavailable
from cove.core.job import Job, JobId, Outcome, Phase
from cove.core.lifecycle import never_ran, unpaid
from cove.core.payment import Payment, PaymentState
from cove.jobs.payments import Payments
from cove.ledgers.escrow import EvmEscrow
from cove.ledgers.sending import Outbox, Patience
from cove.stores import SqlJobStore
from cove.stores.database import sqlite_url
from cove.stores.payments import SqlPaymentStore

A_MINUTE = 10**15
AMOUNT = 10 * A_MINUTE
#: So many calls, and some more, are made of what a life can be killed at.
MOMENTS = 32


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Fate:
    """Counts what a service does to the world, and ends it around one of these calls: then nothing more is done."""

    at: int = 0
    after: bool = False
    count: int = 0
    dead: bool = False

    async def around(self, call: Any, *arguments: Any) -> Any:
        self.count += 1
        self._die(now=self.count == self.at and not self.after)
        answer = await call(*arguments)
        self._die(now=self.count == self.at and self.after)
        return answer

    def _die(self, *, now: bool) -> None:
        self.dead |= now
        if self.dead:
            raise Killed


@dataclass
class Mortal:
    """A store whose writes are counted."""

    behind: Any
    fate: Fate

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.behind, name)
        if name not in {"add", "save"}:
            return call

        async def counted(*arguments: Any) -> Any:
            return await self.fate.around(call, *arguments)

        return counted


@dataclass
class Line:
    """The way to the chain."""

    ocean: Ocean
    fate: Fate = field(default_factory=Fate)
    down: bool = False
    #: So many transactions wait in the node, as where the next block takes a moment; each look sends it again.
    early: int = 0

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        if self.down:
            raise Unavailable("chain 8996")
        if method == "eth_sendRawTransaction" and self.early:
            self.early -= 1
            return None
        if method == "eth_sendRawTransaction":
            return await self.fate.around(self.ocean.chain.call, method, params)
        return await self.ocean.chain.call(method, params)

    async def close(self) -> None:
        """Leave the chain open."""


@dataclass
class World:
    ocean: Ocean
    place: Escrowed
    jobs: SqlJobStore
    now: float = 1_000_000.0

    def service(
        self, fate: Fate, *, down: bool = False, confirmations: int = 1, early: int = 0, poll: float = 0.01
    ) -> Payments:
        """Give a service that remembers nothing."""
        line = Line(self.ocean, fate, down, early)
        outbox = Outbox(line, 8996, self.ocean.vault, lambda: self.now, Patience(poll=poll))
        escrow = EvmEscrow(line, 8996, self.place.address, self.ocean.vault.address, outbox, confirmations)
        clock = type("Clock", (), {"now": lambda _: self.now})()
        return Payments(Mortal(SqlPaymentStore(self.jobs), fate), {8996: escrow}, self.jobs, clock)

    def a_payment(self, **changes: Any) -> Payment:
        made = Payment(
            job_id=JobId(secrets.token_hex(16)), chain_id=8996, escrow=self.place.address, token=self.place.token,
            payer=self.ocean.consumer.address, rate=A_MINUTE, amount=AMOUNT, lock_seconds=3600,
        )  # fmt: skip
        return replace(made, **changes)

    async def payment(self, job_id: JobId) -> Payment | None:
        return await SqlPaymentStore(self.jobs).of(job_id)

    async def funds(self) -> Funds:
        return await self.place.funds(self.ocean.consumer)

    async def ended(self, job: Job, **changes: Any) -> Job:
        """Store a job's way to its end: 90 seconds of run."""
        for phase in (Phase.SUBMITTING, Phase.RUNNING):
            job = await self.jobs.save(replace(job, phase=phase))
        fields = {"outcome": Outcome.SUCCEEDED, "started_at": self.now - 90, "finished_at": self.now, **changes}
        for phase in (Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING):
            job = await self.jobs.save(replace(job, phase=phase))
        return await self.jobs.save(replace(job, phase=Phase.DONE, **fields))

    async def settle(self, service: Payments) -> None:
        """Let a service work until nothing is due, and nothing comes due within ten minutes."""
        for _ in range(40):
            if await service._step() > 0:
                self.now += 30.0
                await self.ocean.chain.call("evm_mine")
        assert await SqlPaymentStore(self.jobs).next() is None


@pytest.fixture
async def world(ocean: Ocean, tmp_path: Path) -> AsyncIterator[World]:
    place = await deploy_escrow(ocean.publisher, ocean.addresses)
    await place.deposit(ocean.consumer, 2 * AMOUNT)
    await place.authorize(ocean.consumer, ocean.vault.address, 2 * AMOUNT, 3600)
    jobs = SqlJobStore(sqlite_url(tmp_path / "cove.db"))
    await jobs.start()
    yield World(ocean, place, jobs)
    await jobs.close()


async def life(world: World, payment: Payment, fate: Fate, confirmations: int) -> None:
    """Accept a paid job, run it, and claim."""
    service = world.service(fate, confirmations=confirmations)
    jobs = Mortal(world.jobs, fate)
    async with service.locked(payment):
        job = await jobs.add(a_job(id=payment.job_id), b"")
    await world.ended(job)
    service.hear(payment.job_id)
    await world.settle(service)


@pytest.mark.parametrize("confirmations", [1, 3])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_service_that_is_killed_anywhere_claims_once_or_gives_back(
    world: World, *, after: bool, confirmations: int
) -> None:
    whole = await world.funds()
    for moment in range(1, MOMENTS):
        payment, fate = world.a_payment(), Fate(moment, after)
        try:
            await life(world, payment, fate, confirmations)
        except Killed:
            pass
        else:
            assert fate.count < moment
        job = await world.jobs.get(payment.job_id)
        if job is not None and job.phase is not Phase.DONE:
            await world.ended(job)
        await world.settle(world.service(Fate(), confirmations=confirmations))
        found = await world.payment(payment.job_id)
        claim = 2 * A_MINUTE if job is not None else 0
        funds = await world.funds()
        assert (funds.locked, whole.available - funds.available) == (0, claim), moment
        assert found is None or (found.state, found.claim) == (PaymentState.CLOSED, claim), moment
        if not fate.dead:
            break
        if claim:
            await world.place.deposit(world.ocean.consumer, claim)
    else:
        pytest.fail("there are more moments")


async def test_a_start_does_not_wait_for_a_quick_block_as_for_a_slow_one(world: World) -> None:
    service, payment = world.service(Fate(), early=4, poll=1000.0), world.a_payment()
    async with service.locked(payment):
        await world.jobs.add(a_job(id=payment.job_id), b"")
    found = await world.payment(payment.job_id)
    assert found is not None
    assert found.state is PaymentState.LOCKED


async def test_a_job_that_is_not_accepted_gives_its_lock_back(world: World) -> None:
    service, payment = world.service(Fate()), world.a_payment()
    before = await world.funds()

    async def refused() -> None:
        async with service.locked(payment):
            assert (await world.funds()).locked == AMOUNT
            raise Refused("agreementId", "in_use")

    with pytest.raises(Refused, match="in_use"):
        await refused()
    await world.settle(service)
    assert await world.funds() == before


async def test_what_the_provider_failed_at_is_given_back(world: World) -> None:
    service, payment = world.service(Fate()), world.a_payment()
    before = await world.funds()
    async with service.locked(payment):
        job = await world.jobs.add(a_job(id=payment.job_id), b"")
    await world.ended(job, outcome=Outcome.PROVIDER_FAILED, reason="run_lost")
    service.hear(job.id)
    await world.settle(service)
    assert await world.funds() == before
    found = await world.payment(job.id)
    assert found is not None
    assert (found.claim, found.claim_tx[:2]) == (0, "0x")


async def test_nothing_is_written_where_nothing_can_be_locked(world: World) -> None:
    service, payment = world.service(Fate()), world.a_payment(amount=10**20)
    with pytest.raises(Refused) as problem:
        async with service.locked(payment):
            pytest.fail("it was accepted")
    assert (problem.value.field, problem.value.reason) == ("payment", "payment_refused")
    assert await world.payment(payment.job_id) is None


async def test_a_chain_that_is_down_is_waited_for(world: World) -> None:
    service, payment = world.service(Fate()), world.a_payment()
    async with service.locked(payment):
        job = await world.jobs.add(a_job(id=payment.job_id), b"")
    await world.ended(job)
    down = world.service(Fate(), down=True)
    down.hear(job.id)
    await down._step()
    await down._step()
    found = await world.payment(job.id)
    assert found is not None
    assert (found.state, found.attempts > 0) == (PaymentState.CLAIMING, True)
    (finding,) = await down.examine()
    assert (finding.ok, finding.part) == (False, "payments")
    await world.settle(world.service(Fate()))
    assert (await world.funds()).locked == 0


async def test_a_lock_counts_once_it_is_as_deep_as_the_owner_wants(world: World) -> None:
    service, payment = world.service(Fate(), confirmations=3), world.a_payment()
    settled: list[JobId] = []
    service.settled.add(settled.append)
    async with service.locked(payment):
        assert service.is_waited_for(payment.job_id)  # before the job is there, so that it is never let in
        job = await world.jobs.add(a_job(id=payment.job_id), b"")
    for depth in (1, 2):
        world.now += 1
        await service._step()
        found = await world.payment(job.id)
        assert found is not None
        assert (found.state, found.note) == (PaymentState.LOCKING, f"the lock has {depth} of 3 confirmations")
        assert found.lock_tx.startswith("0x")
        assert service.is_waited_for(job.id)
        await world.ocean.chain.call("evm_mine")
    again = world.service(Fate(), confirmations=3)
    await again.begin()
    assert again.is_waited_for(job.id)
    again.settled.add(settled.append)
    world.now += 1
    await again._step()
    found = await world.payment(job.id)
    assert found is not None
    assert (found.state, found.note, found.expires_at > 0) == (PaymentState.LOCKED, "", True)
    assert settled == [job.id]
    assert not again.is_waited_for(job.id)
    await world.ended(job)
    again.hear(job.id)
    await world.settle(again)
    assert (await world.funds()).locked == 0


async def test_a_job_whose_lock_is_gone_before_it_counts_ends_first(world: World) -> None:
    service, payment = world.service(Fate(), confirmations=2), world.a_payment()
    async with service.locked(payment):
        job = await world.jobs.add(a_job(id=payment.job_id), b"")
    held = await world.payment(job.id)
    escrow = service.escrow_of(8996)
    assert held is not None
    assert escrow is not None
    await escrow.advance(replace(held, state=PaymentState.CLAIMING, sent=(), claim=0), _forget)
    for _ in range(2):  # a second service knows it too
        world.now += 600
        await service._step()
        assert service.is_lost(job.id)
        service = world.service(Fate(), confirmations=2)
        await service.begin()
        assert service.is_waited_for(job.id)
    ended = await world.jobs.save(unpaid(job))
    assert (ended.reason, never_ran(ended)) == ("payment_lost", True)
    await world.jobs.save(replace(ended, phase=Phase.DONE, finished_at=world.now))
    world.now += 600
    await service._step()
    found = await world.payment(job.id)
    assert found is not None
    assert (found.state, found.note) == (PaymentState.CLOSED, "the lock is not there any more")
    assert not service.is_waited_for(job.id)


async def _forget(changed: Payment) -> Payment:
    return changed


async def test_a_lock_that_is_not_there_any_more_is_closed(world: World) -> None:
    service, payment = world.service(Fate()), world.a_payment()
    async with service.locked(payment):
        job = await world.jobs.add(a_job(id=payment.job_id), b"")
    held = await world.payment(job.id)
    assert held is not None
    gone = replace(held, state=PaymentState.CLAIMING, claim=0)

    async def save(changed: Payment) -> Payment:
        return changed

    escrow = service.escrow_of(8996)
    assert escrow is not None
    await escrow.advance(gone, save)  # as if another program of the provider's had given it back
    await world.ended(job)
    service.hear(job.id)
    await world.settle(service)
    found = await world.payment(job.id)
    assert found is not None
    assert "Lock not found" in found.note
