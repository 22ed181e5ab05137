"""A site's own policy before every endpoint: what it is told, and what its yes, its no and its silence do."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean
from tests.support.answering import Answer, Request, answering
from tests.support.house import NONCES, RAW, House, opened, signer

from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, publish
from cove.core.job import Job
from cove.ports import JobQuery

API = "/api/services"
SECRET = "s3cret"
SAID = {"sessionId": "abc", "n": 1}
KEPT = ["signature", "s3cret", "parameter-value", "table.csv"]
"""What no policy server may see of a request."""


@dataclass
class Server:
    """A policy server that answers what a test says."""

    url: str = ""
    yes: bool = True
    #: In the place of yes and no.
    instead: Answer | None = None

    def __post_init__(self) -> None:
        """Begin with nothing heard."""
        self.heard: list[dict[str, Any]] = []

    def rbac(self, request: Request) -> Answer:
        self.heard.append(json.loads(request.body))
        return self.instead or Answer(b"true" if self.yes else b"false")

    def policy(self, request: Request) -> Answer:
        self.heard.append(json.loads(request.body))
        text = json.dumps({"success": self.yes, "message": "Not a member.", "httpStatus": 200 if self.yes else 403})
        return self.instead or Answer(text.encode(), 200 if self.yes else 403, {"Content-Type": "application/json"})


@dataclass
class Guarded:
    """A house whose policies are the two servers."""

    house: House
    rbac: Server
    policy: Server
    asset: Published

    async def encrypt(self) -> httpx2.Response:
        params = {"chainId": "8996", "policyServer": json.dumps(SAID), "publisherAddress": self.account}
        headers = {"content-type": "application/octet-stream"}
        return await self.house.http.post(f"{API}/encrypt", params=params, content=SECRET, headers=headers)

    async def initialize(self) -> httpx2.Response:
        return await self.house.http.get(f"{API}/initialize", params=self.file())

    async def initialize_compute(self) -> httpx2.Response:
        return await self.house.http.post(f"{API}/initializeCompute", json={
            "datasets": [{"documentId": self.house.dataset.did, "serviceId": "0"}],
            "algorithm": RAW,
            "compute": {"env": "default", "validUntil": int(time.time()) + 300},
            "consumerAddress": self.account,
            "policyServer": SAID,
        })  # fmt: skip

    async def download(self) -> httpx2.Response:
        nonce = str(next(NONCES))
        signature = signer(self.house.ocean.consumer).sign(f"{self.asset.did}{nonce}")
        signed = {"transferTxId": self.file_tx, "nonce": nonce, "signature": signature}
        return await self.house.http.get(f"{API}/download", params={**self.file(), **signed})

    async def start(self) -> httpx2.Response:
        dataset = {"documentId": self.house.dataset.did, "serviceId": "0", "transferTxId": self.job_tx}
        dataset["userdata"] = {"name": "parameter-value"}
        return await self.house.start(dataset=dataset, policyServer=[SAID])

    async def restart(self) -> httpx2.Response:
        return await self.house.start(dataset=None, algorithm=None, jobId=self.job_id, policyServer=[SAID])

    async def decrypt(self) -> httpx2.Response:
        nonce, account = str(next(NONCES)), self.account
        tx = self.asset.tx_id
        signature = signer(self.house.ocean.consumer).sign(f"{tx}{account}8996{nonce}")
        body = {"transactionId": tx, "dataNftAddress": self.asset.nft, "decrypterAddress": account}
        body |= {"chainId": 8996, "nonce": nonce, "signature": signature, "policyServer": SAID}
        return await self.house.http.post(f"{API}/decrypt", json=body)

    def file(self) -> dict[str, str]:
        asked = {"documentId": self.asset.did, "serviceId": "0", "fileIndex": "0", "consumerAddress": self.account}
        return {**asked, "policyServer": json.dumps(SAID)}

    @property
    def account(self) -> str:
        return self.house.ocean.consumer.address

    async def prepare(self) -> None:
        """Pay for a file and a job, and have a job that has ended."""
        fee = (await self.initialize()).json()["providerFee"]
        await mint(self.house.ocean.publisher, self.asset.datatoken, self.account)
        self.file_tx = await order(self.house.ocean.consumer, self.asset.datatoken, fee)
        self.job_tx = await self.house.paid()
        started = await self.start()
        assert started.status_code == 200, started.text
        self.job_id = started.json()[0]["jobId"]
        await self.house.done(self.job_id)
        for server in (self.rbac, self.policy):
            server.heard.clear()


ENDPOINTS: dict[str, tuple[Callable[[Guarded], Awaitable[httpx2.Response]], str, str]] = {
    "encrypt": (Guarded.encrypt, "encryptUrl", "encrypt"),
    "initialize": (Guarded.initialize, "initialize", "initiate"),
    "initializeCompute": (Guarded.initialize_compute, "initialize", "startCompute"),
    "download": (Guarded.download, "access", "download"),
    "start": (Guarded.start, "compute", "startCompute"),
    "restart": (Guarded.restart, "compute", "startCompute"),
    "decrypt": (Guarded.decrypt, "", "decrypt"),
}


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    rbac, policy = Server(), Server()
    with answering(rbac.rbac) as rbac.url, answering(policy.policy) as policy.url:
        yield rbac, policy


@pytest.fixture
async def guarded(ocean: Ocean, tmp_path: Path, servers: tuple[Server, Server]) -> AsyncIterator[Guarded]:
    rbac, policy = servers
    hooks = {"rbac_url": rbac.url, "policy_url": policy.url, "timeout_seconds": 1.0}
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(opened(ocean, tmp_path, hooks=hooks))
        files = [{"type": "local", "root": "data", "path": "table.csv"}]
        draft = AssetDraft("Rows", [ServiceDraft("access", files, "http://cove", timeout=3600)])
        asset = await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)
        made = Guarded(house, rbac, policy, asset)
        await made.prepare()
        yield made


def effects(guarded: Guarded) -> list[str]:
    state = guarded.house.cove.parts.workspaces.parent
    return [str(entry) for entry in (state / "workspaces").iterdir()]


async def jobs(guarded: Guarded) -> list[Job]:
    return list(await guarded.house.cove.parts.store.find(JobQuery(owner=guarded.account)))


async def test_with_two_yes_all_goes_on_and_each_was_told_what_its_shape_has(guarded: Guarded) -> None:
    for name, (ask, event, action) in ENDPOINTS.items():
        answer = await ask(guarded)
        assert answer.status_code in {200, 201}, (name, answer.text)
        assert [body["eventType"] for body in guarded.rbac.heard] == ([event] if event else [])
        assert [body["action"] for body in guarded.policy.heard] == [action]
        for body in guarded.rbac.heard:
            assert body["credentials"] == {"type": "address", "value": guarded.account}
            assert "policyServer" not in body
        said = guarded.policy.heard[0]
        assert said["policyServer"] in (SAID, [SAID])
        assert said.get("consumerAddress", said.get("decrypterAddress")) == guarded.account
        if action in {"initiate", "startCompute", "download"}:
            assert said["ddo"]["id"] == said["documentId"]
        heard = json.dumps(guarded.policy.heard)
        assert not [word for word in KEPT if word in heard]
        assert "userdata" not in json.dumps(guarded.rbac.heard)
        guarded.rbac.heard.clear()
        guarded.policy.heard.clear()
        if name in {"start", "restart"}:
            await guarded.house.done(answer.json()[0]["jobId"])


async def test_one_no_is_enough_and_nothing_is_done(guarded: Guarded) -> None:
    before, stored = effects(guarded), await jobs(guarded)
    for name, (ask, event, _) in ENDPOINTS.items():
        guarded.rbac.yes, guarded.policy.yes = False, True
        if event:
            answer = await ask(guarded)
            assert (answer.status_code, answer.json()["errors"]) == (400, {"RBAC": ["RBAC Validation failed!"]}), name
            assert not guarded.policy.heard, name
        guarded.rbac.yes, guarded.policy.yes = True, False
        answer = await ask(guarded)
        assert (answer.status_code, answer.json()["error"]) == (403, "Not a member."), name
        guarded.policy.heard.clear()
    assert (effects(guarded), await jobs(guarded)) == (before, stored)
    guarded.policy.yes = True
    assert (await guarded.start()).status_code == 200  # no order was used up


@pytest.mark.parametrize("answer", [Answer(b"nonsense", 502), Answer(b"<p>", 200, {"Content-Type": "text/html"})])
async def test_nonsense_is_no_yes(guarded: Guarded, answer: Answer) -> None:
    stored = await jobs(guarded)
    for instead, part in ((guarded.rbac, "RBAC server"), (guarded.policy, "policy server")):
        instead.instead = answer
        for name, (ask, event, _) in ENDPOINTS.items():
            if event or part == "policy server":
                reply = await ask(guarded)
                assert (reply.status_code, reply.json()["context"]) == (503, part), name
                assert instead.url not in reply.text
        instead.instead = None
    assert await jobs(guarded) == stored


async def test_nobody_is_asked_before_the_cheap_checks(guarded: Guarded) -> None:
    http, bad = guarded.house.http, {"signature": "0x" + "1" * 130}
    octets = {"content-type": "application/octet-stream"}
    answers = [
        await http.post(f"{API}/encrypt", params={"chainId": "1"}, content=b"x", headers=octets),
        await http.post(f"{API}/encrypt", params={"chainId": "8996"}, content=b"x"),
        await http.get(f"{API}/initialize", params={**guarded.file(), "serviceId": "9"}),
        await http.get(
            f"{API}/download", params={**guarded.file(), "transferTxId": guarded.file_tx, "nonce": "9", **bad}
        ),
        await http.get(f"{API}/initialize", params={**guarded.file(), "policyServer": '"text"'}),
        await http.get(f"{API}/initialize", params={**guarded.file(), "policyServer": json.dumps(["x" * 33_000])}),
        await guarded.house.start(**bad),
        await guarded.house.start(),  # an order that is not there
        await guarded.house.start(dataset=None, algorithm=None, jobId="0" * 32),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 400, 400, 400, 400, 404]
    assert "policyServer" in answers[5].json()["errors"]
    assert (guarded.rbac.heard, guarded.policy.heard) == ([], [])
