"""Reviews and the audit log, in memory and in each database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import delete, text, update
from tests.contract.stores.conftest import make_job_store
from tests.support.held import ANNA, BORIS, NOW, a_held_job, a_review

from cove.core import airlock
from cove.core.airlock import Review, ReviewState, Vote
from cove.core.audit import FIRST, Entry, Head, Verification
from cove.core.errors import StaleWrite
from cove.ports import AuditStore, ReviewStore
from cove.stores import SqlJobStore
from cove.stores.audit import SqlAuditStore
from cove.stores.memory_reviews import MemoryAuditStore, MemoryReviewStore
from cove.stores.reviews import SqlReviewStore
from cove.stores.tables import audit


@dataclass(frozen=True)
class Kept:
    reviews: ReviewStore
    audit: AuditStore
    #: None for the one in memory.
    jobs: SqlJobStore | None


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    if request.param == "memory":
        log = MemoryAuditStore()
        yield Kept(MemoryReviewStore(log), log, None)
        return
    jobs = make_job_store(request.param, request)
    assert isinstance(jobs, SqlJobStore)
    await jobs.start()
    yield Kept(SqlReviewStore(jobs), SqlAuditStore(jobs), jobs)
    await jobs.close()


def entry(number: int = 1, **changes: str) -> Entry:
    return Entry(NOW + number, ANNA, "vote", f"job:{number}/1", {"n": number}, **changes)


def yes(review: Review, number: int, who: str) -> Review:
    file = review.files[number]
    return airlock.voted(review, file.key, Vote(who, approve=True, reason="ja, geprüft", sha256=file.sha256, at=NOW))


async def problems(log: AuditStore, *heads: str) -> list[str]:
    look = Verification(heads)
    for record in await log.records():
        look.follow(record)
    look.end(await log.counted())
    return look.problems


async def test_a_review_comes_back_as_it_was(kept: Kept) -> None:
    review = replace(yes(a_review(reviewers=2), 0, ANNA), note="no", closed_by=BORIS, closed_at=NOW + 0.125)
    assert await kept.reviews.get(review.job_id) is None
    assert await kept.reviews.add(review) == review
    assert await kept.reviews.get(review.job_id) == await kept.reviews.get(review.job_id, 1) == review
    assert await kept.reviews.get(review.job_id, 2) is None
    saved = await kept.reviews.save(replace(yes(review, 1, BORIS), state=ReviewState.RETURNED, settled=True))
    assert saved.version == 2
    assert await kept.reviews.get(review.job_id) == saved
    await kept.reviews.remove(review.job_id)
    await kept.reviews.remove(review.job_id)
    assert await kept.reviews.get(review.job_id) is None


async def test_a_second_add_changes_and_notes_nothing(kept: Kept) -> None:
    review = a_review()
    await kept.reviews.add(review, entry())
    saved = await kept.reviews.save(yes(review, 0, ANNA))
    assert await kept.reviews.add(review, entry(2)) == saved
    assert (await kept.audit.head()).number == 1


async def test_of_two_writers_one_is_told_and_nothing_of_it_is_noted(kept: Kept) -> None:
    review = a_review(reviewers=2)
    await kept.reviews.add(review)
    await kept.reviews.save(yes(review, 0, ANNA), entry(1))
    with pytest.raises(StaleWrite):
        await kept.reviews.save(yes(review, 0, BORIS), entry(2))
    with pytest.raises(StaleWrite):
        await kept.reviews.save(a_review(), entry(3))
    assert [record.number for record in await kept.audit.records()] == [1]


async def test_votes_at_one_time_are_all_kept(kept: Kept) -> None:
    review = await kept.reviews.add(a_review(reviewers=2, job=a_held_job()))
    people = [f"0x{number:040x}" for number in range(2)]

    async def keeps_trying(who: str, number: int) -> None:
        while True:
            current = await kept.reviews.get(review.job_id)
            assert current is not None
            try:
                await kept.reviews.save(yes(current, number, who), entry(once=f"{who}{number}"))
            except StaleWrite:
                continue
            return

    await asyncio.gather(*(keeps_trying(who, number) for who in people for number in (0, 1)))
    after = await kept.reviews.get(review.job_id)
    assert after is not None
    assert [airlock.approvals(file) for file in after.files] == [frozenset(people)] * 2
    assert after.state is ReviewState.RELEASED
    assert await kept.audit.counted() == 4


async def test_what_is_open_and_what_is_due(kept: Kept) -> None:
    one, two, three = (replace(a_review(), opened_at=NOW + at, expires_at=NOW + 100 + at) for at in range(3))
    for review in (one, two, three):
        await kept.reviews.add(review)
    assert [found.job_id for found in await kept.reviews.find()] == [three.job_id, two.job_id, one.job_id]
    assert [found.job_id for found in await kept.reviews.find(limit=1)] == [three.job_id]
    assert await kept.reviews.due(NOW) == []
    closed = await kept.reviews.save(airlock.returned(three, ANNA, "no", NOW))
    assert list(await kept.reviews.due(NOW)) == [three.job_id]
    assert list(await kept.reviews.due(NOW + 100.5)) == [one.job_id, three.job_id]
    assert [found.job_id for found in await kept.reviews.find()] == [two.job_id, one.job_id]
    assert len(await kept.reviews.find(open_only=False)) == 3
    await kept.reviews.save(replace(closed, settled=True))
    assert await kept.reviews.due(NOW) == []


async def test_the_newest_attempt_is_given(kept: Kept) -> None:
    first = await kept.reviews.add(a_review())
    second = await kept.reviews.add(replace(first, attempt=2))
    assert await kept.reviews.get(first.job_id) == second
    assert await kept.reviews.get(first.job_id, 1) == first


async def test_a_log_is_one_chain(kept: Kept) -> None:
    assert await kept.audit.head() == Head(0, FIRST)
    head = await kept.audit.append(entry(1), entry(2))
    assert head == await kept.audit.head()
    assert await kept.audit.append() == head
    await asyncio.gather(*(kept.audit.append(entry(number)) for number in range(3, 30)))
    assert [record.number for record in await kept.audit.records()] == list(range(1, 30))
    assert [record.number for record in await kept.audit.records(5, 3)] == [6, 7, 8]
    assert await problems(kept.audit, head.hash) == []


async def test_what_may_stand_there_once_does(kept: Kept) -> None:
    for _ in range(2):
        await kept.audit.append(entry(1, once="a"), entry(2), entry(3, once="b"))
    assert await kept.audit.counted() == 4
    assert await problems(kept.audit) == []


@pytest.mark.parametrize("harm", ["text", "hash", "middle", "end", "all", "order"])
async def test_what_somebody_does_to_the_table_is_found(kept: Kept, harm: str) -> None:
    if kept.jobs is None:
        return
    await kept.audit.append(*(entry(number) for number in range(1, 6)))
    await kept.jobs.database.write(lambda connection: [connection.execute(one) for one in {
        "text": [update(audit).where(audit.c.number == 3).values(record=text("replace(record, 'vote', 'none')"))],
        "hash": [update(audit).where(audit.c.number == 3).values(hash="0" * 64)],
        "middle": [delete(audit).where(audit.c.number == 3)],
        "end": [delete(audit).where(audit.c.number > 3)],
        "all": [delete(audit)],
        "order": [
            update(audit).where(audit.c.number == 2).values(number=99),
            update(audit).where(audit.c.number == 3).values(number=2),
            update(audit).where(audit.c.number == 99).values(number=3),
        ],
    }[harm]])  # fmt: skip
    assert await problems(kept.audit)
    await kept.audit.append(entry(9))
    assert await problems(kept.audit), "it stays found when the log goes on"
