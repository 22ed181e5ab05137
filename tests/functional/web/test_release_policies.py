"""Which jobs a data owner's policy lets start, on a real chain with real orders, and under which policy they run."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.functional.web.test_environments import asked
from tests.support.house import RAW, House, opened
from tests.support.policies import UNCHECKED_FILE
from tests.support.trade import open_trade

from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, publish
from cove.core.job import Job, JobId
from cove.core.releasepolicy import LogMode
from cove.jobs.steps import unpack
from cove.ports import JobQuery

IMAGE = "sha256:" + "0" * 64
CODE = "import os\nopen(os.environ['OUTPUTS'] + '/n', 'w').write('7')\n"
CODE_DIGEST = hashlib.sha256(CODE.encode()).hexdigest()
NOT_PAID = {"dataset.serviceId": "order_invalid"}


@dataclass
class Ruled:
    """A house with one policy file, of the table."""

    house: House
    folder: Path

    def says(self, text: str, *, dataset: str = "") -> None:
        name = f'dataset = "{dataset or self.house.dataset.did}"'
        (self.folder / "table.toml").write_text(f"version = 1\n{name}\n[leaks]\ncheck = false\n{text}")

    async def start(self, **changes: Any) -> httpx2.Response:
        return await self.house.start(**changes)

    async def paid(self) -> dict[str, str]:
        return {"documentId": self.house.dataset.did, "serviceId": "0", "transferTxId": await self.house.paid()}

    async def refusals(self, **changes: Any) -> list[tuple[int, Any]]:
        """Give the answers of a start and of initializeCompute, neither of them with an order."""
        answers = (await self.start(**changes), await asked(self.house, **changes))
        return [(answer.status_code, answer.json().get("error")) for answer in answers]

    async def job(self, answer: httpx2.Response) -> Job:
        assert answer.status_code == 200, answer.text
        job = await self.house.cove.parts.store.get(JobId(answer.json()[0]["jobId"]))
        assert job is not None
        return job


def refused(code: str) -> list[tuple[int, Any]]:
    return [(400, {"dataset": code})] * 2


@pytest.fixture
async def ruled(ocean: Ocean, tmp_path: Path) -> AsyncIterator[Ruled]:
    async with opened(ocean, tmp_path) as house:
        yield Ruled(house, tmp_path / "policies")


async def test_consumers_are_let_in_or_kept_out(ruled: Ruled) -> None:
    me = ruled.house.ocean.consumer.address
    ruled.says(f'[consumers]\ndenied = ["{me}"]')
    assert await ruled.refusals() == refused("policy_consumer_denied")
    ruled.says(f'[consumers]\nallowed = ["0x{"1" * 40}"]')
    assert await ruled.refusals() == refused("policy_consumer_not_allowed")
    answer = await ruled.start()
    assert answer.json()["hint"] == "The dataset's owner lists who may compute on it: ask for access."
    ruled.says(f'[consumers]\nallowed = ["{me}"]')
    assert await ruled.refusals() == [(400, NOT_PAID), (200, None)]


async def test_code_that_comes_along_can_be_kept_out(ruled: Ruled) -> None:
    ruled.says("[algorithms]\nraw = false")
    assert await ruled.refusals() == refused("policy_raw_algorithm")
    ruled.says(f'[algorithms]\ndigests = ["{IMAGE}"]')
    assert await ruled.refusals() == refused("policy_algorithm_digest")


async def publish_code(ruled: Ruled) -> Published:
    ocean, folder = ruled.house.ocean, ruled.folder.parent / "data"
    (folder / "code.py").write_text(CODE)
    draft = AssetDraft(
        "Code",
        [ServiceDraft("access", [{"type": "local", "root": "data", "path": "code.py"}], "http://cove")],
        type="algorithm",
        algorithm={"language": "python", "version": "1", "container": {**RAW["meta"]["container"], "tag": ""}},
    )
    return await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)


async def test_published_algorithms_are_known_by_publisher_image_and_files(ruled: Ruled) -> None:
    code = await publish_code(ruled)
    algorithm = {"documentId": code.did, "serviceId": "0", "transferTxId": "0x" + "8" * 64}
    owner = ruled.house.ocean.publisher.address
    good = [(400, NOT_PAID), (200, None)]
    for rule, expected in (
        (f'publishers = ["{owner}"]', good),
        (f'publishers = ["0x{"1" * 40}"]', refused("policy_algorithm_publisher")),
        (f'digests = ["{IMAGE}"]', good),
        (f'digests = ["{CODE_DIGEST}"]', good),
        (f'digests = ["{IMAGE}+{CODE_DIGEST}"]', good),
        (f'digests = ["{IMAGE}+{"1" * 64}", "sha256:{"1" * 64}"]', refused("policy_algorithm_digest")),
        (f'digests = ["{CODE_DIGEST}"]\npublishers = []', refused("policy_algorithm_publisher")),
    ):
        ruled.says(f"[algorithms]\n{rule}")
        assert await ruled.refusals(algorithm=algorithm) == expected, rule


async def test_an_approved_digest_is_held_to_when_the_files_are_brought(ruled: Ruled) -> None:
    code = await publish_code(ruled)
    ocean = ruled.house.ocean
    await mint(ocean.publisher, code.datatoken, ocean.consumer.address)
    quote = (await asked(ruled.house, algorithm={"documentId": code.did, "serviceId": "0"})).json()
    paid = await order(ocean.consumer, code.datatoken, quote["algorithm"]["providerFee"])
    dataset = await ruled.paid()
    ruled.says(f'[algorithms]\ndigests = ["{CODE_DIGEST}"]')
    algorithm = {"documentId": code.did, "serviceId": "0", "transferTxId": paid}
    job = await ruled.job(await ruled.start(dataset=dataset, algorithm=algorithm))
    package = unpack(ruled.house.cove.vault.unseal(await ruled.house.cove.parts.store.package(job.id)))
    assert package.algorithm.files_checksum == CODE_DIGEST
    assert (await ruled.house.done(job.id))["outcome"] == "succeeded"
    (ruled.folder.parent / "data" / "code.py").write_text(f"{CODE}# changed\n")
    again = await ruled.start(jobId=job.id, dataset=None, algorithm=None, refreshInputs=True)
    assert again.status_code == 200
    assert (await ruled.house.done(job.id))["reason"] == "algorithm_unavailable"


async def test_runs_are_bounded_also_for_who_deletes_jobs(ruled: Ruled) -> None:
    ruled.says('[consumers]\nruns = 1\nperiod = "1 day"')
    dataset = await ruled.paid()
    job = await ruled.job(await ruled.start(dataset=dataset))
    await ruled.house.done(job.id)
    assert await ruled.refusals(dataset=dataset) == refused("policy_runs_used_up")
    again = await ruled.start(jobId=job.id, dataset=None, algorithm=None)
    assert (again.status_code, again.json()["error"]) == (400, {"dataset": "policy_runs_used_up"})
    await ruled.house.cove.parts.store.remove(job.id)
    assert (await ruled.start(dataset=dataset)).json()["error"] == {"dataset": "policy_runs_used_up"}
    ruled.says('[consumers]\nruns = 2\nperiod = "1 day"')
    await ruled.job(await ruled.start(dataset=dataset))


async def test_starts_at_one_time_do_not_share_the_last_run(ruled: Ruled) -> None:
    ruled.says("[consumers]\nruns = 1")
    orders = [await ruled.paid() for _ in range(3)]
    answers = await asyncio.gather(*(ruled.start(dataset=dataset) for dataset in orders))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]
    assert {str(a.json()["error"]) for a in answers if a.status_code == 400} == {"{'dataset': 'policy_runs_used_up'}"}


async def test_a_file_that_breaks_while_the_service_runs_keeps_jobs_off_its_dataset_alone(ruled: Ruled) -> None:
    dataset = await ruled.paid()
    trade = await open_trade(ruled.house)
    ruled.says("[outputs]\nrowz = 5")
    for answer in (await ruled.start(dataset=dataset), await asked(ruled.house)):
        body = answer.json()
        assert (answer.status_code, body["code"]) == (503, "unavailable")
        assert body["error"] == f"The release policy of {ruled.house.dataset.did} cannot be used at present."
        assert "rowz" not in answer.text
        assert str(ruled.folder) not in answer.text
    assert (await trade.compute()).status_code == 200
    ruled.says("[outputs]\nrows = 5")
    await ruled.job(await ruled.start(dataset=dataset))


async def test_a_job_runs_under_the_policy_of_its_start_and_a_restart_under_the_one_of_then(ruled: Ruled) -> None:
    ruled.says('[logs]\nmode = "off"')
    digest = hashlib.sha256((ruled.folder / "table.toml").read_bytes()).hexdigest()
    store, vault = ruled.house.cove.parts.store, ruled.house.cove.vault
    waits = {"meta": RAW["meta"] | {"rawcode": "import time\nprint('said', flush=True)\ntime.sleep(1000)"}}
    job = await ruled.job(await ruled.start(dataset=await ruled.paid(), algorithm=waits))
    ruled.says('[logs]\nmode = "full"')
    policy = unpack(vault.unseal(await store.package(job.id))).policy
    assert (policy.logs.mode, policy.digests) == (LogMode.OFF, ((ruled.house.dataset.did, digest),))
    await stop(ruled, job.id)
    status = await ruled.house.done(job.id)
    assert "algorithm.log" not in [result["filename"] for result in status["results"]]
    await ruled.job(await ruled.start(jobId=job.id, dataset=None, algorithm=None))
    policy = unpack(vault.unseal(await store.package(job.id))).policy
    assert policy.logs.mode is LogMode.FULL
    assert policy.digests != ((ruled.house.dataset.did, digest),)
    await stop(ruled, job.id)
    status = await ruled.house.done(job.id)
    assert status["attempt"] == 2


async def stop(ruled: Ruled, job_id: str) -> None:
    await ruled.house.cove.jobs.stop(JobQuery(job_id=JobId(job_id), owner=ruled.house.ocean.consumer.address))


async def test_of_several_datasets_the_strictest_holds(ruled: Ruled) -> None:
    trade = await open_trade(ruled.house)
    ruled.says('[logs]\nmode = "tail"\ntail = 5')
    other = UNCHECKED_FILE.replace("default = true", f"dataset = {trade.asset.did!r}")
    (ruled.folder / "other.toml").write_text(f"{other}[algorithms]\nraw = false")
    further = [{"documentId": trade.asset.did, "serviceId": "compute", "transferTxId": "0x" + "8" * 64}]
    answer = await ruled.start(additionalDatasets=further)
    assert (answer.status_code, answer.json()["error"]) == (400, {"datasets[1]": "policy_raw_algorithm"})
    (ruled.folder / "other.toml").write_text(f"{other}[outputs]\nfiles = 1")
    further[0]["transferTxId"] = await trade.pay(1)
    job = await ruled.job(await ruled.start(dataset=await ruled.paid(), additionalDatasets=further))
    package = unpack(ruled.house.cove.vault.unseal(await ruled.house.cove.parts.store.package(job.id)))
    assert (package.policy.logs.mode, package.policy.logs.tail_bytes) == (LogMode.TAIL, 5)
    assert package.policy.outputs.files == 1
    assert {did for did, _ in package.policy.digests} == {ruled.house.dataset.did, trade.asset.did}
    assert (await ruled.house.done(job.id))["status"] == 70
