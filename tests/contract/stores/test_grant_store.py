"""The GrantStore protocol, and the counting of runs with the jobs themselves."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.contract.stores.conftest import Stores
from tests.support.jobs import a_job

from cove.core.errors import Refused
from cove.core.grant import Grant, GrantRecord, order_key
from cove.core.job import Job, JobId, Phase
from cove.core.lifecycle import QUEUE_WAIT

GRANT = Grant("0x" + "1" * 40, "did:op:" + "2" * 64, "0", 2_000_000_000, 2, b"\7" * 32)


def a_record(number: int = 1, runs: int = 2) -> GrantRecord:
    return GrantRecord(f"0x{number:064x}", replace(GRANT, runs=runs), b"\1" * 65, 1000.5)


def a_run(number: int, *records: GrantRecord) -> Job:
    return a_job(id=JobId(f"{number:032x}"), order_keys=tuple(order_key(record.id) for record in records))


async def used(stores: Stores, record: GrantRecord) -> int:
    found = await stores.grants.get(record.id)
    assert found is not None
    return found.used


async def to_done(stores: Stores, job: Job, **changes: object) -> Job:
    path = [Phase.CLEANING, Phase.DONE]
    for phase in path:
        job = await stores.jobs.save(replace(job, phase=phase, **changes))  # type: ignore[arg-type]
    return job


async def test_a_grant_is_kept_as_it_was_given(stores: Stores) -> None:
    first, second = a_record(1), a_record(2)
    assert await stores.grants.add(first)
    assert await stores.grants.add(second)
    assert not await stores.grants.add(replace(first, created_at=5.0))
    assert await stores.grants.get(first.id) == first
    assert list(await stores.grants.list()) == [second, first]
    for unknown in ("", "0x", "\0", "\ud800", f"0x{9:064x}"):
        assert await stores.grants.get(unknown) is None
        assert not await stores.grants.revoke(unknown, 1.0)


async def test_taking_back_is_for_ever(stores: Stores) -> None:
    record = a_record()
    await stores.grants.add(record)
    assert await stores.grants.revoke(record.id, 7.0)
    assert not await stores.grants.revoke(record.id, 8.0)
    found = await stores.grants.get(record.id)
    assert found is not None
    assert found.revoked_at == 7.0
    with pytest.raises(Refused) as caught:
        await stores.jobs.add(a_run(1, record), b"")
    assert (caught.value.field, caught.value.reason) == ("agreementId", "grant_spent")
    assert await stores.jobs.get(JobId(f"{1:032x}")) is None


async def test_runs_are_counted_and_not_forgotten_with_their_jobs(stores: Stores) -> None:
    record = a_record()
    await stores.grants.add(record)
    for number in (1, 2):
        job = await stores.jobs.add(a_run(number, record), b"")
        assert await used(stores, record) == number
        await to_done(stores, job)
        await stores.jobs.remove(job.id)
    with pytest.raises(Refused, match="grant_spent"):
        await stores.jobs.add(a_run(3, record), b"")
    assert await used(stores, record) == 2


async def test_a_grant_pays_for_one_job_at_a_time(stores: Stores) -> None:
    record = a_record(runs=5)
    await stores.grants.add(record)
    await stores.jobs.add(a_run(1, record), b"")
    with pytest.raises(Refused, match="in_use"):
        await stores.jobs.add(a_run(2, record), b"")
    assert await used(stores, record) == 1


async def test_of_many_starts_at_once_one_has_the_run(stores: Stores) -> None:
    record = a_record(runs=1)
    await stores.grants.add(record)
    asked = [stores.jobs.add(a_run(number, record), b"") for number in range(12)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Job) for answer in answers) == 1
    assert all(isinstance(answer, Job | Refused) for answer in answers)
    assert await used(stores, record) == 1


async def test_nothing_is_counted_where_one_of_two_grants_is_spent(stores: Stores) -> None:
    good, spent = a_record(1), a_record(2)
    await stores.grants.add(good)
    await stores.grants.add(spent)
    await stores.grants.revoke(spent.id, 1.0)
    with pytest.raises(Refused, match="grant_spent"):
        await stores.jobs.add(a_run(1, good, spent), b"")
    assert await used(stores, good) == 0
    with pytest.raises(Refused, match="grant_spent"):
        await stores.jobs.add(a_run(1, good, a_record(3)), b"")  # one that was never kept
    await stores.jobs.add(a_run(1, good), b"")


async def test_a_restart_is_another_run(stores: Stores) -> None:
    record = a_record()
    await stores.grants.add(record)
    job = await to_done(stores, await stores.jobs.add(a_run(1, record), b""))
    job = await stores.jobs.save(replace(job, phase=Phase.ACCEPTED))
    assert await used(stores, record) == 2
    job = await to_done(stores, job)
    with pytest.raises(Refused, match="grant_spent"):
        await stores.jobs.save(replace(job, phase=Phase.ACCEPTED))
    found = await stores.jobs.get(job.id)
    assert found is not None
    assert found.phase is Phase.DONE


async def test_what_never_ran_gives_its_run_back(stores: Stores) -> None:
    record = a_record()
    await stores.grants.add(record)
    await to_done(stores, await stores.jobs.add(a_run(1, record), b""), reason=QUEUE_WAIT)
    assert await used(stores, record) == 0
