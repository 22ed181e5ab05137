"""Deliveries, in each database: they come in with the write that ends a job, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from tests.contract.stores.conftest import make_job_store
from tests.support.jobs import a_job

from cove.core.delivery import Delivery, DeliveryKind, DeliveryState
from cove.core.errors import StaleWrite
from cove.core.job import Job, Outcome, Phase
from cove.stores import SqlJobStore
from cove.stores.deliveries import SqlDeliveryStore


@dataclass(frozen=True)
class Kept:
    jobs: SqlJobStore
    deliveries: SqlDeliveryStore

    async def ended(self, **changes: object) -> Job:
        job = await self.jobs.add(a_job(phase=Phase.CLEANING, **changes), b"")
        return await self.jobs.save(replace(job, phase=Phase.DONE, outcome=Outcome.SUCCEEDED, finished_at=1.0))


@pytest.fixture(params=["sqlite", "postgresql"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    jobs = make_job_store(request.param, request)
    assert isinstance(jobs, SqlJobStore)
    await jobs.start()
    yield Kept(jobs, SqlDeliveryStore(jobs))
    await jobs.close()


async def test_the_end_of_a_job_brings_them_once(kept: Kept) -> None:
    job = await kept.ended(onward=("storage",))
    await kept.ended()
    assert await kept.deliveries.open(DeliveryKind.STORAGE, 10) == [Delivery(job.id, 1, DeliveryKind.STORAGE)]
    assert await kept.deliveries.open(DeliveryKind.ASSET, 10) == []
    again = await kept.jobs.save(replace(job, phase=Phase.ACCEPTED, attempt=2))
    again = await kept.jobs.save(replace(again, phase=Phase.CLEANING))
    await kept.jobs.save(replace(again, phase=Phase.DONE))
    assert [one.attempt for one in await kept.deliveries.of(job.id)] == [2, 1]


async def test_of_two_that_write_one_is_told(kept: Kept) -> None:
    job = await kept.ended(onward=("storage",))
    (found,) = await kept.deliveries.of(job.id)
    written = await kept.deliveries.save(replace(found, due_at=5.0, tries=1, note="down", progress="2"))
    assert await kept.deliveries.of(job.id) == [written]
    with pytest.raises(StaleWrite):
        await kept.deliveries.save(found)


async def test_those_due_first_come_first_and_ended_ones_no_more(kept: Kept) -> None:
    first, second, third = [await kept.ended(onward=("storage",)) for _ in range(3)]
    for job, due in ((first, 3.0), (second, 2.0)):
        (found,) = await kept.deliveries.of(job.id)
        await kept.deliveries.save(replace(found, due_at=due))
    (found,) = await kept.deliveries.of(third.id)
    await kept.deliveries.save(replace(found, state=DeliveryState.DONE))
    assert [one.job_id for one in await kept.deliveries.open(DeliveryKind.STORAGE, 10)] == [second.id, first.id]
    assert [one.job_id for one in await kept.deliveries.open(DeliveryKind.STORAGE, 1)] == [second.id]


async def test_those_that_were_given_up_are_counted_and_tried_again(kept: Kept) -> None:
    first, again, done = [await kept.ended(onward=("storage",)) for _ in range(3)]
    for job, state in ((first, DeliveryState.FAILED), (again, DeliveryState.FAILED), (done, DeliveryState.DONE)):
        (found,) = await kept.deliveries.of(job.id)
        await kept.deliveries.save(replace(found, state=state, tries=9, due_at=7.0, note="gone"))
    assert await kept.deliveries.failed(1.0) == []  # both ended just then
    (counted,) = await kept.deliveries.failed(0.5)
    assert (counted.kind, counted.count, counted.note) == (DeliveryKind.STORAGE, 2, "gone")
    restarted = await kept.jobs.save(replace(again, phase=Phase.ACCEPTED, attempt=2))
    restarted = await kept.jobs.save(replace(restarted, phase=Phase.CLEANING))
    await kept.jobs.save(replace(restarted, phase=Phase.DONE))
    assert [(one.count, one.job_id) for one in await kept.deliveries.failed(0.5)] == [(1, first.id)]
    assert await kept.deliveries.retry() == 1
    assert await kept.deliveries.retry() == 0
    (found,) = await kept.deliveries.of(first.id)
    assert (found.state, found.tries, found.due_at) == (DeliveryState.OPEN, 0, 0.0)


async def test_they_go_with_their_job(kept: Kept) -> None:
    job = await kept.ended(onward=("storage",))
    (found,) = await kept.deliveries.of(job.id)
    await kept.jobs.remove(job.id)
    assert await kept.deliveries.of(job.id) == []
    with pytest.raises(StaleWrite):
        await kept.deliveries.save(found)
