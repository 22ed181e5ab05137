"""Webhooks: what receivers get, what they can check, and what becomes of those that do not answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.chain import Ocean
from tests.support.answering import Answer, answering
from tests.support.house import House, opened
from tests.support.site import Site, settings

from cove.core.job import Webhook
from cove.core.webhook import CONSUMER, Message
from cove.jobs.steps import pack, unpack
from cove.wiring.assembly import open_cove
from cove.wiring.hooks import retry_webhooks

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
FILES = [{"type": "local", "root": "data", "path": "table"}]


class Receiver:
    """Notes what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.status = 204
        self.refuses = 0

    def __call__(self, asked: Any) -> Answer:
        self.asked.append(asked)
        if self.refuses:
            self.refuses -= 1
            return Answer(b"no", status=503)
        return Answer(b"", status=self.status)

    @property
    def types(self) -> list[str]:
        return [json.loads(one.body)["type"] for one in self.asked]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # runs of another user read what lies below
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1")
    return tmp_path


def place(url: str, **more: Any) -> dict[str, Any]:
    allowed = (url.removeprefix("http://"),)
    return {"webhooks": {"endpoints": ({"url": f"{url}/hook?k3y", "secret": SECRET},), "allowed": allowed, **more}}


class Told:
    """Waits for messages that arrived or were given up."""

    def __init__(self, site: Site) -> None:
        self.messages: list[Message] = []
        self._news = asyncio.Event()
        site.cove.webhooks.listeners.add(self._hear)

    def _hear(self, message: Message) -> None:
        self.messages.append(message)
        self._news.set()

    async def until(self, holds: Any) -> None:
        async with asyncio.timeout(120):
            while not holds():
                self._news.clear()
                await self._news.wait()


