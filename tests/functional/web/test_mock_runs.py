"""Mock runs over HTTP: samples in place of the data, the same checks, logs in full, no orders, and nothing private."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.functional.web.test_environments import asked, environment
from tests.support.house import NONCES, PATH, RAW, House, opened, signer
from tests.support.http_server import Server, serving
from tests.support.trade import COMPUTE, open_trade

from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, publish
from cove.core.job import JobId, SampleFiles
from cove.jobs.livelogs import LogEnd, LogPart
from cove.jobs.steps import unpack
from cove.ports import JobQuery
from cove.wire import StatusObject

ROWS = "".join(
    f"P{n:05},{'ABCDEFGH'[n % 8]}{n * 7919 % 1000:03}x,{n * 104729 % 99991}.{n % 97:02},{1900 + n % 100}\n"
    for n in range(300)
)
SAMPLE = f"id,name,amount,born\n{ROWS}"
COPIES = """import os, json
where = '/data/inputs/' + json.loads(os.environ['DIDS'])[0]
text = open(where + '/0').read()
print(os.listdir(where), text)
out = os.environ['OUTPUTS']
open(out + '/rows.csv', 'w').write(text)
open(out + '/sum', 'w').write('7')
"""
WAITS = "import time\nprint('began', flush=True)\ntime.sleep(1000)\n"


def raw(code: str) -> dict[str, Any]:
    return {"meta": RAW["meta"] | {"rawcode": code}}


@dataclass
class World:
    """A house, and a dataset whose private file is behind a server that nobody should ask."""

    house: House
    folder: Path
    private: Published
    server: Server

    def says(self, text: str, did: str = "", name: str = "private.toml") -> None:
        """Write a dataset's policy file."""
        (self.folder / "policies" / name).write_text(f'version = 1\ndataset = "{did or self.private.did}"\n{text}')

    def ref(self, did: str = "") -> dict[str, Any]:
        return {"documentId": did or self.private.did, "serviceId": "0"}

    async def start(self, code: str = COPIES, **changes: Any) -> httpx2.Response:
        return await self.house.start(**{"mock": True, "dataset": self.ref(), "algorithm": raw(code), **changes})

    async def ran(self, code: str = COPIES, **changes: Any) -> dict[str, Any]:
        answer = await self.start(code, **changes)
        assert answer.status_code == 200, answer.text
        return await self.house.done(answer.json()[0]["jobId"])

    async def text(self, status: dict[str, Any], name: str) -> str:
        (index,) = [one["index"] for one in status["results"] if one["filename"] == name]
        nonce, me = str(next(NONCES)), self.house.ocean.consumer
        query = {"jobId": status["jobId"], "index": str(index), "consumerAddress": me.address, "nonce": nonce}
        query["signature"] = signer(me).sign(f"{me.address}{status['jobId']}{index}{nonce}")
        return (await self.house.http.get("/api/services/computeResult", params=query)).text

    async def stop(self, job_id: str) -> None:
        owner = self.house.ocean.consumer.address
        await self.house.cove.jobs.stop(JobQuery(job_id=JobId(job_id), owner=owner))


@pytest.fixture
async def world(ocean: Ocean, tmp_path: Path) -> AsyncIterator[World]:
    with serving() as server:
        settings = {"url_files": {"allowed": (f"127.0.0.1:{server.port}",)}}
        async with opened(ocean, tmp_path, **settings) as house:
            files = [{"type": "url", "url": f"http://127.0.0.1:{server.port}/private.csv", "method": "GET"}]
            draft = AssetDraft("Private", [ServiceDraft("compute", files, "http://cove", compute=COMPUTE)])
            private = await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)
            (tmp_path / "policies" / "sample.csv").write_text(SAMPLE)
            made = World(house, tmp_path, private, server)
            made.says('[mock]\nfiles = ["sample.csv"]')
            yield made


