from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.jobs import ALICE, BOB, a_full_job, a_job

from cove.core.errors import NotFound, Refused, StaleWrite
from cove.core.job import Job, JobId, Outcome, Phase
from cove.core.lifecycle import STORED_MOVES, restarted
from cove.ports import JobQuery, JobStore

WAY = (Phase.PROVISIONING, Phase.FILTERING, Phase.PUBLISHING, Phase.CLEANING, Phase.DONE)


async def finish(store: JobStore, job: Job, **changes: object) -> Job:
    for phase in WAY:
        job = await store.save(replace(job, phase=phase, **(changes if phase is Phase.DONE else {})))
    return job


async def test_a_job_comes_back_as_it_was(store: JobStore) -> None:
    for job in (a_job(), a_full_job(), a_job(dataset_dids=(), order_keys=(), algorithm_did="")):
        await store.add(job, b"sealed")
        assert await store.get(job.id) == job
        assert list(await store.find(JobQuery(job_id=job.id))) == [job]


async def test_a_saved_job_comes_back_as_it_was(store: JobStore) -> None:
    await store.add(job := a_job(), b"")
    changed = a_full_job(id=job.id, phase=Phase.PROVISIONING, delete_requested_at=5.5, order_keys=job.order_keys)
    stored = await store.save(changed)
    assert stored == replace(changed, version=2)
    assert await store.get(job.id) == stored


async def test_the_package_is_kept_byte_for_byte(store: JobStore) -> None:
    sealed = bytes(range(256)) * 4096
    await store.add(job := a_job(), sealed)
    assert await store.package(job.id) == sealed
    with pytest.raises(NotFound):
        await store.package(JobId("0" * 32))


async def test_a_job_is_added_once(store: JobStore) -> None:
    await store.add(job := a_job(), b"first")
    with pytest.raises(StaleWrite):
        await store.add(replace(job, owner=BOB, order_keys=("other",)), b"second")
    assert await store.get(job.id) == job
    assert await store.package(job.id) == b"first"
    await store.add(a_job(order_keys=("other",)), b"")


async def test_an_order_pays_for_one_running_job(store: JobStore) -> None:
    await store.add(first := a_job(order_keys=("a", "b", "a")), b"")
    second = a_job(order_keys=("c", "b"))
    with pytest.raises(Refused) as refusal:
        await store.add(second, b"")
    assert (refusal.value.field, refusal.value.reason) == ("agreementId", "in_use")
    assert await store.get(second.id) is None
    with pytest.raises(NotFound):
        await store.package(second.id)
    await store.add(a_job(order_keys=("c",)), b"")
    await finish(store, first)
    await store.add(replace(second, order_keys=("b",)), b"")


async def test_a_restart_takes_its_orders_again(store: JobStore) -> None:
    await store.add(first := a_job(order_keys=("a",)), b"")
    done = await finish(store, first)
    again = await store.save(restarted(done, 9.0))
    with pytest.raises(Refused):
        await store.add(a_job(order_keys=("a",)), b"")
    done = await finish(store, again)
    await store.add(other := a_job(order_keys=("a",)), b"")
    with pytest.raises(Refused) as refusal:
        await store.save(restarted(done, 9.0))
    assert (refusal.value.field, refusal.value.reason) == ("agreementId", "in_use")
    assert await store.get(done.id) == done
    await store.remove(other.id)
    await store.save(restarted(done, 9.0))


async def test_an_order_can_be_made_to_pay_once(strict_store: JobStore) -> None:
    store = strict_store
    await store.add(first := a_job(order_keys=("a", "b")), b"")
    done = await finish(store, first)
    with pytest.raises(Refused):
        await store.add(a_job(order_keys=("b",)), b"")
    again = await finish(store, await store.save(restarted(done, 9.0)))
    await store.remove(again.id)
    assert await store.get(again.id) is None
    with pytest.raises(Refused):
        await store.add(a_job(order_keys=("a",)), b"")
    await store.add(a_job(order_keys=("c",)), b"")


async def test_the_second_writer_of_a_version_is_told(store: JobStore) -> None:
    await store.add(job := a_job(), b"")
    stored = await store.save(replace(job, phase=Phase.PROVISIONING))
    assert stored.version == job.version + 1
    with pytest.raises(StaleWrite):
        await store.save(replace(job, stop_requested_at=1.0))
    assert await store.get(job.id) == stored
    await store.remove(job.id)
    with pytest.raises(StaleWrite):
        await store.save(stored)


