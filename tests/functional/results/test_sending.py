"""Released results on their way to a consumer's own storage: real jobs in the real sandbox, and a real server."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ecies
import pytest
from coincurve import PrivateKey
from tests.support.answering import Answer, Request
from tests.support.held import holding
from tests.support.site import Site, settings
from tests.support.storage import Storage, storing

from cove.core.delivery import Delivery, DeliveryState
from cove.core.job import Job
from cove.core.output import Output, UrlPlace
from cove.core.output import Storage as Wanted
from cove.jobs import steps
from cove.settings import Settings
from cove.wiring.assembly import open_cove
from cove.wiring.hooks import retry_deliveries, undelivered_beside
from cove.wiring.house import Cove

FILES = [{"type": "local", "root": "data", "path": "table"}]
TWO_FILES = (
    "import os; o = os.environ['OUTPUTS']; os.mkdir(o + '/a'); "
    "open(o + '/a/b 1.txt', 'w').write('eins'); open(o + '/z', 'w').write('zwei'); print('told')"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    return tmp_path


@pytest.fixture
def storage() -> Iterator[Storage]:
    with storing() as made:
        yield made


def sending(folder: Path, storage: Storage, **changes: Any) -> Settings:
    return settings(folder, sending={"allowed": True, "private": (storage.host,), **changes})


def to(storage: Storage, path: str = "/box/", **changes: Any) -> Output:
    return Output(Wanted(UrlPlace(storage.url + path, **changes)))


async def delivered(cove: Cove, job: Job, state: DeliveryState = DeliveryState.DONE) -> Delivery:
    """Give a job's delivery once it is in a state."""
    return await until(cove, job, lambda one: one.state is state)


async def until(cove: Cove, job: Job, holds: Any) -> Delivery:
    assert cove.parts.deliveries is not None
    changed = asyncio.Event()
    cove.deliveries.listeners.add(lambda _: changed.set())
    async with asyncio.timeout(120):
        while True:
            changed.clear()
            found = await cove.parts.deliveries.of(job.id)
            if found and holds(found[0]):
                return found[0]
            await changed.wait()


async def test_each_released_file_goes_into_the_folder(folder: Path, storage: Storage) -> None:
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        place = to(storage, "/box/?sig=1", headers=(("X-Token", "geheim"),))
        job = await site.done(await site.add(TWO_FILES, FILES, output=place))
        assert (await delivered(cove, job)).progress == "5"
        told = [record.text for record in await cove.parts.audit.records()]
        assert any("results_delivered" in one and job.id in one for one in told)
    below = f"/box/{job.id}-1"
    assert set(storage.files) == {
        f"{below}/logs/configuration.log?sig=1",
        f"{below}/logs/algorithm.log?sig=1",
        f"{below}/outputs/a/b%201.txt?sig=1",
        f"{below}/outputs/z?sig=1",
        f"{below}/receipt.json?sig=1",
    }
    assert storage.files[f"{below}/outputs/a/b%201.txt?sig=1"] == b"eins"
    assert {one.method for one in storage.asked} == {"PUT"}
    assert {one.headers["x-token"] for one in storage.asked} == {"geheim"}


async def test_a_single_object_gets_the_archive_of_the_outputs(folder: Path, storage: Storage) -> None:
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage, "/one.tar", method="POST")))
        await delivered(cove, job)
    ((path, content),) = storage.files.items()
    assert path == "/one.tar"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert sorted(archive.getnames()) == ["outputs/a/b 1.txt", "outputs/z"]
    assert storage.asked[0].method == "POST"


@pytest.mark.parametrize("compressed", [True, False])
async def test_they_are_encrypted_to_the_consumers_key(folder: Path, storage: Storage, *, compressed: bool) -> None:
    mine = PrivateKey()
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        wanted = Output(Wanted(UrlPlace(storage.url + "/box/"), mine.public_key.format(compressed).hex()))
        job = await site.done(await site.add(TWO_FILES, FILES, output=wanted))
        await delivered(cove, job)
    content = storage.files[f"/box/{job.id}-1/outputs/z"]
    assert b"zwei" not in content
    assert ecies.decrypt(mine.to_hex(), content) == b"zwei"


async def test_no_job_waits_and_what_failed_is_tried_again(
    folder: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.access.deliveries.PAUSES", (0.02,) * 5)
    fails = iter([503, 500, 307])
    storage.refuses = lambda _: (
        Answer(b"geheim", status=code, headers={"Location": "/else"}) if (code := next(fails, None)) else None
    )
    storage.open.clear()
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage)))
        assert storage.asked == []
        storage.open.set()
        await delivered(cove, job)
        assert (await cove.jobs.find(query(job)))[0].deliveries[0].progress == "5"
    assert len(storage.files) == 5
    assert len(storage.asked) == 8
    assert not any("else" in path for path in storage.files)


