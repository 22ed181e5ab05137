"""Messages about jobs, in each database: they come in with the write that changes a phase, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from tests.contract.stores.conftest import make_job_store
from tests.support.jobs import a_job

from cove.core.errors import StaleWrite
from cove.core.job import Job, Phase
from cove.core.webhook import CONSUMER, MessageState
from cove.stores import SqlJobStore
from cove.stores.messages import SqlMessageStore


@dataclass(frozen=True)
class Kept:
    jobs: SqlJobStore
    messages: SqlMessageStore

    async def take(self) -> list[tuple[str, str]]:
        """Take all open messages out, and give target and body of each."""
        found = []
        while (message := await self.messages.next()) is not None:
            found.append((message.target, message.body))
            await self.messages.remove(message)
        return found


@pytest.fixture(params=["sqlite", "postgresql"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    jobs = make_job_store(request.param, request)
    assert isinstance(jobs, SqlJobStore)
    await jobs.start()
    yield Kept(jobs, SqlMessageStore(jobs, ["owner:1", "owner:2"], lambda job: f"{job.phase}"))
    await jobs.close()


async def moved(kept: Kept, job: Job, *phases: Phase) -> Job:
    for phase in phases:
        job = await kept.jobs.save(replace(job, phase=phase))
    return job


async def test_each_change_of_phase_brings_one_message_for_each_place(kept: Kept) -> None:
    job = await kept.jobs.add(a_job(notify=True), b"")
    assert await kept.take() == [("owner:1", "accepted"), ("owner:2", "accepted"), (CONSUMER, "accepted")]
    job = await moved(kept, job, Phase.SUBMITTING, Phase.RUNNING)
    job = await kept.jobs.save(replace(job, started_at=1.0))  # no change of phase
    assert [body for target, body in await kept.take() if target == CONSUMER] == ["submitting", "running"]
    job = await moved(kept, job, Phase.HELD, Phase.PUBLISHING, Phase.CLEANING, Phase.DONE)
    assert [body for target, body in await kept.take() if target == CONSUMER] == ["held", "done"]
    quiet = await kept.jobs.add(a_job(), b"")
    assert [target for target, _ in await kept.take()] == ["owner:1", "owner:2"]
    with pytest.raises(StaleWrite):
        await kept.jobs.save(replace(quiet, phase=Phase.SUBMITTING, version=9))
    assert await kept.take() == []


async def test_of_two_that_take_a_message_one_is_told(kept: Kept) -> None:
    await kept.jobs.add(a_job(), b"")
    message = await kept.messages.next()
    assert message is not None
    claimed = await kept.messages.save(replace(message, due_at=9.0))
    with pytest.raises(StaleWrite):
        await kept.messages.save(message)
    other = await kept.messages.next()
    assert other is not None
    assert other.number != claimed.number


async def test_what_is_given_up_is_kept_and_counted(kept: Kept) -> None:
    await kept.jobs.add(a_job(), b"")
    await kept.jobs.add(a_job(), b"")
    for note in ("first", "other", "second"):
        message = await kept.messages.next()
        assert message is not None
        await kept.messages.save(replace(message, state=MessageState.FAILED, note=note))
    counts = {one.target: (one.count, one.note) for one in await kept.messages.failed()}
    assert counts == {"owner:1": (2, "second"), "owner:2": (1, "other")}
    assert len(await kept.take()) == 1
    assert (await kept.messages.retry(), await kept.messages.retry()) == (3, 0)
    assert not await kept.messages.failed()
    again = await kept.messages.next()
    assert again is not None
    assert (again.state, again.attempts, again.due_at) == (MessageState.OPEN, 0, 0.0)
