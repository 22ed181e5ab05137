"""A queue is read once for many who ask, and again when that is cheap."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.jobs import ALICE, ENVIRONMENT, a_job

from cove.jobs.queues import Queues, Waiting
from cove.ports import Line
from cove.stores import MemoryJobStore


class CountedStore(MemoryJobStore):
    """A store that takes a tenth of a second of a clock for a look at a queue."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.looks = 0

    async def line(self, environment: str, durations: int = 20) -> Line:
        self.looks += 1
        self.now += 0.0625
        await asyncio.sleep(0)
        return await super().line(environment, durations)


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
    await queues.line("default")
    store.now += 1.2
    await queues.line("default")
    assert store.looks == 1
    store.now += 0.1
    await queues.line("default")
    assert store.looks == 2


async def test_each_environment_is_looked_at_for_itself(store: CountedStore, queues: Queues) -> None:
    await queues.line("default")
    await queues.line("other")
    assert store.looks == 2


async def test_who_came_after_the_look_stands_behind_those_before(store: CountedStore, queues: Queues) -> None:
    await store.add(a_job(owner=ALICE), b"")
    assert await queues.stand(ENVIRONMENT) == Waiting(2, 0.0)
    late = await store.add(a_job(owner=ALICE), b"")
    assert await queues.stand(ENVIRONMENT, late) == Waiting(2, 0.0)
    assert store.looks == 1