@pytest.mark.parametrize("before", Phase)
async def test_illegal_moves_are_refused(store: JobStore, before: Phase) -> None:
    for after in Phase:
        await store.add(job := a_job(phase=before), b"")
        if after is before or after in STORED_MOVES[before]:
            assert (await store.save(replace(job, phase=after))).phase is after
        else:
            with pytest.raises(ValueError, match="cannot move"):
                await store.save(replace(job, phase=after))
            assert await store.get(job.id) == job


async def test_of_many_writers_at_once_one_wins(store: JobStore) -> None:
    await store.add(job := a_job(), b"")
    writes = (store.save(replace(job, reason=f"writer_{number}")) for number in range(30))
    answers = await asyncio.gather(*writes, return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, Job)]
    assert len(won) == 1
    assert all(isinstance(answer, StaleWrite) for answer in answers if answer is not won[0])
    assert await store.get(job.id) == won[0]


async def test_of_many_jobs_at_once_one_gets_the_order(store: JobStore) -> None:
    jobs = [a_job(order_keys=("a", f"b{number}")) for number in range(20)]
    answers = await asyncio.gather(*(store.add(job, b"") for job in jobs), return_exceptions=True)
    assert sum(isinstance(answer, Job) for answer in answers) == 1
    assert sum(isinstance(answer, Refused) for answer in answers) == 19


async def test_jobs_are_found_by_what_is_given(store: JobStore) -> None:
    first = a_job(owner=ALICE, agreement_id="0xAB", dataset_dids=("did:op:x", "did:op:y"))
    second = a_job(owner=BOB, agreement_id="0xCD", dataset_dids=("did:op:y",))
    third = a_job(owner=ALICE, agreement_id="0xab", dataset_dids=("did:op:y",), phase=Phase.DONE)
    for job in (first, second, third):
        await store.add(job, b"")

    async def found(**parts: object) -> list[Job]:
        return list(await store.find(JobQuery(**parts)))

    assert await found() == [third, second, first]
    assert await found(owner=ALICE.lower()) == await found(owner=ALICE.upper()) == [third, first]
    assert await found(document_id="did:op:y") == [third, second]
    assert await found(agreement_id="0xab") == [third, first]
    assert await found(agreement_id="0xab", open_only=True) == [first]
    assert await found(owner=ALICE, open_only=True) == [first]
    assert await found(open_only=True) == [second, first]
    assert await found(owner=ALICE, document_id="did:op:y") == [third]
    assert await found(owner=ALICE, document_id="did:op:x", agreement_id="0xab") == [first]
    assert await found(job_id=first.id, owner=ALICE) == [first]
    assert await found(job_id=first.id, owner=BOB) == []
    assert await found(job_id=third.id, open_only=True) == []
    assert await found(job_id=JobId("0" * 32)) == await found(owner="0x0") == []
    assert await found(limit=2) == [third, second]
    assert await found(limit=0) == []


async def test_what_consumers_ask_for_may_be_any_text(store: JobStore) -> None:
    await store.add(a_job(), b"")
    for text in ("", "\0", "a\0b", "\ud800", "'; DROP TABLE jobs; --", "x" * 100_000, "%"):
        assert await store.get(JobId(text)) is None
        for query in (JobQuery(job_id=JobId(text)), JobQuery(owner=text), JobQuery(document_id=text)):
            assert list(await store.find(query)) == []
        assert list(await store.find(JobQuery(agreement_id=text))) == []
        assert await store.known([JobId(text)]) == frozenset()
        await store.remove(JobId(text))
    assert len(await store.find(JobQuery())) == 1


async def test_a_deleted_job_is_seen_by_the_loop_alone(store: JobStore) -> None:
    await store.add(job := a_job(), b"")
    stored = await store.save(replace(job, delete_requested_at=4.0))
    for query in (JobQuery(), JobQuery(job_id=job.id), JobQuery(owner=job.owner), JobQuery(open_only=True)):
        assert list(await store.find(query)) == []
    assert await store.get(job.id) == stored
    assert list(await store.active()) == [stored]


