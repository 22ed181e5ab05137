"""Writes that share a commit: each is still all or nothing by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import Connection, text
from tests.support.jobs import a_job

from cove.core.errors import Refused, StaleWrite, Unavailable
from cove.core.job import Job, Phase
from cove.stores import SqlJobStore
from cove.stores.database import sqlite_url


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlJobStore]:
    store = SqlJobStore(sqlite_url(tmp_path / "cove.db"))
    await store.start()
    yield store
    await store.close()


class Held:
    """Keeps the writer busy, so that what comes in meanwhile shares one commit."""

    def __init__(self, store: SqlJobStore) -> None:
        self._entered = threading.Event()
        self._go_on = threading.Event()
        self._task = asyncio.create_task(store.database.write(self._wait))

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._entered.wait)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go_on.set()
        await self._task

    def _wait(self, _: Connection) -> None:
        self._entered.set()
        self._go_on.wait()


async def started(*writes: object) -> list[asyncio.Future[object]]:
    tasks = [asyncio.ensure_future(write) for write in writes]  # type: ignore[call-overload]
    await asyncio.sleep(0)
    return tasks


async def test_a_refused_write_leaves_its_neighbours_and_nothing_of_itself(store: SqlJobStore) -> None:
    await store.add(kept := a_job(order_keys=("a",)), b"")
    good, other = a_job(order_keys=("b",)), a_job(order_keys=("c",))
    async with Held(store):
        tasks = await started(
            store.add(good, b"1"),
            store.add(a_job(order_keys=("d", "a")), b"2"),
            store.save(replace(kept, phase=Phase.DONE)),
            store.save(replace(kept, version=7)),
            store.add(other, b"3"),
        )
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Job, Refused, ValueError, StaleWrite, Job]
    assert [await store.get(job.id) for job in (kept, good, other)] == [kept, good, other]
    assert {job.id for job in await store.queued("default", 10)} == {kept.id, good.id, other.id}
    await store.add(a_job(order_keys=("d",)), b"")


async def test_of_two_writers_of_one_version_in_one_commit_the_first_wins(store: SqlJobStore) -> None:
    await store.add(job := a_job(), b"")
    async with Held(store):
        tasks = await started(*(store.save(replace(job, reason=f"{number}")) for number in range(5)))
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, Job)]
    assert len(won) == 1
    assert sum(isinstance(answer, StaleWrite) for answer in answers) == 4
    assert await store.get(job.id) == won[0]


async def test_a_statement_that_fails_is_told_to_its_own_writer(store: SqlJobStore) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    job = a_job()
    async with Held(store):
        tasks = await started(store.add(job, b""), store.database.write(broken))
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[0] == job
    assert isinstance(answers[1], Unavailable)
    assert await store.get(job.id) == job
    with pytest.raises(Unavailable):
        await store.database.write(broken)
    await store.add(a_job(), b"")


async def test_a_write_whose_caller_went_away_before_it_began_is_not_done(store: SqlJobStore) -> None:
    gone, kept = a_job(), a_job()
    async with Held(store):
        tasks = await started(store.add(gone, b""), store.add(kept, b""))
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await store.get(gone.id) is None
    assert await store.get(kept.id) == kept


async def test_more_writes_than_fit_into_one_commit_are_all_done(store: SqlJobStore) -> None:
    jobs = [a_job() for _ in range(250)]
    async with Held(store):
        tasks = await started(*(store.add(job, b"") for job in jobs))
    assert await asyncio.gather(*tasks) == jobs
    assert len(await store.queued("default", 1000)) == 250