def query(job: Job) -> Any:
    from cove.ports import JobQuery  # noqa: PLC0415 - once

    return JobQuery(job_id=job.id)


@pytest.mark.parametrize(("status", "tries"), [(410, 1), (403, 3)])
async def test_it_is_given_up_in_words_without_the_url(  # noqa: PLR0917 - fixtures
    folder: Path,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
    tries: int,
) -> None:
    monkeypatch.setattr("cove.access.deliveries.PAUSES", (0.02,) * 2)
    storage.refuses = lambda _: Answer(b"no", status=status)
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage, "/box/?geheim=1")))
        found = await delivered(cove, job, DeliveryState.FAILED)
    assert f"status {status}" in found.note
    assert len(storage.asked) == tries
    assert "geheim" not in found.note + caplog.text
    assert storage.url not in found.note + caplog.text


async def test_what_was_given_up_is_told_and_tried_again_when_the_owner_says_so(folder: Path, storage: Storage) -> None:
    given = sending(folder, storage)
    storage.refuses = lambda _: Answer(b"no", status=410)
    async with open_cove(given) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage)))
        await delivered(cove, job, DeliveryState.FAILED)
        (finding,) = await cove.deliveries.examine()
        assert "status 410" in finding.seen
        assert job.id in finding.seen
        assert "cove retry-deliveries" in finding.advice
        beside = await undelivered_beside(given, cove.clock.now())
        assert [one.seen for one in beside] == [finding.seen]
        storage.refuses = lambda _: None
        assert await retry_deliveries(given) == 1
        cove.deliveries.hear(job.id)
        await delivered(cove, job)
        assert await cove.deliveries.examine() == []
    assert len(storage.files) == 5


async def test_a_private_address_is_reached_where_the_owner_lists_it_alone(
    folder: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.access.deliveries.PAUSES", ())
    async with open_cove(sending(folder, storage, private=())) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage)))
        assert "not allowed" in (await delivered(cove, job, DeliveryState.FAILED)).note
    assert storage.asked == []


async def test_what_is_larger_than_the_owner_sends_is_not_begun(folder: Path, storage: Storage) -> None:
    async with open_cove(sending(folder, storage, max_bytes=100)) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage)))
        assert "larger" in (await delivered(cove, job, DeliveryState.FAILED)).note
    assert storage.asked == []


async def test_what_is_held_is_sent_after_approval_alone(
    folder: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "review", holding(["z", "a/b 1.txt"]))
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        job = await site.until(
            await site.add(TWO_FILES, FILES, output=to(storage)), lambda job: job.held_at is not None
        )
        assert cove.parts.deliveries is not None
        assert await cove.parts.deliveries.of(job.id) == []
        (review,) = await cove.parts.reviews.find()
        for file in review.files:
            await cove.reviews.vote(
                job.id, file.key, reviewer="local:t", approve=file.path == "z", reason="so", sha256=file.sha256
            )
        job = await site.done(job.id)
        await delivered(cove, job)
    sent = [path.rpartition("/")[2] for path in storage.files]
    assert sorted(sent) == ["algorithm.log", "configuration.log", "receipt.json", "z"]


async def test_what_was_sent_is_not_sent_again_by_the_next_service(folder: Path, storage: Storage) -> None:
    def cut_off(asked: Request) -> Answer | None:
        return Answer(b"", status=503) if len(storage.asked) >= 3 else None

    storage.refuses = cut_off
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage)))
        held = await until(cove, job, lambda one: one.tries > 0)
        assert held.progress == "2"
        assert cove.parts.deliveries is not None
        await cove.parts.deliveries.save(replace(held, due_at=0.0))
    storage.refuses = lambda _: None
    storage.asked.clear()
    async with open_cove(sending(folder, storage)) as cove:
        await delivered(cove, job)
    assert len(storage.asked) == 3
    assert len(storage.files) == 5


async def test_a_service_that_ends_while_it_sends_does_not_wait(folder: Path, storage: Storage) -> None:
    storage.open.clear()
    async with open_cove(sending(folder, storage)) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage)))
    storage.open.set()
    async with open_cove(sending(folder, storage)) as cove:
        assert (await delivered(cove, job)).progress == "5"


async def test_an_owner_may_stop_it_and_a_deletion_ends_it(folder: Path, storage: Storage) -> None:
    async with open_cove(sending(folder, storage, allowed=False)) as cove:
        site = Site(cove)
        job = await site.done(await site.add(TWO_FILES, FILES, output=to(storage)))
        assert "does not allow" in (await delivered(cove, job, DeliveryState.FAILED)).note
        await cove.jobs.delete(replace(query(job), owner=job.owner))
        await site.gone(job.id)
        assert cove.parts.deliveries is not None
        assert await cove.parts.deliveries.of(job.id) == []
