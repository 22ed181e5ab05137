"""Proofs on their way, in each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.contract.stores.conftest import make_job_store

from cove.core.errors import StaleWrite
from cove.core.proof import Access, ProofState, Sent, provider_data
from cove.stores import SqlJobStore
from cove.stores.proofs import SqlProofStore

ACCESS = Access(
    8996, "0x" + "a" * 64, "0x" + "b" * 40, "0x" + "c" * 40, provider_data("did:op:1", "0", 0), "did:op:1'☃5", "0x01"
)
HTTP, CHAIN = "http", "chain:8996"
SENT = Sent("0x" + "e" * 64, "0xf8", 3, 10**12, 5.0)


def file(index: int) -> Access:
    return replace(ACCESS, provider_data=provider_data("did:op:1", "0", index))


@pytest.fixture(params=["sqlite", "postgresql"])
async def proofs(request: pytest.FixtureRequest) -> AsyncIterator[SqlProofStore]:
    jobs = make_job_store(request.param, request)
    assert isinstance(jobs, SqlJobStore)
    await jobs.start()
    yield SqlProofStore(jobs)
    await jobs.close()


async def test_an_access_is_kept_once_for_each_place(proofs: SqlProofStore) -> None:
    for _ in range(2):
        await proofs.add(ACCESS, [HTTP, CHAIN])
        await proofs.add(replace(ACCESS, consumer_data="another nonce"), [HTTP])
    found = await proofs.next(HTTP, in_order=False)
    assert found is not None
    assert (found.access, found.state, found.attempts, found.sent, found.due_at) == (ACCESS, "open", 0, (), 0)
    assert {(count.lane, count.state, count.count) for count in await proofs.counts()} == {
        (HTTP, ProofState.OPEN, 1),
        (CHAIN, ProofState.OPEN, 1),
    }
    await proofs.save(replace(found, state=ProofState.DELIVERED))
    await proofs.add(ACCESS, [HTTP])
    assert await proofs.next(HTTP, in_order=False) is None


async def test_first_come_or_first_due(proofs: SqlProofStore) -> None:
    for index in range(3):
        await proofs.add(file(index), [HTTP, CHAIN])
    for lane in (HTTP, CHAIN):
        first = await proofs.next(lane, in_order=True)
        assert first is not None
        await proofs.save(replace(first, due_at=50.0, attempts=1, note="down"))
    first, second = await proofs.next(CHAIN, in_order=True), await proofs.next(HTTP, in_order=False)
    assert first is not None
    assert second is not None
    assert (first.access, first.due_at, first.attempts, first.note) == (file(0), 50.0, 1, "down")
    assert second.access == file(1)


async def test_what_was_sent_is_remembered(proofs: SqlProofStore) -> None:
    await proofs.add(ACCESS, [CHAIN])
    found = await proofs.next(CHAIN, in_order=True)
    assert found is not None
    saved = await proofs.save(replace(found, sent=(SENT, replace(SENT, gas_price=2))))
    assert await proofs.next(CHAIN, in_order=True) == saved


async def test_of_two_writers_one_is_told(proofs: SqlProofStore) -> None:
    await proofs.add(ACCESS, [HTTP])
    found = await proofs.next(HTTP, in_order=False)
    assert found is not None
    await proofs.save(found)
    with pytest.raises(StaleWrite):
        await proofs.save(found)


async def test_what_failed_is_kept_and_counted_with_the_last_words(proofs: SqlProofStore) -> None:
    for index in range(3):
        await proofs.add(file(index), [HTTP])
    for note in ("first", "second"):
        found = await proofs.next(HTTP, in_order=True)
        assert found is not None
        await proofs.save(replace(found, state=ProofState.FAILED, note=note))
    counts = {count.state: (count.count, count.note) for count in await proofs.counts()}
    assert counts == {ProofState.FAILED: (2, "second"), ProofState.OPEN: (1, "")}


async def test_what_was_given_up_is_tried_again_on_request_and_nothing_else(proofs: SqlProofStore) -> None:
    assert await proofs.retry() == 0
    for index in range(3):
        await proofs.add(file(index), [HTTP])
    failed = await proofs.next(HTTP, in_order=True)
    assert failed is not None
    await proofs.save(replace(failed, state=ProofState.FAILED, attempts=30, due_at=9e9, note="down"))
    delivered = await proofs.next(HTTP, in_order=True)
    assert delivered is not None
    await proofs.save(replace(delivered, state=ProofState.DELIVERED))
    assert await proofs.retry() == 1
    again = await proofs.next(HTTP, in_order=True)
    assert again is not None
    assert (again.access, again.state, again.attempts, again.due_at) == (file(0), ProofState.OPEN, 0, 0)
    await proofs.save(replace(again, state=ProofState.DELIVERED))
    last = await proofs.next(HTTP, in_order=True)
    assert last is not None
    assert (last.access, await proofs.retry()) == (file(2), 0)
