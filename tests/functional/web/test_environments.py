"""What an environment runs, how long it lets jobs wait, and how its queue is told, over HTTP."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.chain import Ocean
from tests.functional.web.conftest import Consumer, Site
from tests.support.house import PATH, RAW, House, opened
from tests.support.jobs import ALICE

from cove.client.market import AssetDraft, ServiceDraft, publish
from cove.core.job import Phase
from cove.settings import EnvironmentSettings
from cove.wire import Environment, StatusObject

LONG = {"meta": RAW["meta"] | {"rawcode": "import time\ntime.sleep(1000)"}}


def environment(**changes: Any) -> dict[str, Any]:
    fields = {"id": "default", "price_per_minute": "0.5", "max_jobs": 1, **changes}
    return {"environments": (EnvironmentSettings.model_validate(fields),), "poll_seconds": 0.5}


async def asked(house: House, **changes: Any) -> Any:
    body = {
        "datasets": [{"documentId": house.dataset.did, "serviceId": "0"}],
        "algorithm": RAW,
        "compute": {"env": "default", "validUntil": int(time.time()) + 300},
        "consumerAddress": house.ocean.consumer.address,
    } | changes
    return await house.http.post("/api/services/initializeCompute", json=body)


def with_image(image: str, checksum: str = "sha256:" + "0" * 64) -> dict[str, Any]:
    container = RAW["meta"]["container"] | {"image": image, "checksum": checksum}
    return {"meta": RAW["meta"] | {"container": container}}


async def test_images_that_no_pattern_names_are_refused(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(images=("cove/*", "ghcr.io/site/*"))) as house:
        assert (await asked(house)).status_code == 200
        other = with_image("elsewhere/cove/host")
        for answer in (await asked(house, algorithm=other), await house.start(algorithm=other)):
            assert (answer.status_code, answer.json()["error"]) == (400, {"algorithm.container": "image_not_allowed"})
            assert answer.json()["hint"] == (
                "The image elsewhere/cove/host is not allowed here; allowed are: cove/*, ghcr.io/site/*."
            )
        ((listed,),) = (await house.http.get("/api/services/computeEnvironments")).json().values()
        Environment.model_validate(listed)
        assert listed["images"] == ["cove/host"]
        assert listed["allowedImages"] == ["cove/*", "ghcr.io/site/*"]


async def test_images_without_a_whole_digest_are_refused_where_digests_are_wanted(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(digests_only=True)) as house:
        assert (await asked(house)).status_code == 200
        answer = await house.start(algorithm=with_image("cove/host", "sha256:abc"))
        assert (answer.status_code, answer.json()["error"]) == (400, {"algorithm.container": "image_not_allowed"})
        assert "cove/host needs a checksum" in answer.json()["hint"]


async def test_an_image_that_is_not_allowed_any_more_does_not_start(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment()) as house:
        parts = house.cove.parts
        assert isinstance(parts.environments, dict)
        (status,) = (await house.start(dataset=await paid(house))).json()
        parts.environments["default"] = replace(parts.environments["default"], image_patterns=("other/*",))
        done = await house.done(status["jobId"])
        assert (done["status"], done["reason"]) == (32, "image_refused")
        assert "cove/host is not allowed here" in done["message"]


@pytest.mark.parametrize("allowed", [False, True])
async def test_the_network_needs_the_yes_of_the_environment_and_of_the_dataset(
    ocean: Ocean, tmp_path: Path, *, allowed: bool
) -> None:
    """The sandbox has none to give, and must not start such a run as if it had."""
    async with opened(ocean, tmp_path, **environment()) as made:
        parts = made.cove.parts
        assert isinstance(parts.environments, dict)
        files = [{"type": "local", "root": "data", "path": "table.csv"}]
        terms = {"allowRawAlgorithm": True, "allowNetworkAccess": allowed}
        draft = AssetDraft("A table", [ServiceDraft("compute", files, "http://cove", compute=terms)])
        dataset = await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)
        house = replace(made, dataset=dataset)
        closed = await house.done((await house.start(dataset=await paid(house))).json()[0]["jobId"])
        assert closed["outcome"] == "succeeded"
        parts.environments["default"] = replace(parts.environments["default"], network=True)
        opened_up = await house.done((await house.start(dataset=await paid(house))).json()[0]["jobId"])
        assert opened_up["reason"] == ("engine_unfit" if allowed else None)


async def paid(house: House) -> dict[str, str]:
    return {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": await house.paid()}


async def running(house: House) -> None:
    """Take the only slot, and the place behind it for a job that is made ready."""
    for number in (40, 30):
        (status,) = (await house.start(dataset=await paid(house), algorithm=LONG)).json()
        async with asyncio.timeout(120):
            while (await house.http.get(PATH, params={"jobId": status["jobId"]})).json()[0]["status"] != number:
                await house.cove.jobs.wait_change(status["jobId"], 1.0)


async def test_the_queue_never_holds_more_than_it_may(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(max_queue=2)) as house:
        await running(house)
        datasets = [await paid(house) for _ in range(5)]
        answers = await asyncio.gather(*(house.start(dataset=dataset) for dataset in datasets))
        taken = [answer for answer in answers if answer.status_code == 200]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert (await house.cove.parts.store.counts("default"))[0] == len(taken) <= 2
        late = await house.start(dataset=datasets[-1])
        if len(taken) == 2:
            assert (late.status_code, late.headers["retry-after"]) == (429, "60")


async def test_a_job_that_waits_too_long_ends_and_its_order_starts_another(ocean: Ocean, tmp_path: Path) -> None:
    once = {"api": {"order_pays_again": False}}
    async with opened(ocean, tmp_path, **environment(), **once) as house:
        await running(house)
        dataset = await paid(house)
        (status,) = (await house.start(dataset=dataset, queueMaxWaitTime=1)).json()
        assert float(status["queueWaitUntil"]) == pytest.approx(float(status["dateCreated"]) + 1)
        in_use = await house.start(dataset=dataset)
        assert in_use.json()["error"] == {"agreementId": "in_use"}
        done = await house.done(status["jobId"])
        assert (done["status"], done["statusText"]) == (70, "Job failed: waited too long in the queue")
        assert (done["outcome"], done["reason"], done["startedAt"]) == ("timed_out", "queue_wait", None)
        assert (await house.start(dataset=dataset)).status_code == 200


async def test_the_environment_has_a_longest_wait_of_its_own(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(max_queue_wait=2)) as house:
        for wished, seconds in ((None, 2), (5, 2), ("1", 1)):
            (status,) = (await house.start(dataset=await paid(house), queueMaxWaitTime=wished)).json()
            StatusObject.model_validate(status)
            assert float(status["queueWaitUntil"]) == pytest.approx(float(status["dateCreated"]) + seconds)
        ((listed,),) = (await house.http.get("/api/services/computeEnvironments")).json().values()
        assert (listed["queueMaxWaitTime"], listed["maxQueuedJobs"]) == (2, 10_000)


@pytest.mark.parametrize("given", [0, -1, "soon", 1.5, 10**10])
async def test_a_wait_that_is_no_whole_number_of_seconds_is_refused(house: House, given: object) -> None:
    for answer in (await house.start(queueMaxWaitTime=given), await asked(house, queueMaxWaitTime=given)):
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["queueMaxWaitTime"])


async def test_a_waiting_job_tells_its_place_and_what_the_last_runs_say_of_its_wait(
    site: Site, alice: Consumer, bob: Consumer
) -> None:
    """Two runs at a time are under way; the last ones took 30 seconds on average."""

    async def told(job_id: str) -> tuple[int, float | None]:
        (status,) = (await site.http.get(PATH, params={"jobId": job_id})).json()
        StatusObject.model_validate(status)
        return status["queuePosition"], status["queueWaitSeconds"]

    store = site.cove.parts.store
    for _ in range(2):
        job = await store.get((await site.add(owner=ALICE)).id)
        assert job is not None
        await store.save(replace(job, phase=Phase.SUBMITTING))
    first, second = [await site.add(owner=alice.account.address) for _ in range(2)]
    newcomer = await site.add(owner=bob.account.address)
    ((listed,),) = (await site.http.get("/api/services/computeEnvironments")).json().values()
    assert (listed["queuedJobs"], listed["currentJobs"], listed["queueWaitSeconds"]) == (3, 2, None)
    assert await told(second.id) == (3, None)
    for seconds in (20.0, 40.0):
        await site.add(owner=ALICE, phase=Phase.DONE, started_at=100.0, finished_at=100.0 + seconds)
    site.cove.jobs._queues._seen.clear()
    assert [await told(job.id) for job in (first, newcomer, second)] == [(1, 15.0), (2, 30.0), (3, 45.0)]
    ((listed,),) = (await site.http.get("/api/services/computeEnvironments")).json().values()
    assert listed["queueWaitSeconds"] == 60.0
