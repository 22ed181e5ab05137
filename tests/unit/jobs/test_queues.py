"""A queue is read once for many who ask, and again when that is cheap."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.jobs import ALICE, ENVIRONMENT, a_job

from cove.core.environment import FreeTier
from cove.core.errors import TooMany
from cove.core.job import Tier
from cove.jobs.queues import Queues, Waiting
from cove.ports import Line
from cove.stores import MemoryJobStore


class CountedStore(MemoryJobStore):
    """A store that takes a tenth of a second of a clock for a look at a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.looks = 0

    async def line(self, environment: str, durations: int = 20, *, free: bool = False) -> Line:
        self.looks += 1
        self.now += 0.0625
        await asyncio.sleep(0)
        return await super().line(environment, durations, free=free)


@pytest.fixture
def store() -> CountedStore:
    return CountedStore()


@pytest.fixture
def queues(store: CountedStore) -> Queues:
    return Queues(store, lambda: store.now)


async def test_many_who_ask_at_once_cost_one_look(store: CountedStore, queues: Queues) -> None:
    jobs = [await store.add(a_job(owner=ALICE), b"") for _ in range(50)]
    stands = await asyncio.gather(*(queues.stand(ENVIRONMENT, job) for job in jobs))
    assert [stand.position for stand in stands] == list(range(1, 51))
    assert store.looks == 1


async def test_a_look_is_good_for_twenty_times_as_long_as_it_took(store: CountedStore, queues: Queues) -> None:
    await queues.line(ENVIRONMENT)
    store.now += 1.2
    await queues.line(ENVIRONMENT)
    assert store.looks == 1
    store.now += 0.1
    await queues.line(ENVIRONMENT)
    assert store.looks == 2


async def test_each_environment_is_looked_at_for_itself(store: CountedStore, queues: Queues) -> None:
    await queues.line(ENVIRONMENT)
    await queues.line(replace(ENVIRONMENT, id="other"))
    assert store.looks == 2


async def test_who_came_after_the_look_stands_behind_those_before(store: CountedStore, queues: Queues) -> None:
    await store.add(a_job(owner=ALICE), b"")
    assert await queues.stand(ENVIRONMENT) == Waiting(2, 0.0)
    late = await store.add(a_job(owner=ALICE), b"")
    assert await queues.stand(ENVIRONMENT, late) == Waiting(2, 0.0)
    assert store.looks == 1


BOTH = replace(ENVIRONMENT, max_jobs=2, max_queue=4, free=FreeTier(ENVIRONMENT.resources, max_jobs=1, max_queue=2))
FREE = Tier(free=True)


async def test_free_jobs_leave_room_in_the_queue_for_the_others(store: CountedStore) -> None:
    queues = Queues(store, lambda: store.now)
    for tier in (FREE, FREE, None, None):
        async with queues.room(BOTH, free=tier is not None):
            await store.add(a_job(owner=ALICE, tier=tier), b"")
        if tier is not None and (await store.counts(BOTH.id))[0] == 2:
            with pytest.raises(TooMany, match="queue for free jobs of environment default is full"):
                async with queues.room(BOTH, free=True):
                    pass
    with pytest.raises(TooMany, match="The queue of environment default is full"):
        async with queues.room(BOTH, free=False):
            pass
    store.now += 10
    with pytest.raises(TooMany):
        await queues.check_room(BOTH, free=True)
    with pytest.raises(TooMany):
        await queues.check_room(BOTH, free=False)


async def test_those_who_come_at_once_share_the_room_of_free_jobs(store: CountedStore, queues: Queues) -> None:
    async def come() -> bool:
        try:
            async with queues.room(BOTH, free=True):
                await store.add(a_job(owner=ALICE, tier=FREE), b"")
        except TooMany:
            return False
        return True

    came = await asyncio.gather(*(come() for _ in range(5)))
    assert sum(came) <= 2
    assert (await store.counts(BOTH.id))[0] == sum(came)


async def test_a_free_job_waits_for_the_free_slots(store: CountedStore, queues: Queues) -> None:
    for _ in range(3):
        last = await store.add(a_job(owner=ALICE, tier=FREE), b"")
    paid = await store.add(a_job(owner=ALICE), b"")
    assert await queues.stand(BOTH, last) == Waiting(3, None)
    assert await queues.stand(BOTH, paid) == Waiting(4, 0.0)
