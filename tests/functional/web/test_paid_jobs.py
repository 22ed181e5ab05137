"""Jobs that are paid through the Escrow contract, where the owner wants locks to be deep."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
from tests.chain import Ocean
from tests.functional.web.test_environments import environment
from tests.functional.web.test_oceannode import bought, start
from tests.support.escrow import deploy_escrow
from tests.support.house import House, chain_settings, opened

SERVICES = "/api/services"


async def paid_terms(ocean: Ocean, **chain: Any) -> dict[str, Any]:
    """Give settings of a house with prices, and a consumer who may pay."""
    place = await deploy_escrow(ocean.publisher, ocean.addresses)
    await place.deposit(ocean.consumer, 10**18)
    await place.authorize(ocean.consumer, ocean.vault.address, 10**18, 10**6)
    price = {"chain": ocean.chain.chain_id, "token": place.token, "cpu": "0.001"}
    settings = chain_settings(ocean).model_copy(update={"escrow": place.address, **chain})
    return {**environment(prices=(price,)), "chains": (settings,)}


async def deep(house: House, orders: int, blocks: int) -> list[dict[str, str]]:
    """Give datasets with an order each, over which so many blocks were mined: orders must be deep too."""
    datasets = [await bought(house) for _ in range(orders)]
    for _ in range(blocks):
        await house.ocean.chain.call("evm_mine")
    return datasets


async def begin(house: House, dataset: dict[str, str]) -> httpx2.Response:
    ocean = house.ocean
    payment = {"chainId": ocean.chain.chain_id, "token": ocean.addresses.fee_token, "resources": []}
    return await start(house, dataset, f"{SERVICES}/compute", payment=payment, maxJobDuration=20, queueMaxWaitTime=600)


async def status(house: House, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await house.http.get(f"{SERVICES}/compute", params={"jobId": job_id})).json()[0]
    return found


async def until_noted(house: House, job_id: str, words: str) -> dict[str, Any]:
    """Give a job's status once its payment says something; the service asks the chain at its own pace."""
    async with asyncio.timeout(120):
        while True:
            job = await status(house, job_id)
            if words in (job["payment"]["note"] or ""):
                return job
            await house.cove.jobs.wait_change(job["jobId"].rpartition("-")[2], 0.2)


async def test_a_job_waits_until_its_lock_is_deep(ocean: Ocean, tmp_path: Path) -> None:
    terms = await paid_terms(ocean, confirmations=3)
    async with opened(ocean, tmp_path, **terms) as house:
        (dataset,) = await deep(house, 1, 2)
        answer = await begin(house, dataset)
        assert answer.status_code == 200, answer.text
        (job,) = answer.json()
        assert (job["payment"]["state"], job["status"]) == ("locking", 1)
        job = await until_noted(house, job["jobId"], "1 of 3 confirmations")
        assert (job["startedAt"], job["progress"]["phase"], job["queuePosition"]) == (None, "accepted", 1)
        await ocean.chain.call("evm_mine")
        job = await until_noted(house, job["jobId"], "2 of 3 confirmations")
        assert job["progress"]["phase"] == "accepted"
        await ocean.chain.call("evm_mine")
        ended = await house.done(job["jobId"])
        assert ended["statusText"] == "Job completed"


async def test_another_job_is_not_held_up_by_one_that_waits_for_its_lock(ocean: Ocean, tmp_path: Path) -> None:
    terms = await paid_terms(ocean, confirmations=30)
    terms |= environment(free={}, max_jobs=1, prices=terms["environments"][0].prices)
    async with opened(ocean, tmp_path, **terms) as house:
        *paid, free = await deep(house, 4, 30)
        for dataset in paid:
            answer = await begin(house, dataset)
            assert answer.status_code == 200, answer.text
            assert answer.json()[0]["payment"]["state"] == "locking"
        (job,) = (await start(house, free)).json()
        assert (await house.done(job["jobId"]))["statusText"] == "Job completed"


async def test_a_job_of_a_chain_with_one_confirmation_is_let_in_at_once(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **await paid_terms(ocean)) as house:
        (job,) = (await begin(house, await bought(house))).json()
        assert job["payment"]["state"] == "locked"
        assert (await house.done(job["jobId"]))["statusText"] == "Job completed"
