"""The loop starts jobs as the queue has them: in turns, each environment for itself, and none that waited too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.jobs import ALICE, BOB
from tests.support.site import Site, settings

from cove.core.job import Job, JobId, Outcome, Phase, Tier
from cove.jobs.reconciler import Reconciler
from cove.ports import JobQuery
from cove.settings import Settings
from cove.wire import status_of
from cove.wiring.assembly import open_cove

TABLE = ({"type": "local", "root": "data", "path": "table"},)
LONG = "import time\ntime.sleep(1000)\n"


def two_places(folder: Path) -> Settings:
    place = {"memory": 256 << 20, "disk": 64 << 20, "max_jobs": 1}
    return settings(folder, environments=({"id": "default", **place}, {"id": "other", **place}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    return tmp_path


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Site]:
    async with open_cove(two_places(folder)) as cove:
        yield Site(cove)
        for engine in cove.parts.engines.values():
            for run in await engine.runs():
                await engine.remove(run)


async def long_run(site: Site) -> JobId:
    """Take the slot of the environment ``default``."""
    job_id = await site.add(LONG, TABLE, seconds=1000, owner=ALICE)
    await site.until(job_id, lambda job: job.phase is Phase.RUNNING)
    return job_id


async def test_consumers_run_in_turns(folder: Path) -> None:
    async with open_cove(two_places(folder), loop=False) as cove:
        loop = Reconciler(cove.parts)
        site = Site(replace(cove, reconciler=loop))
        added = [await site.add("pass", TABLE, owner=ALICE) for _ in range(8)]
        late = [await site.add("pass", TABLE, owner=BOB) for _ in range(2)]
        loop.listen_to_engines()
        running = asyncio.create_task(loop.run())
        done = [await site.done(job_id) for job_id in (*added, *late)]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert {job.outcome for job in done} == {Outcome.SUCCEEDED}
    began = [job.id for job in sorted(done, key=lambda job: job.started_at or 0.0)]
    assert began == [added[0], late[0], added[1], late[1], *added[2:]]


async def test_a_newcomer_waits_for_the_run_under_way_alone(site: Site) -> None:
    running = await long_run(site)
    ready = await site.add("pass", TABLE, owner=ALICE)
    await site.until(ready, lambda job: job.phase is Phase.SUBMITTING)
    late = await site.add("pass", TABLE, owner=BOB)
    await site.until(late, lambda job: job.phase is Phase.SUBMITTING)
    await site.cove.jobs.stop(JobQuery(job_id=running, owner=ALICE))
    first, second = await site.done(late), await site.done(ready)
    assert (first.started_at or 0.0) < (second.started_at or 0.0)


async def test_environments_do_not_wait_for_each_other(site: Site) -> None:
    running = await long_run(site)
    waiting = await site.add("pass", TABLE, owner=ALICE)
    elsewhere = await site.done(await site.add("pass", TABLE, owner=ALICE, environment="other"))
    assert elsewhere.outcome is Outcome.SUCCEEDED
    for job_id in (running, waiting):
        job = await site.cove.parts.store.get(job_id)
        assert job is not None
        assert job.phase is not Phase.DONE


async def test_a_job_that_waits_too_long_ends_wherever_it_waits(site: Site) -> None:
    await long_run(site)
    until = time.time() + 0.5
    ready = await site.add("pass", TABLE, owner=ALICE, wait_until=until)
    await site.until(ready, lambda job: job.phase is not Phase.ACCEPTED)
    queued = await site.add("pass", TABLE, owner=ALICE, wait_until=until)
    for job_id in (ready, queued):
        job = await site.done(job_id)
        assert (job.outcome, job.reason, job.started_at) == (Outcome.TIMED_OUT, "queue_wait", None)
        assert job.finished_at is not None
        assert job.finished_at > until
        assert status_of(job) == (70, "Job failed: waited too long in the queue")


async def test_a_job_whose_slot_comes_in_time_runs(site: Site) -> None:
    job = await site.done(await site.add("pass", TABLE, wait_until=time.time() + 30))
    assert job.outcome is Outcome.SUCCEEDED


async def test_after_a_crash_jobs_are_judged_in_their_order_and_nobody_gets_ready_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_cove(two_places(folder), loop=False) as cove:
        loop = Reconciler(cove.parts)
        site = Site(replace(cove, reconciler=loop))
        store = cove.parts.store
        behind = []
        for _ in range(40):
            job = await store.get(await site.add("pass", TABLE))
            assert job is not None
            stopped = replace(job, phase=Phase.FILTERING, outcome=Outcome.STOPPED, reason="stopped")
            behind.append((await store.save(stopped)).id)
        late = await site.add("pass", TABLE)
        seen: list[JobId] = []
        many, may_go = asyncio.Event(), asyncio.Event()
        judge = loop.steps.filter

        async def slow(job: Job) -> Job:
            seen.append(job.id)
            if len(seen) == 16:
                many.set()
            await may_go.wait()
            return await judge(job)

        monkeypatch.setattr(loop.steps, "filter", slow)
        running = asyncio.create_task(loop.run())
        await many.wait()
        for _ in range(200):  # whatever else could begin does
            await asyncio.sleep(0)
        assert seen == behind[:16]
        waiting = await store.get(late)
        assert waiting is not None
        assert waiting.phase is Phase.ACCEPTED
        may_go.set()
        loop.listen_to_engines()
        assert (await site.done(late)).outcome is Outcome.SUCCEEDED
        assert [(await site.done(job_id)).outcome for job_id in behind] == [Outcome.STOPPED] * 40
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert seen[:40] == behind


async def test_free_jobs_keep_no_paid_one_out(folder: Path) -> None:
    place = {"memory": 256 << 20, "disk": 64 << 20, "max_jobs": 2, "free": {"max_jobs": 1}}
    given = settings(folder, environments=({"id": "default", **place},))
    async with open_cove(given) as cove:
        site = Site(cove)
        free = [await site.add(LONG, TABLE, seconds=1000, owner=ALICE, tier=Tier(free=True)) for _ in range(12)]
        first = await site.until(free[0], lambda job: job.phase is Phase.RUNNING)
        await site.done(await site.add("pass", TABLE, owner=ALICE))
        phases = {job.id: job.phase async for job in _jobs(site, free)}
        assert phases[first.id] is Phase.RUNNING
        assert Phase.RUNNING not in {phase for job_id, phase in phases.items() if job_id != first.id}
        for job_id in free:
            await cove.jobs.delete(JobQuery(job_id=job_id, owner=ALICE))
            await site.gone(job_id)


async def _jobs(site: Site, ids: Sequence[JobId]) -> AsyncIterator[Job]:
    for job_id in ids:
        job = await site.cove.parts.store.get(job_id)
        assert job is not None
        yield job


async def test_a_loop_that_was_closed_takes_nothing_up(folder: Path) -> None:
    def looked_at() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("job ")]

    async with open_cove(two_places(folder), loop=False) as cove:
        job_id = await Site(cove).add("pass", TABLE)
        cove.reconciler.wake(job_id)
        assert looked_at() == [f"job {job_id}"]
        await cove.reconciler.close()
        cove.reconciler.wake(job_id)
        assert looked_at() == []
