"""How often an account started jobs on a dataset, and that no two starts take the last run."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.jobs import ALICE, BOB, a_job

from cove.core.errors import NotFound, Refused, StaleWrite
from cove.core.job import Job, Outcome, Phase
from cove.core.lifecycle import restarted
from cove.ports import JobStore, Restart, RunLimit

WAY = (Phase.PROVISIONING, Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING, Phase.DONE)
FIRST, SECOND = "did:op:1", "did:op:2"


async def finish(store: JobStore, job: Job) -> Job:
    for phase in WAY:
        job = await store.save(replace(job, phase=phase))
    return job


def limit(runs: int, since: float = 0.0, dataset: str = FIRST) -> RunLimit:
    return RunLimit(dataset, runs, since, "datasets[1]")


async def test_starts_count_for_every_dataset_of_a_job_once(store: JobStore) -> None:
    await store.add(a_job(created_at=10.0), b"")
    await store.add(a_job(created_at=20.0, owner=ALICE.upper().replace("0X", "0x"), dataset_dids=(SECOND, SECOND)), b"")
    await store.add(a_job(created_at=30.0, owner=BOB), b"")
    assert await store.runs(ALICE, FIRST, 0.0) == 1
    assert await store.runs(ALICE.lower(), SECOND, 0.0) == 2
    assert await store.runs(ALICE, SECOND, 10.0) == 1
    assert await store.runs(ALICE, SECOND, 20.0) == 0
    assert await store.runs(BOB, FIRST, 0.0) == 1
    assert await store.runs(BOB, "did:op:\0", 0.0) == await store.runs("0x", FIRST, 0.0) == 0


async def test_a_job_that_was_deleted_counts_on(store: JobStore) -> None:
    await store.add(job := a_job(), b"")
    await store.remove((await finish(store, job)).id)
    assert await store.runs(ALICE, FIRST, 0.0) == 1


async def test_a_start_too_many_leaves_nothing_behind(store: JobStore) -> None:
    await store.add(a_job(created_at=10.0), b"", [limit(1)])
    refused = a_job(created_at=11.0, order_keys=("a",))
    with pytest.raises(Refused) as refusal:
        await store.add(refused, b"", [limit(5, dataset=SECOND), limit(1)])
    assert (refusal.value.field, refusal.value.reason) == ("datasets[1]", "policy_runs_used_up")
    assert await store.get(refused.id) is None
    with pytest.raises(NotFound):
        await store.package(refused.id)
    assert await store.runs(ALICE, SECOND, 0.0) == 1
    await store.add(a_job(order_keys=("a",)), b"", [limit(1, since=10.0)])
    await store.add(a_job(owner=BOB), b"", [limit(1)])


async def test_no_runs_at_all_are_none(store: JobStore) -> None:
    with pytest.raises(Refused):
        await store.add(a_job(), b"", [limit(0)])


async def test_of_many_starts_at_once_no_more_are_let_in_than_may(store: JobStore) -> None:
    made = await asyncio.gather(*(store.add(a_job(), b"", [limit(3)]) for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(one, Job) for one in made) == 3
    assert all(isinstance(one, Job | Refused) for one in made)
    assert await store.runs(ALICE, FIRST, 0.0) == 3


async def test_a_restart_counts_and_brings_its_package(store: JobStore) -> None:
    await store.add(job := a_job(created_at=10.0), b"first", [limit(2)])
    done = await finish(store, job)
    again = await store.save(restarted(done, 20.0), Restart(20.0, b"second", (limit(2),)))
    assert await store.package(job.id) == b"second"
    assert await store.runs(ALICE, FIRST, 10.0) == 1
    done = await finish(store, again)
    with pytest.raises(Refused):
        await store.save(restarted(done, 30.0), Restart(30.0, b"third", (limit(2),)))
    assert await store.get(job.id) == done
    assert await store.package(job.id) == b"second"
    await store.save(restarted(done, 30.0), Restart(30.0, b"third", (limit(2, since=10.0),)))
    with pytest.raises(StaleWrite):
        await store.save(restarted(done, 40.0), Restart(40.0, b"fourth"))
    assert await store.package(job.id) == b"third"
    assert await store.runs(ALICE, FIRST, 0.0) == 3


async def test_a_job_that_never_left_the_queue_gives_its_run_back(store: JobStore) -> None:
    job = await store.add(a_job(), b"", [limit(1)])
    done = replace(job, phase=Phase.DONE, outcome=Outcome.TIMED_OUT, reason="queue_wait")
    await store.save(replace(done, phase=Phase.CLEANING))
    await store.save(replace(done, version=2))
    assert await store.runs(ALICE, FIRST, 0.0) == 0


async def test_what_is_too_old_to_count_is_forgotten_and_nothing_else(store: JobStore) -> None:
    year = 367 * 86_400.0
    await store.add(a_job(created_at=1.0), b"")
    await store.add(a_job(created_at=1.0, owner=BOB), b"")
    await store.add(a_job(created_at=year), b"")
    assert await store.runs(ALICE, FIRST, year - 1) == 1
    assert await store.runs(BOB, FIRST, 0.0) == 1


async def test_a_mock_job_is_no_start_and_is_kept_by_none(store: JobStore) -> None:
    job = await store.add(a_job(mock=True, order_keys=()), b"package", [RunLimit("did:op:1", 0, 0.0, "dataset")])
    assert (await store.runs(job.owner, "did:op:1", 0.0), (await store.get(job.id))) == (0, job)
