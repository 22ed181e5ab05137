"""The HTTP API over the real parts: chain, contracts, database, sandbox. What is refused starts and burns nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from tests.chain import Ocean
from tests.support.wallets import deploy_wallet

from cove.client import Signer
from cove.client.market import AssetDraft, Published, ServiceDraft, Wallet, mint, order, publish
from cove.ledgers.devchain import DevChain
from cove.settings import ChainSettings, EnvironmentSettings, LocalRootSettings, Settings
from cove.web.app import create_app
from cove.wiring import Cove, open_cove

PATH = "/api/services/compute"
RAW = {
    "meta": {
        "rawcode": "import os\nopen(os.environ['OUTPUTS'] + '/n', 'w').write('7')\nprint('done')",
        "container": {"entrypoint": "python3 $ALGO", "image": "cove/host", "checksum": "sha256:" + "0" * 64},
    }
}
NONCES = itertools.count(1_700_000_000_000)


class SharedChain:
    """The session's chain, which the service must not close."""

    def __init__(self, chain: DevChain) -> None:
        self.call = chain.call

    async def close(self) -> None:
        """Leave it open."""


@dataclass
class House:
    http: httpx2.AsyncClient
    cove: Cove
    ocean: Ocean
    dataset: Published

    async def start(self, **changes: Any) -> httpx2.Response:
        body: dict[str, Any] = {
            "consumerAddress": self.ocean.consumer.address,
            "nonce": str(next(NONCES)),
            "environment": "default",
            "dataset": {"documentId": self.dataset.did, "serviceId": "0", "transferTxId": "0x" + "9" * 64},
            "algorithm": RAW,
        }
        body |= changes
        if "signature" not in changes:
            did = (body.get("dataset") or {}).get("documentId") or ""
            text = f"{body['consumerAddress']}{body.get('jobId') or ''}{did}{body['nonce']}"
            body["signature"] = signer(self.ocean.consumer).sign(text)
        return await self.http.post(PATH, json=body)

    async def quote(self) -> dict[str, Any]:
        answer = await self.http.post("/api/services/initializeCompute", json={
            "datasets": [{"documentId": self.dataset.did, "serviceId": "0"}],
            "algorithm": RAW,
            "compute": {"env": "default", "validUntil": int(time.time()) + 300},
            "consumerAddress": self.ocean.consumer.address,
        })  # fmt: skip
        assert answer.status_code == 200, answer.text
        return answer.json()["datasets"][0]["providerFee"]

    async def paid(self) -> str:
        fee = await self.quote()
        await mint(self.ocean.publisher, self.dataset.datatoken, self.ocean.consumer.address)
        return await order(self.ocean.consumer, self.dataset.datatoken, fee)

    async def done(self, job_id: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                status = (await self.http.get(PATH, params={"jobId": job_id})).json()[0]
                if status["dateFinished"]:
                    return status
                await self.cove.jobs.wait_change(job_id, 1.0)


def signer(wallet: Wallet) -> Signer:
    return Signer(KEYS[wallet.address])


KEYS: dict[str, str] = {}


@pytest.fixture
async def house(ocean: Ocean, tmp_path: Path) -> AsyncIterator[House]:
    KEYS.update({account.address: account.private_key for account in ocean.chain.accounts})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("a\n1\n")
    settings = Settings(
        state_dir=tmp_path / "state",
        key=SecretStr(ocean.chain.accounts[1].private_key),
        chains=(
            ChainSettings(
                id=ocean.chain.chain_id, rpc=SecretStr("http://127.0.0.1:0"), factory=ocean.addresses.factory,
                fee_token=ocean.addresses.fee_token,
            ),
        ),
        environments=(EnvironmentSettings.model_validate({"id": "default", "price_per_minute": "0.5"}),),
        local={"data": LocalRootSettings(path=tmp_path / "data", publishers=(ocean.publisher.address,))},
    )  # fmt: skip
    async with open_cove(settings, connect=lambda _: SharedChain(ocean.chain)) as cove:
        transport = httpx2.ASGITransport(app=create_app(cove), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://cove") as http:
            yield House(http, cove, ocean, await _publish(ocean, ocean.publisher))


async def _publish(ocean: Ocean, owner: Wallet) -> Published:
    files = [{"type": "local", "root": "data", "path": "table.csv"}]
    compute = {"allowRawAlgorithm": True, "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": []}
    draft = AssetDraft("A table", [ServiceDraft("compute", files, "http://cove", compute=compute)])
    return await publish(owner, ocean.addresses.factory, draft, ocean.encrypt)


async def test_a_job_runs_and_its_results_open_for_its_owner_alone(house: House) -> None:
    answer = await house.start(dataset=_dataset(house, await house.paid()))
    assert answer.status_code == 200, answer.text
    job_id = answer.json()[0]["jobId"]
    status = await house.done(job_id)
    assert (status["status"], status["statusText"], status["outcome"]) == (70, "Job completed", "succeeded")
    names = [entry["filename"] for entry in status["results"]]
    assert names == ["configuration.log", "algorithm.log", "n", "outputs.tar"]

    owner = house.ocean.consumer.address
    nonce = str(next(NONCES))
    signed = {"jobId": job_id, "consumerAddress": owner, "nonce": nonce}
    signed["signature"] = signer(house.ocean.consumer).sign(f"{owner}{job_id}{nonce}")
    full = (await house.http.get(PATH, params=signed)).json()[0]
    assert len(full["resultsUrls"]) == 2
    assert (await house.http.get(full["resultsUrls"][0])).content == b"7"
    assert (await house.http.get(full["algorithmLogUrl"])).text == "done\n"
    spoiled = full["resultsUrls"][0].replace("index=2", "index=1")
    assert (await house.http.get(spoiled)).status_code == 400

    stranger = house.ocean.stranger.address
    nonce = str(next(NONCES))
    asked = {"jobId": job_id, "index": "2", "consumerAddress": stranger, "nonce": nonce}
    asked["signature"] = signer(house.ocean.stranger).sign(f"{stranger}{job_id}2{nonce}")
    refused = await house.http.get("/api/services/computeResult", params=asked)
    assert (refused.status_code, refused.json()["error"]) == (404, "There is no such job.")
    listed = (await house.http.get(PATH, params={"consumerAddress": owner})).json()
    assert listed[0]["jobId"] == ""
    assert listed[0]["results"] == ""


async def test_restart_runs_a_second_attempt_and_delete_leaves_nothing(house: House) -> None:
    job_id = (await house.start(dataset=_dataset(house, await house.paid()))).json()[0]["jobId"]
    await house.done(job_id)
    again = await house.start(jobId=job_id, dataset=None, algorithm=None)
    assert again.status_code == 200, again.text
    status = await house.done(job_id)
    assert (status["attempt"], status["outcome"]) == (2, "succeeded")
    owner, nonce = house.ocean.consumer.address, str(next(NONCES))
    body = {"jobId": job_id, "consumerAddress": owner, "nonce": nonce}
    body["signature"] = signer(house.ocean.consumer).sign(f"{owner}{job_id}{nonce}")
    gone = await house.http.request("DELETE", PATH, json=body)
    assert gone.json()[0]["removed"] == 1
    assert (await house.http.get(PATH, params={"jobId": job_id})).json() == []


async def test_restart_refuses_changed_inputs_until_they_are_accepted(house: House, tmp_path: Path) -> None:
    job_id = (await house.start(dataset=_dataset(house, await house.paid()))).json()[0]["jobId"]
    assert (await house.done(job_id))["outcome"] == "succeeded"
    (tmp_path / "data" / "table.csv").write_text("a\n1\n2\n")
    await house.start(jobId=job_id, dataset=None, algorithm=None)
    refused = await house.done(job_id)
    assert (refused["outcome"], refused["reason"]) == ("provider_failed", "inputs_changed")
    assert "refreshInputs" in refused["message"]
    await house.start(jobId=job_id, dataset=None, algorithm=None, refreshInputs=True)
    assert (await house.done(job_id))["outcome"] == "succeeded"


async def test_forged_and_foreign_orders_are_refused_and_use_nothing_up(house: House) -> None:
    unknown = await house.start()
    assert unknown.json()["error"] == {"dataset.serviceId": "order_invalid"}
    tx = await house.paid()
    answer = await house.start(dataset=_dataset(house, tx))
    assert answer.status_code == 200, answer.text
    other = await _publish(house.ocean, house.ocean.publisher)
    elsewhere = await house.start(dataset={"documentId": other.did, "serviceId": "0", "transferTxId": tx})
    assert elsewhere.json()["error"] == {"dataset.serviceId": "order_invalid"}


async def test_a_strangers_asset_opens_no_folder_of_the_host(house: House) -> None:
    mine = await _publish(house.ocean, house.ocean.stranger)
    dataset = {"documentId": mine.did, "serviceId": "0", "transferTxId": "0x" + "9" * 64}
    answer = await house.start(dataset=dataset)
    assert answer.status_code == 400
    assert "publisher" in answer.json()["hint"]


async def test_a_replay_starts_nothing(house: House) -> None:
    dataset = _dataset(house, await house.paid())
    nonce = str(next(NONCES))
    first = await house.start(dataset=dataset, nonce=nonce)
    assert first.status_code == 200
    for spelling in (nonce, int(nonce), f"{nonce}.0"):
        again = await house.start(dataset=dataset, nonce=spelling)
        assert again.status_code == 400
        assert "nonce" in json.dumps(again.json())


async def test_a_wrong_signature_burns_no_nonce(house: House) -> None:
    address = house.ocean.consumer.address
    before = (await house.http.get("/api/services/nonce", params={"userAddress": address})).json()
    answer = await house.start(nonce="9" * 15, signature="0x" + "1" * 130)
    assert answer.status_code == 400
    assert "signature" in answer.json()["errors"]
    after = (await house.http.get("/api/services/nonce", params={"userAddress": address})).json()
    assert before == after


@pytest.mark.parametrize("field", ["consumerAddress", "nonce", "dataset", "algorithm", "signature"])
@pytest.mark.parametrize("value", [None, "", [], 7.5, {"a": 1}, "x" * 300_000])
async def test_every_field_missing_or_wrong_is_a_400(house: House, field: str, value: object) -> None:
    body: dict[str, Any] = {
        "consumerAddress": house.ocean.consumer.address, "nonce": "1", "signature": "0x00",
        "dataset": _dataset(house, "0x" + "1" * 64), "algorithm": RAW,
    }  # fmt: skip
    answer = await house.http.post(PATH, json=body | {field: value})
    assert answer.status_code == 400, answer.text
    assert answer.json()["success"] is False


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"nonce": NaN}', b"null"])
async def test_a_body_that_is_no_object_is_a_400(house: House, content: bytes) -> None:
    for path in (PATH, "/api/services/initializeCompute", "/api/services/fileinfo", "/api/services/decrypt"):
        answer = await house.http.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (path, answer.text)


async def test_discovery_and_encryption(house: House) -> None:
    root = (await house.http.get("/")).json()
    assert root["providerAddresses"] == {"8996": house.cove.vault.address}
    for method, path in root["serviceEndpoints"].values():
        answer = await house.http.request(method, path)
        assert answer.status_code in {200, 400}, (path, answer.text)
    headers = {"Content-Type": "application/octet-stream"}
    sealed = await house.http.post("/api/services/encrypt?chainId=8996", content=b"hello", headers=headers)
    assert sealed.status_code == 201
    assert house.cove.vault.decrypt(bytes.fromhex(sealed.text[2:])) == b"hello"
    assert (await house.http.post("/api/services/encrypt?chainId=1", content=b"x", headers=headers)).status_code == 400
    document = await house.http.get("/api/openapi.json")
    assert PATH in document.json()["paths"]
    facts = await house.http.post("/api/services/fileinfo", json={"did": house.dataset.did, "serviceId": "0"})
    assert facts.json()[0]["valid"] is True
    inside = await house.http.post("/api/services/fileinfo", json={"type": "url", "url": "http://127.0.0.1:1/x"})
    assert inside.json()[0]["valid"] is False


def _dataset(house: House, tx: str) -> dict[str, str]:
    return {"documentId": house.dataset.did, "serviceId": "0", "transferTxId": tx}


async def test_a_contract_wallet_starts_a_job_with_its_owners_signature(house: House) -> None:
    owner, stranger = house.ocean.consumer, house.ocean.stranger
    wallet = await deploy_wallet(house.ocean.publisher, owner.address)
    fee = await house.quote()
    await mint(house.ocean.publisher, house.dataset.datatoken, owner.address)
    paid = _dataset(house, await order(owner, house.dataset.datatoken, fee, consumer=wallet))

    def signed(by: Wallet) -> dict[str, str]:
        nonce = str(next(NONCES))
        text = f"{wallet}{house.dataset.did}{nonce}"
        return {"consumerAddress": wallet, "nonce": nonce, "signature": signer(by).sign(text)}

    refused = await house.start(dataset=paid, **signed(stranger))
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_signature")
    answer = await house.start(dataset=paid, **signed(owner))
    assert answer.status_code == 200, answer.text
    status = await house.done(answer.json()[0]["jobId"])
    assert (status["owner"], status["outcome"]) == (wallet, "succeeded")