async def test_the_owner_is_told_in_signed_messages(folder: Path) -> None:
    receiver = Receiver()
    with answering(receiver) as url:
        async with open_cove(settings(folder, **place(url))) as cove:
            site = Site(cove)
            told = Told(site)
            job = await site.done(await site.add("print('private words')", FILES))
            await told.until(lambda: "job.done" in receiver.types)
            assert await cove.webhooks.examine() == []
    assert {"job.accepted", "job.running"} <= set(receiver.types)
    assert set(receiver.types) <= {f"job.{phase}" for phase in (
        "accepted", "provisioning", "submitting", "running", "filtering", "done",
    )}  # fmt: skip
    for asked in receiver.asked:
        headers = asked.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + asked.body
        mac = hmac.new(b"s" * 32, signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
        assert "private" not in asked.body.decode()
    last = next(json.loads(one.body) for one in receiver.asked if b"job.done" in one.body)
    assert last["data"] == {
        "jobId": job.id, "attempt": 1, "environment": "default", "mock": False, "phase": "done", "status": 70,
        "releaseState": "released", "outcome": "succeeded", "reason": None,
    }  # fmt: skip
    assert len({asked.headers["webhook-id"] for asked in receiver.asked}) == len(receiver.asked)


async def test_a_receiver_that_is_down_is_asked_again_and_no_job_waits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.core.webhook.PAUSES", (0.05, 0.05, 0.05))
    receiver = Receiver()
    receiver.refuses = 2
    with answering(receiver) as url:
        async with open_cove(settings(folder, **place(url))) as cove:
            site = Site(cove)
            told = Told(site)
            await site.done(await site.add("pass", FILES))
            await told.until(lambda: any('"job.done"' in one.body for one in told.messages))
    ids = [one.headers["webhook-id"] for one in receiver.asked]
    assert len(ids) > len(set(ids)), "a message keeps its id when it is sent again"


@pytest.mark.parametrize(("status", "note"), [(410, "gone"), (302, "answered status 302")])
async def test_messages_are_given_up_and_said_to_the_owner_without_the_url(
    folder: Path, monkeypatch: pytest.MonkeyPatch, status: int, note: str
) -> None:
    monkeypatch.setattr("cove.core.webhook.PAUSES", ())
    receiver = Receiver()
    receiver.status = status
    with answering(receiver) as url:
        async with open_cove(settings(folder, **place(url))) as cove:
            site = Site(cove)
            told = Told(site)
            await site.done(await site.add("pass", FILES))
            await told.until(lambda: any('"job.done"' in one.body for one in told.messages))
            (finding,) = await cove.webhooks.examine()
    assert note in finding.seen
    assert "k3y" not in finding.seen
    assert not finding.ok


async def test_what_was_given_up_is_sent_again_when_the_owner_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver()
    receiver.status = 410
    with answering(receiver) as url:
        given = settings(folder, **place(url))
        async with open_cove(given) as cove:
            site = Site(cove)
            told = Told(site)
            await site.done(await site.add("pass", FILES))
            await told.until(lambda: any('"job.done"' in one.body for one in told.messages))
        lost = {one.headers["webhook-id"] for one in receiver.asked}
        receiver.asked.clear()
        receiver.status = 200
        assert await retry_webhooks(given) == len(lost)
        assert await retry_webhooks(given) == 0
        async with open_cove(given) as cove:
            told = Told(Site(cove))
            await told.until(lambda: len(told.messages) == len(lost))
            assert await cove.webhooks.examine() == []
    assert {one.headers["webhook-id"] for one in receiver.asked} == lost


async def test_a_private_address_is_reached_where_the_owner_lists_it_and_by_no_consumer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.core.webhook.PAUSES", ())
    receiver = Receiver()
    with answering(receiver) as url:
        unlisted = settings(folder, webhooks=place(url)["webhooks"] | {"allowed": ()})
        async with open_cove(unlisted) as cove:
            site = Site(cove)
            told = Told(site)
            await site.done(await site.add("pass", FILES))
            await told.until(lambda: any('"job.done"' in one.body for one in told.messages))
        assert receiver.asked == []
        for consumers in ((), (url.removeprefix("http://"),)):
            state = folder / f"state-{len(consumers)}"
            listed = settings(folder, state_dir=state, **place(url, endpoints=(), allowed_to_consumers=consumers))
            async with open_cove(listed) as cove:
                site = Site(cove)
                told = Told(site)
                await site.done(await _named(site, url))
                await told.until(lambda told=told: any('"job.done"' in one.body for one in told.messages))
            assert bool(receiver.asked) is bool(consumers)


async def _named(site: Site, url: str) -> Any:
    """Add a job whose consumer wants to be told."""
    parts = site.cove.parts
    original = parts.vault.seal

    def seal(plain: bytes) -> bytes:
        return original(pack(replace(unpack(plain), webhook=Webhook(f"{url}/mine", SECRET))))

    parts.vault.seal = seal  # type: ignore[method-assign]
    try:
        return await site.add("pass", FILES, notify=True)
    finally:
        parts.vault.seal = original  # type: ignore[method-assign]


@pytest.fixture
async def house(ocean: Ocean, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(ocean, tmp_path) as made:
        yield made


async def test_a_start_names_a_place_which_is_kept_sealed(house: House) -> None:
    hook = {"url": "https://hooks.example/geheim", "secret": SECRET}
    order = {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": await house.paid()}
    for wrong, field in (({**hook, "url": "ftp://x"}, "url"), ({**hook, "secret": "whsec_aa"}, "secret"), ({}, "url")):
        refused = await house.start(dataset=order, webhook=wrong)
        assert refused.status_code == 400
        assert f"webhook.{field}" in refused.json()["errors"]
        assert "geheim" not in refused.text
    started = await house.start(dataset=order, webhook=hook)
    assert started.status_code == 200, started.text
    job_id = started.json()[0]["jobId"]
    job = await house.cove.parts.store.get(job_id)
    assert job is not None
    assert job.notify
    assert "geheim" not in repr(job)
    sealed = await house.cove.parts.store.package(job_id)
    assert unpack(house.cove.vault.unseal(sealed)).webhook == Webhook(hook["url"], SECRET)
    await house.done(job_id)
    assert CONSUMER == "consumer"
