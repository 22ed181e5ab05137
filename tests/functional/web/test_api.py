"""The HTTP API over the real parts: chain, contracts, database, sandbox. What is refused starts and burns nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.house import NONCES, PATH, RAW, House, publish_table, signer
from tests.support.wallets import deploy_wallet

from cove.client.market import Wallet, mint, order


async def test_a_job_runs_and_its_results_open_for_its_owner_alone(house: House) -> None:
    answer = await house.start(dataset=_dataset(house, await house.paid()))
    assert answer.status_code == 200, answer.text
    job_id = answer.json()[0]["jobId"]
    status = await house.done(job_id)
    assert (status["status"], status["statusText"], status["outcome"]) == (70, "Job completed", "succeeded")
    names = [entry["filename"] for entry in status["results"]]
    assert names == ["configuration.log", "algorithm.log", "n", "outputs.tar", "receipt.json"]
    assert (status["results"][-1]["type"], status["releaseState"]) == ("publishLog", "released")

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
    (found,) = [entry for entry in listed if entry["agreementId"] == full["agreementId"]]
    assert job_id not in json.dumps(listed)
    assert [(entry["filename"], entry["filesize"], entry["index"]) for entry in found["results"]] == [
        ("configuration.log", None, 0),
        ("algorithm.log", None, 1),
        ("output-2", None, 2),
        ("outputs.tar", None, 3),
        ("receipt.json", None, 4),
    ]
    again = await house.start(jobId=found["jobId"], dataset=None, algorithm=None)
    assert (again.status_code, again.json()[0]["jobId"], again.json()[0]["attempt"]) == (200, job_id, 2)
    await house.done(job_id)


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
    other = await publish_table(house.ocean, house.ocean.publisher)
    elsewhere = await house.start(dataset={"documentId": other.did, "serviceId": "0", "transferTxId": tx})
    assert elsewhere.json()["error"] == {"dataset.serviceId": "order_invalid"}


async def test_a_strangers_asset_opens_no_folder_of_the_host(house: House) -> None:
    mine = await publish_table(house.ocean, house.ocean.stranger)
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


async def test_the_environment_says_what_it_offers_and_what_enforces_it(house: House) -> None:
    listed = (await house.http.get("/api/services/computeEnvironments")).json()
    ((chain, (offered,)),) = listed.items()
    assert (chain, offered["id"], offered["engine"]) == (str(house.ocean.chain.chain_id), "default", "sandbox")
    engine = house.cove.parts.engines["sandbox"]
    assert offered["enforcement"] == dict(engine.enforcement())
