"""Held jobs: the run is gone at once, nothing leaves before a person said so, and a kill at any write loses nothing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.held import ANNA, BORIS, holding
from tests.support.site import Site, settings

from cove.core import airlock
from cove.core.airlock import ReviewState, Vote
from cove.core.errors import NoSpace, Refused, StaleWrite, Unavailable
from cove.core.job import Job, JobId, Outcome, Phase
from cove.jobs import steps
from cove.jobs.livelogs import LogEnd
from cove.jobs.reconciler import Reconciler
from cove.ports import JobQuery
from cove.wire import status_of
from cove.wiring.assembly import open_cove
from cove.wiring.house import Cove

CODE = (
    "open('/data/outputs/rows.csv', 'w').write('a,b')\n"
    "open('/data/outputs/more.csv', 'w').write('c,d')\n"
    "open('/data/outputs/mean', 'w').write('7')\n"
)
FILES = [{"type": "local", "root": "data", "path": "table"}]
HELD = ("rows.csv", "more.csv")


@pytest.fixture(autouse=True)
def policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "review", holding(HELD))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    return tmp_path


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Site]:
    async with open_cove(settings(folder)) as cove:
        yield Site(cove)


async def held_job(site: Site, **changes: Any) -> Job:
    job_id = await site.add(CODE, FILES, **changes)
    return await site.until(job_id, lambda job: job.phase is Phase.HELD and job.held_at is not None)


async def vote(cove: Cove, job: Job, path: str, *, approve: bool, by: str = ANNA) -> None:
    found = await cove.parts.reviews.get(job.id, job.attempt)
    assert found is not None
    (file,) = [one for one in found.files if one.path == path]
    given = Vote(by, approve, "I looked", file.sha256, cove.clock.now())
    await cove.parts.reviews.save(airlock.voted(found, file.key, given))
    cove.reconciler.wake(job.id)


def names(job: Job) -> list[str]:
    return [result.filename for result in job.results]


def in_airlock(site: Site) -> list[str]:
    return [entry.name for entry in (site.cove.parts.workspaces.parent / "airlock").iterdir()]


async def receipt_of(site: Site, job: Job) -> dict[str, Any]:
    envelope = json.loads(await site.text(job, "receipt.json"))
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    return found


async def test_a_held_job_keeps_nothing_of_its_run_and_shows_nothing(site: Site) -> None:
    job = await held_job(site)
    assert (job.outcome, job.results) == (Outcome.SUCCEEDED, ())
    assert status_of(job) == (50, "Filtering results: waiting for the data owner's review")
    assert site.left_behind() == []
    place = site.cove.parts.workspaces.parent / "airlock" / job.id
    assert place.stat().st_mode & 0o777 == 0o700
    assert len(list(place.iterdir())) == 5, "two held, one that may leave, two logs"
    review = await site.cove.parts.reviews.get(job.id)
    assert review is not None
    assert [one.path for one in review.files] == ["more.csv", "rows.csv"]
    assert (review.files[0].rule, review.inspection.failure) == ("leaks.fail_rows = 3", "")
    with pytest.raises(Refused, match="running"):
        await site.cove.jobs.restart(job.owner, job.id, refresh_inputs=False)
    assert await site.cove.parts.store.active() == []
    assert await site.cove.parts.store.counts("default") == (0, 0)


async def test_who_follows_the_log_is_not_kept_waiting_for_a_person(folder: Path) -> None:
    async with open_cove(settings(folder, environment={"live_logs": True})) as cove:
        site = Site(cove)
        job = await held_job(site)
        async with asyncio.timeout(120):
            parts = [part async for part in cove.live_logs.follow(job.owner, job.id)]
        assert isinstance(parts[-1], LogEnd)


async def test_another_job_has_the_slot_and_not_the_order(folder: Path) -> None:
    async with open_cove(settings(folder, environment={"max_jobs": 1})) as cove:
        site = Site(cove)
        first = await held_job(site)
        with pytest.raises(Refused, match="in_use"):
            await site.add(CODE, FILES, order_keys=first.order_keys)
        assert (await held_job(site)).id != first.id


async def test_what_is_approved_leaves_and_what_is_rejected_stays(site: Site) -> None:
    job = await held_job(site)
    await vote(site.cove, job, "rows.csv", approve=True)
    waiting = await site.cove.parts.store.get(job.id)
    assert waiting is not None
    assert waiting.phase is Phase.HELD
    await vote(site.cove, job, "more.csv", approve=False, by=BORIS)
    done = await site.done(job.id)
    assert names(done) == ["configuration.log", "algorithm.log", "mean", "rows.csv", "outputs.tar", "receipt.json"]
    assert (done.outcome, done.review) == (Outcome.SUCCEEDED, "released")
    assert await site.text(done, "rows.csv") == "a,b"
    assert in_airlock(site) == []
    said = await receipt_of(site, done)
    assert said["withheld"] == [{"type": "output", "reason": "rejected", "count": 1}]
    assert said["review"]["reviewers"] == sorted([ANNA, BORIS])
    assert "more.csv" not in json.dumps(said)
    review = await site.cove.parts.reviews.get(job.id)
    assert review is not None
    assert review.settled
    assert await site.cove.parts.reviews.due(9e12) == []


async def test_nobody_in_time_is_no(site: Site) -> None:
    job = await held_job(site)
    review = await site.cove.parts.reviews.get(job.id)
    assert review is not None
    await site.cove.parts.reviews.save(replace(review, expires_at=1.0))
    done = await site.done(job.id)  # the sweep finds it
    assert names(done) == ["configuration.log", "algorithm.log", "mean", "outputs.tar", "receipt.json"]
    assert (done.review, done.outcome) == ("expired", Outcome.SUCCEEDED)
    assert (await receipt_of(site, done))["withheld"] == [{"type": "output", "reason": "expired", "count": 2}]


async def test_a_returned_job_gives_nothing_of_its_algorithms_and_says_why(site: Site) -> None:
    job = await held_job(site)
    review = await site.cove.parts.reviews.get(job.id)
    assert review is not None
    await site.cove.parts.reviews.save(airlock.returned(review, ANNA, "Group by region.", site.cove.clock.now()))
    done = await site.done(job.id)  # the sweep finds it: another process may have decided
    assert names(done) == ["configuration.log", "receipt.json"]
    assert done.message.endswith("Group by region.")
    assert in_airlock(site) == []


@pytest.mark.parametrize("wish", ["stop", "delete"])
async def test_the_owner_may_end_a_held_job(site: Site, wish: str) -> None:
    job = await held_job(site)
    query = JobQuery(job_id=job.id, owner=job.owner)
    if wish == "stop":
        await site.cove.jobs.stop(query)
        done = await site.done(job.id)
        assert (done.outcome, done.review, names(done)) == (
            Outcome.STOPPED, "withdrawn", ["configuration.log", "receipt.json"],
        )  # fmt: skip
    else:
        await site.cove.jobs.delete(query)
        await _gone(site, job.id)
        assert await site.cove.parts.reviews.get(job.id) is None
    assert in_airlock(site) == []


async def _gone(site: Site, job_id: JobId) -> None:
    gone = asyncio.Event()
    site.cove.reconciler.listeners.add(lambda _: gone.set())
    async with asyncio.timeout(120):
        while await site.cove.parts.store.get(job_id) is not None:
            gone.clear()
            await gone.wait()


class Stops:
    """Stands before a part: its n-th call of a name fails before, or after, it was done."""

    def __init__(self, target: object, name: str, number: int, when: str) -> None:
        self._target, self._name, self._left, self._when = target, name, number, when

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name != self._name:
            return found
        if name in {"put", "settle"}:
            return self._blocking(found)

        async def waiting(*given: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._when == "before":
                raise Unavailable("test")
            answer = await found(*given, **named)
            if self._left == 0:
                raise Unavailable("test")
            return answer

        return waiting

    def _blocking(self, found: Any) -> Any:
        def call(*given: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._when == "before":
                raise NoSpace("test")
            answer = found(*given)
            if self._left == 0:
                raise NoSpace("test")
            return answer

        return call


POINTS = [
    (part, name, number, when)
    for part, name, numbers in (
        ("store", "save", (1, 2, 3, 4)),
        ("airlock", "put", (1, 3)),
        ("airlock", "settle", (1,)),
        ("reviews", "add", (1,)),
    )
    for number in numbers
    for when in ("before", "after")
]


@pytest.mark.parametrize("point", POINTS)
async def test_a_hold_that_is_broken_off_anywhere_is_taken_up_again(
    folder: Path, point: tuple[str, str, int, str]
) -> None:
    part, *where = point
    async with open_cove(settings(folder), loop=False) as cove:
        site = Site(cove)
        broken = replace(cove.parts, **{part: Stops(getattr(cove.parts, part), *where)})
        job_id = await site.add(CODE, FILES)
        await _until(Reconciler(broken), job_id, lambda job: job.held_at is not None)
        job = await cove.parts.store.get(job_id)
        assert job is not None
        assert (job.phase, job.held_at is not None, job.attempt) == (Phase.HELD, True, 1)
        assert sum(one.held for one in job.verdicts) == 2
        assert len(list((cove.parts.workspaces.parent / "airlock" / job_id).iterdir())) == 5
        assert site.left_behind() == []
        actions = [json.loads(one.text)["action"] for one in await cove.parts.audit.records()]
        assert actions == ["policy_in_force", "held"]
        for path in HELD:
            review = await cove.parts.reviews.get(job_id)
            assert review is not None
            file = next(one for one in review.files if one.path == path)
            await cove.parts.reviews.save(
                airlock.voted(review, file.key, Vote(ANNA, approve=True, reason="yes", sha256=file.sha256, at=1.0))
            )
        await _until(Reconciler(cove.parts), job_id, lambda found: found.phase is Phase.DONE)
        done = await cove.parts.store.get(job_id)
        assert done is not None
        assert names(done) == [
            "configuration.log", "algorithm.log", "mean", "more.csv", "rows.csv", "outputs.tar", "receipt.json",
        ]  # fmt: skip


async def _until(loop: Reconciler, job_id: JobId, holds: Any) -> None:
    """Run a loop until something holds; it hears of no engine, so that two of them never act at one time."""
    task = asyncio.create_task(loop.run())
    changed = asyncio.Event()
    loop.listeners.add(lambda _: changed.set())
    try:
        async with asyncio.timeout(120):
            while True:
                changed.clear()
                job = await loop.parts.store.get(job_id)
                assert job is not None
                if holds(job):
                    return
                with contextlib.suppress(TimeoutError):  # of a write that was kept and not answered nobody hears
                    async with asyncio.timeout(0.5):
                        await changed.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_changed_in_the_airlock_since_the_decision_stays(site: Site) -> None:
    job = await held_job(site)
    place = site.cove.parts.airlock.place(job.id, "output", "rows.csv")
    await vote(site.cove, job, "more.csv", approve=False)
    place.write_bytes(b"x,y")
    await vote(site.cove, job, "rows.csv", approve=True)
    done = await site.done(job.id)
    assert "rows.csv" not in names(done)


async def test_two_votes_at_once_are_both_kept(site: Site) -> None:
    job = await held_job(site)
    review = await site.cove.parts.reviews.get(job.id)
    assert review is not None
    first, second = review.files
    await site.cove.parts.reviews.save(
        airlock.voted(review, first.key, Vote(ANNA, approve=True, reason="yes", sha256=first.sha256, at=1.0))
    )
    with pytest.raises(StaleWrite):
        await site.cove.parts.reviews.save(
            airlock.voted(review, second.key, Vote(BORIS, approve=True, reason="yes", sha256=second.sha256, at=1.0))
        )
    assert review.state is ReviewState.OPEN
