"""The queue as every job store keeps it: whose turn it is, who waited too long, and what such a job used up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.jobs import ALICE, BOB, a_job

from cove.core.errors import Refused
from cove.core.job import Job, Phase, Tier
from cove.core.lifecycle import restarted, waited_too_long
from cove.ports import JobStore


async def moved(store: JobStore, job: Job, *phases: Phase) -> Job:
    for phase in phases:
        job = await store.save(replace(job, phase=phase))
    return job


async def test_consumers_take_turns(store: JobStore) -> None:
    many = [await store.add(a_job(owner=ALICE, order_keys=(f"a{number}",)), b"") for number in range(4)]
    running = await moved(store, many[0], Phase.PROVISIONING, Phase.SUBMITTING, Phase.RUNNING)
    few = [await store.add(a_job(owner=BOB, order_keys=(f"b{number}",)), b"") for number in range(2)]
    order = [few[0], many[1], few[1], many[2], many[3]]
    assert list(await store.queued("default", 10)) == order
    assert [await store.position(job) for job in (*order, running)] == [1, 2, 3, 4, 5, 0]
    found = await store.queued("default", 10)
    assert [job.place for job in found] == [job.place for job in order] == list((await store.line("default")).places)
    elsewhere = await store.add(a_job(owner=BOB, environment="other", order_keys=("c",)), b"")
    assert list(await store.queued("other", 10)) == [elsewhere]
    assert list(await store.queued("default", 10)) == order


async def test_free_jobs_and_others_are_told_apart(store: JobStore) -> None:
    mine = '{"tier":[true,"x"]}'
    tiers = (Tier(free=True, metadata=mine), Tier(free=False, metadata=mine), None, Tier(free=True))
    free, paid, plain, other = [await store.add(a_job(tier=tier), b"") for tier in tiers]
    assert list(await store.queued("default", 9)) == [free, paid, plain, other]
    assert list(await store.queued("default", 9, free=True)) == [free, other]
    assert list(await store.queued("default", 9, free=False)) == [paid, plain]
    assert list(await store.queued("default", 1, free=False)) == [paid]
    await moved(store, other, Phase.PROVISIONING)
    await moved(store, paid, Phase.PROVISIONING)
    line = await store.line("default", free=True)
    assert (list(line.places), list(line.free_places)) == ([free.place, plain.place], [free.place])
    assert (line.under_way, line.free_under_way) == (2, 1)
    line = await store.line("default")
    assert (list(line.free_places), line.free_under_way) == ([], 0)


async def test_who_has_jobs_running_takes_no_turn_twice(store: JobStore) -> None:
    """Else a consumer who always has one job running and one waiting would be served alone."""
    first = await store.add(a_job(owner=BOB), b"")
    await moved(store, first, Phase.PROVISIONING, Phase.SUBMITTING, Phase.RUNNING)
    waiting = await store.add(a_job(owner=ALICE), b"")
    again = await store.add(a_job(owner=BOB), b"")
    assert list(await store.queued("default", 10)) == [waiting, again]


async def test_a_job_whose_data_was_brought_still_counts_in_its_consumers_order(store: JobStore) -> None:
    many = [await store.add(a_job(owner=ALICE), b"") for _ in range(3)]
    for job in many[1:]:
        await moved(store, job, Phase.PROVISIONING, Phase.SUBMITTING)
    late = await store.add(a_job(owner=ALICE), b"")
    assert late.place > many[2].place
    assert (await store.line("default")).under_way == 2


async def test_who_waits_too_long_is_known(store: JobStore) -> None:
    jobs = [await store.add(a_job(wait_until=until), b"") for until in (30.0, 10.0, 20.0, None)]
    assert list(await store.overdue(10.0)) == []
    assert list(await store.overdue(25.0)) == [jobs[1].id, jobs[2].id]
    assert list(await store.overdue(99.0, 1)) == [jobs[1].id]
    begun = await store.save(replace(jobs[1], phase=Phase.PROVISIONING))
    await store.remove(jobs[2].id)
    assert list(await store.overdue(99.0)) == [jobs[0].id]
    done = await moved(store, begun, Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING, Phase.DONE)
    await store.save(replace(done, phase=Phase.ACCEPTED, wait_until=50.0))
    assert list(await store.overdue(99.0)) == [jobs[0].id, done.id]


async def gave_up(store: JobStore, job: Job) -> Job:
    ending = await store.save(waited_too_long(job, Phase.CLEANING))
    return await store.save(replace(ending, phase=Phase.DONE, finished_at=2.0))


async def test_a_job_that_never_ran_leaves_its_orders_unused(strict_store: JobStore) -> None:
    waited = await strict_store.add(a_job(order_keys=("a", "b")), b"")
    ended = await gave_up(strict_store, waited)
    await strict_store.add(other := a_job(order_keys=("a",)), b"")
    with pytest.raises(Refused) as refusal:
        await strict_store.save(restarted(ended, 3.0))
    assert (refusal.value.field, refusal.value.reason) == ("agreementId", "in_use")
    assert await strict_store.get(other.id) == other


async def test_a_job_that_never_ran_may_run_again_with_its_orders(strict_store: JobStore) -> None:
    ended = await gave_up(strict_store, await strict_store.add(a_job(order_keys=("a",)), b""))
    again = await strict_store.save(restarted(ended, 3.0))
    with pytest.raises(Refused):
        await strict_store.add(a_job(order_keys=("a",)), b"")
    done = await moved(strict_store, again, Phase.PROVISIONING, Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING)
    await strict_store.save(replace(done, phase=Phase.DONE, finished_at=4.0))
    with pytest.raises(Refused):
        await strict_store.add(a_job(order_keys=("a",)), b"")


async def test_what_ran_before_has_used_its_orders(strict_store: JobStore) -> None:
    job = await strict_store.add(a_job(order_keys=("a",)), b"")
    ran = await moved(strict_store, job, Phase.PROVISIONING, Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING)
    done = await strict_store.save(replace(ran, phase=Phase.DONE, finished_at=2.0))
    await gave_up(strict_store, await strict_store.save(restarted(done, 3.0)))
    with pytest.raises(Refused):
        await strict_store.add(a_job(order_keys=("a",)), b"")
