"""Payments in each database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.contract.stores.conftest import make_job_store
from tests.support.jobs import ALICE

from cove.core.errors import StaleWrite
from cove.core.job import JobId
from cove.core.payment import Payment, PaymentState
from cove.core.proof import Sent
from cove.stores import SqlJobStore
from cove.stores.payments import SqlPaymentStore


@pytest.fixture(params=["sqlite", "postgresql"])
async def payments(request: pytest.FixtureRequest) -> AsyncIterator[SqlPaymentStore]:
    jobs = make_job_store(request.param, request)
    assert isinstance(jobs, SqlJobStore)
    await jobs.start()
    yield SqlPaymentStore(jobs)
    await jobs.close()


def a_payment(**changes: object) -> Payment:
    made = Payment(
        job_id=JobId(secrets.token_hex(16)), chain_id=8996, escrow="0x" + "2" * 40, token="0x" + "1" * 40, payer=ALICE,
        rate=10**30, amount=2**255, lock_seconds=7200,
    )  # fmt: skip
    return replace(made, **changes)


async def test_a_payment_comes_back_as_it_was(payments: SqlPaymentStore) -> None:
    made = a_payment(
        state=PaymentState.CLAIMING, started_at=1.5, ended_at=2.5, claim=3, proof="ab", lock_tx="0x1", note="ü",
        sent=(Sent("0x1", "0x2", 3, 4, 5.5),), due_at=7.25, attempts=2, expires_at=9,
    )  # fmt: skip
    assert await payments.add(made) == made
    assert await payments.of(made.job_id) == made
    assert await payments.of(JobId("0" * 32)) is None
    with pytest.raises(StaleWrite):
        await payments.add(made)


async def test_who_writes_second_is_told(payments: SqlPaymentStore) -> None:
    made = await payments.add(a_payment())
    after = await payments.save(replace(made, state=PaymentState.LOCKED))
    assert (after.version, await payments.of(made.job_id)) == (2, after)
    with pytest.raises(StaleWrite):
        await payments.save(replace(made, note="late"))


async def test_what_is_due_first_is_next_until_it_is_closed(payments: SqlPaymentStore) -> None:
    later, sooner = await payments.add(a_payment(due_at=2.0)), await payments.add(a_payment(due_at=1.0))
    assert await payments.next() == sooner
    await payments.save(replace(sooner, state=PaymentState.CLOSED))
    assert await payments.next() == later
    failing = await payments.save(replace(later, attempts=1, note="down"))
    assert await payments.failing() == [failing]
    await payments.save(replace(failing, state=PaymentState.CLOSED))
    assert (await payments.next(), await payments.failing()) == (None, [])
