"""``output`` of a start: read, refused, kept sealed, and told of in the status."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.chain import Ocean
from tests.support.house import House, opened
from tests.support.storage import Storage, storing

from cove.core.output import Output, UrlPlace
from cove.core.output import Storage as Wanted
from cove.jobs.steps import unpack

PLACE = {"type": "url", "url": "https://store.example/geheim/"}


async def start(house: House, output: object) -> Any:
    order = {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": await house.paid()}
    return await house.start(dataset=order, output=output)


async def test_an_owner_who_sends_nothing_says_so_and_nothing_is_started(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path) as house:
        refused = await start(house, {"remoteStorage": PLACE})
        assert refused.status_code == 400
        body = refused.json()
        assert body["error"] == {"output.remoteStorage": "sending_not_allowed"}
        assert "computeResult" in body["hint"]
        assert "geheim" not in refused.text
        # What market front ends send with every job, and what is nothing at all, changes nothing.
        for usual in ({"publishOutput": True, "publishAlgorithmLog": True}, {}, "{}", "", None):
            started = await start(house, usual)
            assert started.status_code == 200, started.text
            assert "deliveries" not in started.json()[0]


async def test_mistakes_are_named_and_never_quoted(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, sending={"allowed": True}) as house:
        other = "0x04" + "ab" * 200
        sealed = "0x" + house.cove.vault.encrypt(b"geheim").hex()
        key = "04" + "ff" * 64
        for wrong, field in (
            ({"remoteStorage": {**PLACE, "url": "ftp://geheim"}}, "output.remoteStorage.url"),
            ({"remoteStorage": PLACE, "encryption": {"key": key}}, "output.encryption.key"),
            ("geheim", "output"),
            ([1], "output"),
            (other, "output"),
            (sealed, "output"),
        ):
            refused = await start(house, wrong)
            assert refused.status_code == 400
            assert list(refused.json()["errors"]) == [field], refused.text
            assert "geheim" not in refused.text


@pytest.mark.parametrize("sealed", [True, False])
async def test_a_place_is_kept_sealed_and_the_status_says_how_far_it_is(
    ocean: Ocean, tmp_path: Path, *, sealed: bool
) -> None:
    with storing() as storage:
        sending = {"allowed": True, "private": (storage.host,)}
        async with opened(ocean, tmp_path, sending=sending) as house:
            place = {"type": "url", "url": f"{storage.url}/geheim/"}
            given: object = {"remoteStorage": place}
            if sealed:
                given = "0x" + house.cove.vault.encrypt(json.dumps(given).encode()).hex()
            started = await start(house, given)
            assert started.status_code == 200, started.text
            job_id = started.json()[0]["jobId"]
            package = unpack(house.cove.vault.unseal(await house.cove.parts.store.package(job_id)))
            assert package.output == Output(Wanted(UrlPlace(place["url"])))
            assert await arrived(house, storage, job_id) == [
                {"kind": "storage", "state": "done", "sent": 4, "failedTries": 0, "note": None, "nextTryAt": None}
            ]
            assert any(path.endswith("/outputs/n") for path in storage.files)
            assert b"geheim" not in b"".join(file.read_bytes() for file in (tmp_path / "state").glob("cove.db*"))
            (told,) = (await house.http.get("/api/services/compute", params={"jobId": job_id})).json()
            assert "geheim" not in json.dumps(told)


async def arrived(house: House, storage: Storage, job_id: str) -> Any:
    changed = asyncio.Event()
    house.cove.deliveries.listeners.add(lambda _: changed.set())
    await house.done(job_id)
    async with asyncio.timeout(120):
        while True:
            changed.clear()
            (status,) = (await house.http.get("/api/services/compute", params={"jobId": job_id})).json()
            if status["deliveries"] and status["deliveries"][0]["state"] != "open":
                return status["deliveries"]
            await changed.wait()