async def test_the_queue_is_first_come_first_served(store: JobStore) -> None:
    # The clock went back in between.
    jobs = [a_job(created_at=1000.0 - number) for number in range(5)]
    for job in jobs:
        await store.add(job, b"")
    await store.add(elsewhere := a_job(environment="other"), b"")
    assert list(await store.queued("default", 100)) == jobs
    assert list(await store.queued("default", 2)) == jobs[:2]
    assert list(await store.queued("default", 0)) == []
    assert [await store.position(job) for job in jobs] == [1, 2, 3, 4, 5]
    assert await store.position(elsewhere) == 1
    moved = await store.save(replace(jobs[0], phase=Phase.PROVISIONING))
    assert await store.position(moved) == await store.position(jobs[0]) == 0
    assert await store.position(jobs[1]) == 1
    await store.remove(jobs[1].id)
    assert await store.position(jobs[1]) == 0
    assert await store.position(a_job()) == 0


async def test_a_restarted_job_waits_behind_those_that_came_before(store: JobStore) -> None:
    await store.add(first := a_job(), b"")
    await store.add(second := a_job(), b"")
    again = await store.save(restarted(await finish(store, first), 9.0))
    assert list(await store.queued("default", 10)) == [second, again]
    assert await store.position(again) == 2


async def test_the_loop_gets_what_it_must_look_at(store: JobStore) -> None:
    under_way = [a_job(phase=phase) for phase in Phase if phase not in {Phase.ACCEPTED, Phase.DONE}]
    to_stop = a_job(stop_requested_at=1.0)
    to_delete = a_job(phase=Phase.DONE, delete_requested_at=1.0)
    in_the_airlock = a_job(phase=Phase.HELD, held_at=2.0)
    at_rest = [in_the_airlock, a_job(), a_job(phase=Phase.DONE), a_job(phase=Phase.DONE, stop_requested_at=1.0)]
    for job in (*at_rest, *under_way, to_stop, to_delete):
        await store.add(job, b"")
    assert {job.id for job in await store.active()} == {job.id for job in (*under_way, to_stop, to_delete)}


async def test_counts_tell_waiting_from_running(store: JobStore) -> None:
    assert await store.counts("default") == (0, 0)
    for phase in (*Phase, Phase.ACCEPTED):
        await store.add(a_job(phase=phase), b"")
    await store.add(a_job(environment="other"), b"")
    assert await store.counts("default") == (2, 6)
    assert await store.counts("other") == (1, 0)


async def test_durations_are_those_of_the_newest_finished_jobs(store: JobStore) -> None:
    assert list(await store.durations("default")) == []
    for number in range(4):
        await store.add(a_job(phase=Phase.DONE, started_at=100.0, finished_at=101.0 + number), b"")
    await store.add(a_job(phase=Phase.DONE, started_at=None, finished_at=300.0), b"")
    await store.add(a_job(phase=Phase.RUNNING, started_at=100.0), b"")
    await store.add(a_job(phase=Phase.DONE, environment="other", started_at=1.0, finished_at=900.0), b"")
    assert list(await store.durations("default")) == [4.0, 3.0, 2.0, 1.0]
    assert list(await store.durations("default", 2)) == [4.0, 3.0]
    await store.add(job := a_job(), b"")
    await finish(store, job, started_at=400.0, finished_at=450.0, outcome=Outcome.SUCCEEDED)
    assert list(await store.durations("default", 1)) == [50.0]


async def test_known_jobs_are_told_from_strangers(store: JobStore) -> None:
    jobs = [a_job() for _ in range(3)]
    for job in jobs:
        await store.add(job, b"")
    strangers = [JobId(f"{number:032x}") for number in range(1200)]
    assert await store.known([*strangers, *(job.id for job in jobs)]) == {job.id for job in jobs}
    assert await store.known(iter([jobs[0].id])) == {jobs[0].id}
    assert await store.known([]) == frozenset()


async def test_a_removed_job_leaves_nothing(store: JobStore) -> None:
    await store.add(job := a_job(order_keys=("a",)), b"sealed")
    await store.remove(job.id)
    await store.remove(job.id)
    assert await store.get(job.id) is None
    with pytest.raises(NotFound):
        await store.package(job.id)
    assert list(await store.active()) == list(await store.find(JobQuery())) == []
    await store.add(replace(job, owner=BOB), b"")


async def test_a_look_finds_it_well(store: JobStore) -> None:
    findings = await store.examine()
    assert findings
    assert all(finding.ok for finding in findings if finding.part == "database")
