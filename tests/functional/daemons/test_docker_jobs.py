"""A whole job on Docker and on Podman: paid on a chain, started over HTTP at a serving Cove, with results and logs."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.support import daemons
from tests.support.daemons import Daemon
from tests.support.policies import policy_folder
from tests.support.served import Served, served_at

from cove.client.market import Published, mint, order
from cove.crypto.keys import Account

API = "/api/services"
CHECKSUM = "sha256:" + "0" * 64
DAEMONS = {"docker": daemons.docker, "podman": daemons.podman}
ALGORITHM = """
import os, sys
from pathlib import Path

(did,) = [name for name in os.listdir('/data/inputs') if not name.endswith('.json')]
print('began', flush=True)
text = Path('/data/inputs', did, '0').read_text()
Path('/data/outputs/deep').mkdir()
Path('/data/outputs/deep/sum').write_text(str(sum(map(int, text.split()))))
Path('/data/logs/own.log').write_text('noted')
print('to stderr', file=sys.stderr, flush=True)
"""
TABLES = """
[[environments]]
id = "containers"
engine = "far"
memory = "256MiB"
disk = "64MiB"
max_duration = 600
price_per_minute = "0.1"
live_logs = true
[engines.far]
kind = "docker"
host = "{host}"
helper = "{helper}"
pull = "never"
name = "cove-jobs"
[images.host]
kind = "registry"
checksum = "{checksum}"
[policies]
folder = "{policies}"
"""
LIVE = 'version = 1\ndefault = true\n[logs]\nmode = "live"\n'


@dataclass
class Shop:
    """A serving Cove with a paying consumer."""

    served: Served
    daemon: Daemon
    asset: Published
    _nonces: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns()))

    def signed(self, text: str, **fields: Any) -> dict[str, Any]:
        """Give fields with the consumer's address, a new nonce, and the signature over all three."""
        account = Account.from_hex(self.served.ocean.chain.accounts[2].private_key)
        nonce = str(next(self._nonces))
        signature = account.sign_text(f"{account.address}{text}{nonce}")
        return {**fields, "consumerAddress": account.address, "nonce": nonce, "signature": signature}

    async def start(self, http: httpx2.AsyncClient, code: str) -> str:
        """Pay for a job and start it."""
        dataset = {"documentId": self.asset.did, "serviceId": "compute"}
        container = {"entrypoint": "python3 $ALGO", "image": "host", "tag": "", "checksum": CHECKSUM}
        algorithm = {"meta": {"rawcode": code, "container": container}}
        ocean = self.served.ocean
        quoted = await http.post(f"{API}/initializeCompute", json={
            "datasets": [dataset], "algorithm": algorithm, "consumerAddress": ocean.consumer.address,
            "compute": {"env": "containers", "validUntil": int(time.time()) + 300},
        })  # fmt: skip
        assert quoted.status_code == 200, quoted.text
        await mint(ocean.publisher, self.asset.datatoken, ocean.consumer.address)
        fee = quoted.json()["datasets"][0]["providerFee"]
        tx = await order(ocean.consumer, self.asset.datatoken, fee, service_index=1)
        started = await http.post(f"{API}/compute", json=self.signed(
            self.asset.did, environment="containers", algorithm=algorithm, dataset=dataset | {"transferTxId": tx},
        ))  # fmt: skip
        assert started.status_code == 200, started.text
        return str(started.json()[0]["jobId"])

    async def followed(self, http: httpx2.AsyncClient, job_id: str) -> tuple[str, dict[str, Any]]:
        """Read a job's log while it runs, and give it with what is told of the end."""
        texts, name = [], ""
        async with http.stream("GET", f"{API}/computeLogs", params=self.signed(job_id, jobId=job_id)) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == "log":
                    texts.append(json.loads(line.removeprefix("data: "))["text"])
                elif line.startswith("data: ") and name == "end":
                    return "".join(texts), json.loads(line.removeprefix("data: "))
        raise AssertionError(f"the log has no end: {texts}")

    async def results(self, http: httpx2.AsyncClient, job_id: str) -> dict[str, bytes]:
        """Read everything that a job gave."""
        listed = (await http.get(f"{API}/compute", params=self.signed(job_id, jobId=job_id))).json()[0]["results"]
        found = {}
        for result in listed:
            index = result["index"]
            asked = self.signed(f"{job_id}{index}", jobId=job_id, index=index)
            answer = await http.get(f"{API}/computeResult", params=asked)
            assert answer.status_code == 200, answer.text
            found[result["filename"]] = answer.content
        return found


@pytest.fixture(params=sorted(DAEMONS))
def shop(request: pytest.FixtureRequest, ocean: Ocean, tmp_path: Path) -> Iterator[Shop]:
    daemon = DAEMONS[request.param]()
    policies = policy_folder(tmp_path, LIVE)["folder"]
    tables = TABLES.format(host=daemon.host, helper=daemons.HELPER, checksum=CHECKSUM, policies=policies)
    with served_at(ocean, tmp_path, tables) as served:
        served.outside.serve(b"1\n2\n39\n")
        asset = asyncio.run(served.publish([{"type": "url", "url": served.outside.url(), "method": "GET"}]))
        yield Shop(served, daemon, asset)


def left_at(daemon: Daemon) -> list[str]:
    """Name every container and volume of runs of the service that the daemon has."""
    with daemon.client() as http:
        chosen = json.dumps({"label": ["cove.engine=cove-jobs"]})
        containers = http.get("/containers/json", params={"all": "true", "filters": chosen}).json()
        volumes = http.get("/volumes", params={"filters": chosen}).json()["Volumes"] or []
    return [one.get("Id") or one["Name"] for one in [*containers, *volumes] if one["Labels"]["cove.part"] != "spare"]


async def test_a_paid_job_runs_and_gives_results_and_logs(shop: Shop, tmp_path: Path) -> None:
    async with shop.served.http() as http:
        job_id = await shop.start(http, ALGORITHM)
        log, end = await shop.followed(http, job_id)
        assert (end["status"], end["outcome"]) == (70, "succeeded")
        assert log == "began\nto stderr\n"
        found = await shop.results(http, job_id)
    assert found["deep/sum"] == b"42"
    assert (found["algorithm.log"], found["own.log"]) == (b"began\nto stderr\n", b"noted")
    assert left_at(shop.daemon) == []
    assert list((tmp_path / "state" / "engine-far").iterdir()) == []


async def test_a_running_job_is_stopped_over_http(shop: Shop) -> None:
    async with shop.served.http() as http:
        job_id = await shop.start(http, "import signal\nprint('began', flush=True)\nsignal.pause()\n")
        async with http.stream("GET", f"{API}/computeLogs", params=shop.signed(job_id, jobId=job_id)) as answer:
            async for line in answer.aiter_lines():
                if "began" in line:
                    break
        stopped = await http.put(f"{API}/compute", json=shop.signed(job_id, jobId=job_id))
        assert stopped.status_code == 200, stopped.text
        log, end = await shop.followed(http, job_id)
    assert (log, end["outcome"]) == ("began\n", "stopped")
    assert left_at(shop.daemon) == []