def fates(status: dict[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    return {one["filename"]: (one["wouldBe"], one["wouldBeReason"]) for one in status["results"]}


async def test_a_mock_run_reads_the_sample_shows_everything_and_says_what_would_have_been_held(world: World) -> None:
    world.says('[mock]\nfiles = ["sample.csv"]\n[logs]\nmode = "off"\n[outputs]\nfiles = 1')
    quote = (await asked(world.house, datasets=[world.ref()], algorithm=raw(COPIES), mock=True)).json()
    assert quote == {"mock": True, "datasets": [{"datatoken": world.private.datatoken}]}
    status = await world.ran()
    StatusObject.model_validate(status)
    assert (status["mock"], status["outcome"], status["status"]) == (True, "succeeded", 70)
    assert (status["agreementId"], status["releaseState"], status["expireTimestamp"]) == ("", "released", 0)
    assert fates(status) == {
        "configuration.log": ("released", None),
        "algorithm.log": ("refused", "log_off"),
        "rows.csv": ("held", "leaked_rows"),
        "sum": ("refused", "too_many"),
        "outputs.tar": (None, None),
        "receipt.json": (None, None),
    }
    assert await world.text(status, "rows.csv") == SAMPLE
    assert await world.text(status, "algorithm.log") == f"['0'] {SAMPLE}\n"
    assert "mock run" in await world.text(status, "configuration.log")
    assert world.server.asked == [], "the private file is never asked for"
    payload = json.loads(await world.text(status, "receipt.json"))["payload"]
    said = json.loads(base64.b64decode(payload))["predicate"]
    assert (said["mock"], said["job"]["order"], said["withheld"]) == (True, "", [])
    assert {one["name"]: one["wouldBe"] for one in said["released"]}["rows.csv"] == "held"
    records = await world.house.cove.parts.audit.records()
    assert len(records) == 2
    assert [record.text.count('"mock":true') for record in records] == [1, 1]


async def test_a_log_is_live_whole_and_without_a_persons_review(world: World) -> None:
    world.says('[mock]\nfiles = ["sample.csv"]\n[logs]\nmode = "tail"\ntail = "4 B"\n[review]\nmode = "always"')
    answer = await world.start(WAITS)
    job_id, me = JobId(answer.json()[0]["jobId"]), world.house.ocean.consumer.address
    shown = b""
    async with asyncio.timeout(120):
        async for part in world.house.cove.live_logs.follow(me, job_id):
            if isinstance(part, LogPart):
                shown += part.content
                await world.stop(job_id)
            elif isinstance(part, LogEnd):
                assert part.view is not None
    assert shown == b"began\n"
    status = await world.house.done(job_id)
    assert (status["outcome"], fates(status)["algorithm.log"]) == ("stopped", ("held", "review_always"))
    assert await world.house.cove.parts.reviews.get(job_id, 1) is None
    world.says('[mock]\nfiles = ["sample.csv"]\n[logs]\nmode = "tail"\ntail = "4 B"')
    status = await world.ran("print('only the end')")
    assert fates(status)["algorithm.log"] == ("cut", "log_tail")
    assert await world.text(status, "algorithm.log") == "only the end\n"


async def test_no_mock_run_finds_out_what_canaries_are(world: World) -> None:
    world.says('[mock]\nfiles = ["sample.csv"]\n[leaks]\ncanaries = ["zebra-4711"]')
    status = await world.ran("import os\nopen(os.environ['OUTPUTS'] + '/guess', 'w').write('zebra-4711')\n")
    assert fates(status)["guess"] == ("released", None)


async def test_datasets_without_a_sample_have_no_mock_runs_also_beside_those_that_have_one(world: World) -> None:
    plain = world.house.dataset
    refused = {"error": {"dataset": "no_sample"}, "code": "refused"}
    for answer in (
        await world.start(dataset=world.ref(plain.did)),
        await asked(world.house, datasets=[world.ref(plain.did)], mock=True),
    ):
        assert (answer.status_code, {**answer.json(), "hint": ""}) == (400, {**refused, "hint": ""})
        assert "ask for one" in answer.json()["hint"]
    mixed = await world.start(additionalDatasets=[world.ref(plain.did)])
    assert (mixed.status_code, mixed.json()["error"]) == (400, {"datasets[1]": "no_sample"})
    mixed = await world.start(dataset=world.ref(plain.did), additionalDatasets=[world.ref()])
    assert (mixed.status_code, mixed.json()["error"]) == (400, {"dataset": "no_sample"})
    assert await world.house.cove.parts.store.find(JobQuery()) == []


async def test_several_datasets_each_with_its_own_samples(world: World) -> None:
    plain = world.house.dataset.did
    (world.folder / "policies" / "two").mkdir()
    for name in ("a.csv", "b.csv"):
        (world.folder / "policies" / "two" / name).write_text(name)
    world.says('[mock]\nfiles = ["two/a.csv", "two/b.csv"]', plain, "plain.toml")
    code = "import os\nfor at, _, names in os.walk('/data/inputs'):\n    print(at[13:19], sorted(names))\n"
    status = await world.ran(code, additionalDatasets=[world.ref(plain)])
    log = await world.text(status, "algorithm.log")
    assert f"{plain[7:13]} ['0', '1']" in log
    assert f"{world.private.did[7:13]} ['0']" in log
    job = await world.house.cove.parts.store.get(JobId(status["jobId"]))
    assert job is not None
    package = unpack(world.house.cove.vault.unseal(await world.house.cove.parts.store.package(job.id)))
    assert [type(given.files) for given in package.datasets] == [SampleFiles, SampleFiles]
    assert (package.mock, job.order_keys, job.resources.time_seconds) == (True, (), 600)
    status = await world.ran("import os\nprint(sorted(os.listdir('/data/inputs')))", layout="flat")
    assert await world.text(status, "algorithm.log") == "['algoCustomData.json', 'sample.csv']\n"


async def test_who_may_run_what_holds_for_mock_runs_too_but_runs_are_not_counted(world: World) -> None:
    me = world.house.ocean.consumer.address
    world.says(f'[mock]\nfiles = ["sample.csv"]\n[consumers]\ndenied = ["{me}"]')
    assert (await world.start()).json()["error"] == {"dataset": "policy_consumer_denied"}
    world.says('[mock]\nfiles = ["sample.csv"]\n[algorithms]\nraw = false')
    assert (await world.start()).json()["error"] == {"dataset": "policy_raw_algorithm"}
    assert (await world.start(signature="0x" + "1" * 130)).status_code == 400
    world.says('[mock]\nfiles = ["sample.csv"]\n[consumers]\nruns = 0')
    await world.ran("print(1)")
    assert await world.house.cove.parts.store.runs(me, world.private.did, 0.0) == 0
    real = await world.start(mock=False, dataset={**world.ref(), "transferTxId": "0x" + "9" * 64})
    assert real.json()["error"] == {"dataset": "policy_runs_used_up"}


async def test_a_restarted_mock_run_stays_one_with_the_samples_of_then(world: World) -> None:
    first = await world.ran()
    again = {"jobId": first["jobId"], "dataset": None, "algorithm": None}
    answer = await world.house.start(**again, mock=False)
    assert (answer.status_code, answer.json()["error"]) == (400, {"mock": "is_mock"})
    assert (await world.house.start(**again)).status_code == 200
    second = await world.house.done(first["jobId"])
    assert (second["mock"], second["attempt"], second["outcome"]) == (True, 2, "succeeded")
    (world.folder / "policies" / "sample.csv").write_text("id\n1\n")
    await world.house.start(**again, mock=True)
    assert (await world.house.done(first["jobId"]))["reason"] == "inputs_changed"
    world.says("")
    assert (await world.house.start(**again)).json()["error"] == {"dataset": "no_sample"}
    assert world.server.asked == []


async def test_a_real_job_does_not_become_a_mock_run(world: World) -> None:
    table = world.house.dataset
    paid = {"documentId": table.did, "serviceId": "0", "transferTxId": await world.house.paid()}
    job = (await world.house.start(dataset=paid)).json()[0]
    assert job["mock"] is False
    done = await world.house.done(job["jobId"])
    assert "wouldBe" not in done["results"][0]
    again = await world.house.start(jobId=job["jobId"], dataset=None, algorithm=None, mock=True)
    assert (again.status_code, again.json()["error"]) == (400, {"mock": "is_not_mock"})


async def test_few_run_at_a_time_since_nobody_pays(ocean: Ocean, tmp_path: Path) -> None:
    async with opened(ocean, tmp_path, **environment(max_mock_jobs=1, max_mock_duration=9)) as house:
        shutil.copy(tmp_path / "data" / "table.csv", tmp_path / "policies" / "table.csv")
        rules = f'version = 1\ndataset = "{house.dataset.did}"\n[mock]\nfiles = ["table.csv"]\n'
        (tmp_path / "policies" / "table.toml").write_text(rules)
        dataset = {"documentId": house.dataset.did, "serviceId": "0"}
        answers = await asyncio.gather(
            *(house.start(mock=True, dataset=dataset, algorithm=raw(WAITS)) for _ in range(3))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
        (job,) = [answer.json()[0] for answer in answers if answer.status_code == 200]
        stored = await house.cove.parts.store.get(JobId(job["jobId"]))
        assert stored is not None
        assert stored.resources.time_seconds == 9
        owner = house.ocean.consumer.address
        await house.cove.jobs.stop(JobQuery(job_id=stored.id, owner=owner))
        await house.done(stored.id)
        assert (await house.start(mock=True, dataset=dataset)).status_code == 200
    async with opened(ocean, tmp_path, **environment(max_mock_jobs=0)) as house:
        rules = rules.replace(dataset["documentId"], house.dataset.did)
        (tmp_path / "policies" / "table.toml").write_text(rules)
        refused = await house.start(mock=True, dataset={"documentId": house.dataset.did, "serviceId": "0"})
        assert refused.json()["error"] == {"environment": "no_mock_runs"}


async def test_a_mock_run_is_still_one_after_a_restart_of_the_service_and_keeps_its_place(
    ocean: Ocean, tmp_path: Path
) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "table.csv").write_text("a\n1\n")
    changes = environment(max_mock_jobs=1)
    async with opened(ocean, tmp_path, **changes) as house:
        dataset = {"documentId": house.dataset.did, "serviceId": "0"}
        rules = f'version = 1\ndataset = "{house.dataset.did}"\n[mock]\nfiles = ["table.csv"]\n'
        (tmp_path / "policies" / "table.toml").write_text(rules)
        job = (await house.start(mock=True, dataset=dataset, algorithm=raw(WAITS))).json()[0]
    async with opened(ocean, tmp_path, **changes) as house:
        assert (await house.start(mock=True, dataset=dataset)).status_code == 429
        await house.cove.jobs.stop(JobQuery(job_id=JobId(job["jobId"]), owner=house.ocean.consumer.address))
        status = await house.done(job["jobId"])
        assert (status["mock"], fates(status)["algorithm.log"][0]) == (True, "released")


async def published_code(world: World) -> Published:
    """Publish an algorithm, whose file is private."""
    (world.folder / "data" / "code.py").write_text("print('the code')")
    draft = AssetDraft(
        "Code",
        [ServiceDraft("access", [{"type": "local", "root": "data", "path": "code.py"}], "http://cove")],
        type="algorithm",
        algorithm={"language": "python", "version": "1", "container": {**RAW["meta"]["container"], "tag": ""}},
    )
    ocean = world.house.ocean
    return await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)


async def test_an_algorithms_owner_is_paid_unless_they_give_mock_runs_away(world: World) -> None:
    code = await published_code(world)
    algorithm: dict[str, Any] = {"documentId": code.did, "serviceId": "0"}
    answer = await world.start(algorithm=algorithm)
    assert (answer.status_code, answer.json()["error"]) == (400, {"algorithm.transferTxId": "missing"})
    forged = await world.start(algorithm={**algorithm, "transferTxId": "0x" + "8" * 64})
    assert forged.json()["error"] == {"algorithm.serviceId": "order_invalid"}
    quote = (await asked(world.house, datasets=[world.ref()], algorithm=algorithm, mock=True)).json()
    assert "providerFee" not in quote["datasets"][0]
    assert quote["algorithm"]["providerFee"]["providerFeeAmount"] == "0"
    ocean = world.house.ocean
    await mint(ocean.publisher, code.datatoken, ocean.consumer.address)
    paid = await order(ocean.consumer, code.datatoken, quote["algorithm"]["providerFee"])
    for _ in range(2):
        status = await world.ran(algorithm={**algorithm, "transferTxId": paid})
        job = await world.house.cove.parts.store.get(JobId(status["jobId"]))
        assert job is not None
        assert (status["outcome"], job.order_keys) == ("succeeded", ()), "it is not used up"
    asked_again = {**algorithm, "transferTxId": paid}
    quote = (await asked(world.house, datasets=[world.ref()], algorithm=asked_again, mock=True)).json()
    assert quote["algorithm"] == {"datatoken": code.datatoken, "validOrder": paid}
    world.says("[mock]\nfree = true", code.did, "code.toml")
    quote = (await asked(world.house, datasets=[world.ref()], algorithm=algorithm, mock=True)).json()
    assert quote["algorithm"] == {"datatoken": code.datatoken}
    status = await world.ran(algorithm=algorithm)
    assert await world.text(status, "algorithm.log") == "the code\n"


async def test_a_sample_that_is_gone_is_in_the_way_of_mock_runs_alone(world: World) -> None:
    (world.folder / "policies" / "sample.csv").unlink()
    answer = await world.start()
    assert (answer.status_code, answer.json()["error"]) == (
        503, f"The sample of {world.private.did} cannot be used at present.",
    )  # fmt: skip
    assert "sample.csv" not in answer.text
    real = await world.start(mock=False, dataset={**world.ref(), "transferTxId": "0x" + "9" * 64})
    assert real.json()["error"] == {"dataset.serviceId": "order_invalid"}
    (finding,) = [one.seen for one in await world.house.cove.parts.policies.examine()]
    place = f"{world.folder}/policies/private.toml, line 4, column 10"
    assert finding == f"{place}: the sample sample.csv cannot be had: No such file or directory."


async def test_a_mock_run_of_a_dataset_that_is_listed_shows_that_it_is_one(world: World) -> None:
    status = await world.ran("print(1)")
    query = {"consumerAddress": world.house.ocean.consumer.address}
    (listed,) = (await world.house.http.get(PATH, params=query)).json()
    assert (listed["mock"], listed["results"][0]["index"]) == (True, 0)
    await open_trade(world.house)
    assert status["mock"] is True
