"""A phase is stored while its step takes long, and only then."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.jobs import a_job

from cove.core.errors import StaleWrite
from cove.core.job import Job
from cove.jobs import announcing
from cove.jobs.announcing import Announcement


class Kept:
    """What was stored; the event is set when something is."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.jobs: list[Job] = []
        self.begun = asyncio.Event()
        self._problem = problem

    async def store(self, job: Job) -> Job:
        self.begun.set()
        await asyncio.sleep(0)
        if self._problem is not None:
            raise self._problem
        self.jobs.append(replace(job, version=job.version + 1))
        return self.jobs[-1]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "MOMENT_SECONDS", 0.0)


async def test_a_short_step_stores_nothing() -> None:
    kept = Kept()
    async with Announcement(job := a_job(), kept.store) as announced:
        pass
    assert (announced.job, kept.jobs) == (job, [])


@pytest.mark.usefixtures("at_once")
async def test_a_long_step_is_seen_while_it_goes_on() -> None:
    kept = Kept()
    async with Announcement(job := a_job(), kept.store) as announced:
        await kept.begun.wait()
    assert announced.job == kept.jobs[0] == replace(job, version=job.version + 1)


@pytest.mark.usefixtures("at_once")
async def test_somebody_elses_write_is_told_after_the_step() -> None:
    kept = Kept(StaleWrite("changed"))
    with pytest.raises(StaleWrite):
        async with Announcement(a_job(), kept.store):
            await kept.begun.wait()


@pytest.mark.usefixtures("at_once")
async def test_the_steps_own_problem_comes_first() -> None:
    kept = Kept(StaleWrite("changed"))

    async def step() -> None:
        async with Announcement(a_job(), kept.store):
            await kept.begun.wait()
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await step()
